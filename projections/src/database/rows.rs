//! A view's rows: loaded, written and deleted by the batch.

use super::{Bind, Database, DatabaseError, Dialect, Transaction};
use crate::table::Relation;

/// Any number that no other lock of ours has.
const TABLES_LOCK: &str = "SELECT pg_advisory_xact_lock(7265123901)::text";

impl Database {
    /// Makes the tables and indexes that are missing.
    pub async fn create<'a>(&self, tables: impl IntoIterator<Item = &'a Relation>) -> Result<(), DatabaseError> {
        let statements: Vec<String> = tables.into_iter().flat_map(|table| self.dialect().create(table)).collect();
        let mut open = self.begin().await?;
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

    /// Lets one process at a time make tables: on PostgreSQL two that make the same one at once fail.
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

    /// Writes rows, new and old.
    pub(crate) async fn upsert(&mut self, table: &Relation, rows: Vec<serde_json::Value>) -> Result<(), DatabaseError> {
        if rows.is_empty() {
            return Ok(());
        }
        let (statement, rows) = (self.dialect().upsert(table), storable(rows));
        self.execute(statement, vec![Bind::Text(rows)]).await.map(drop)
    }

    /// Deletes the rows of these keys.
    pub(crate) async fn delete(&mut self, table: &Relation, keys: Vec<String>) -> Result<(), DatabaseError> {
        if keys.is_empty() {
            return Ok(());
        }
        let statement = self.dialect().delete(table);
        self.execute(statement, vec![Bind::Keys(keys)]).await.map(drop)
    }
}

/// The rows as one JSON text in which U+FFFD stands for U+0000, which neither database keeps in text: one odd character in
/// an event must not stop a view.
fn storable(rows: Vec<serde_json::Value>) -> String {
    let text = serde_json::Value::from(rows).to_string();
    if !text.contains("\\u0000") {
        return text;
    }
    // An escaped backslash is taken first, so that the text `\\u0000` (a backslash and five characters) stays what it is.
    text.split("\\\\").map(|part| part.replace("\\u0000", "\\ufffd")).collect::<Vec<_>>().join("\\\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_character_is_replaced_and_its_spelling_is_not() {
        let rows = vec![serde_json::json!({ "real": "a\u{0}b", "spelt": "a\\u0000b" })];
        let stored: serde_json::Value = serde_json::from_str(&storable(rows)).unwrap();
        assert_eq!(stored, serde_json::json!([{ "real": "a\u{fffd}b", "spelt": "a\\u0000b" }]));
    }
}
