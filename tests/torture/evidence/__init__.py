"""What is left when all is quiet: topics, tables, books and mail, written to plain files."""
