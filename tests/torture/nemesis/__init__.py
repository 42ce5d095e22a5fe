"""What breaks the world, when, and how it is mended."""
