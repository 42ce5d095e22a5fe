//! Makes tables, and loads and deletes a batch's rows by their keys.

use super::{Bind, Database, DatabaseError, Dialect, Transaction};
use crate::table::Relation;

/// An advisory lock; the number is arbitrary, and no other lock of ours has it.
const TABLES_LOCK: &str = "SELECT pg_advisory_xact_lock(7265123901)::text";

impl Database {
    /// Makes the tables and indexes that are missing.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn create<'a>(&self, tables: impl IntoIterator<Item = &'a Relation>) -> Result<(), DatabaseError> {
        let statements: Vec<String> = tables.into_iter().flat_map(|table| self.dialect().create(table)).collect();
        let mut open = self.begin_long().await?;
        open.serialise_changes_of_tables().await?;
        for statement in statements {
            open.execute(statement, Vec::new()).await?;
        }
        open.commit().await
    }
}

impl Transaction {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Lets one process at a time make tables: on PostgreSQL, of two that make the same table at once one fails.
    pub(super) async fn serialise_changes_of_tables(&mut self) -> Result<(), DatabaseError> {
        match self.dialect() {
            Dialect::Sqlite => Ok(()),
            Dialect::Postgres => self.texts(TABLES_LOCK.to_owned(), Vec::new()).await.map(drop),
        }
    }

    /// The rows of these keys, as JSON text; keys without a row are left out.
    pub(crate) async fn load(&mut self, table: &Relation, keys: Vec<String>) -> Result<Vec<String>, DatabaseError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let statement = self.dialect().load(table);
        self.texts(statement, vec![Bind::Keys(keys)]).await
    }

    /// Deletes the rows of these keys; says how many there were.
    pub(crate) async fn delete(&mut self, table: &Relation, keys: Vec<String>) -> Result<u64, DatabaseError> {
        if keys.is_empty() {
            return Ok(0);
        }
        let statement = self.dialect().delete(table);
        self.execute(statement, vec![Bind::Keys(keys)]).await
    }
}
