//! The SQL of a table in both dialects. Everything that is written into a statement here is a name from a [`TableSpec`];
//! what a caller brings travels as a bound parameter.

use crate::table::{Column, Kind, TableSpec};

/// Whose SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite 3.38 or newer.
    Sqlite,
    /// PostgreSQL 14 or newer.
    Postgres,
}

/// A name in quotes: `offset` is a word of SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn list<'a>(columns: impl IntoIterator<Item = &'a Column>, show: impl Fn(&Column) -> String) -> String {
    columns.into_iter().map(show).collect::<Vec<_>>().join(", ")
}

impl Dialect {
    fn column_type(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::Sqlite, Kind::Text | Kind::Json) => "TEXT",
            (Self::Sqlite, Kind::Integer | Kind::Boolean | Kind::Timestamp) => "INTEGER",
            (Self::Postgres, Kind::Text) => "TEXT COLLATE \"C\"",
            (Self::Postgres, Kind::Integer | Kind::Timestamp) => "BIGINT",
            (Self::Postgres, Kind::Boolean) => "BOOLEAN",
            (Self::Postgres, Kind::Json) => "JSONB",
        }
    }

    /// The statements that make the table and its indexes where they are missing.
    pub fn create(self, table: &TableSpec) -> Vec<String> {
        let columns = list(table.columns, |column| {
            let key = if column.name == table.key { " PRIMARY KEY" } else { "" };
            format!("{} {}{key}", quoted(column.name), self.column_type(column.kind))
        });
        let indexes = table.indexes.iter().map(|index| {
            let columns = index.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
            format!("CREATE INDEX IF NOT EXISTS \"{}_by_{}\" ON {} ({columns})", table.name, index.join("_"), quoted(table.name))
        });
        std::iter::once(format!("CREATE TABLE IF NOT EXISTS {} ({columns})", quoted(table.name))).chain(indexes).collect()
    }

    /// An expression that shows a row as JSON text.
    pub fn row(self, table: &TableSpec) -> String {
        match self {
            Self::Postgres => format!("to_jsonb({})::text", quoted(table.name)),
            Self::Sqlite => format!("json_object({})", list(table.columns, |column| format!("'{}', {}", column.name, sqlite_json(column)))),
        }
    }

    /// A condition that holds for the keys in `$1`.
    fn keys(self, table: &TableSpec) -> String {
        let key = quoted(table.key);
        match self {
            Self::Sqlite => format!("{key} IN (SELECT value FROM json_each($1))"),
            Self::Postgres => format!("{key} = ANY($1)"),
        }
    }

    /// Reads the rows of the keys `$1`.
    pub fn load(self, table: &TableSpec) -> String {
        format!("SELECT {} FROM {} WHERE {}", self.row(table), quoted(table.name), self.keys(table))
    }

    /// Deletes the rows of the keys `$1`.
    pub fn delete(self, table: &TableSpec) -> String {
        format!("DELETE FROM {} WHERE {}", quoted(table.name), self.keys(table))
    }

    /// Writes all rows of the JSON array `$1`, whether they are new or not.
    pub fn upsert(self, table: &TableSpec) -> String {
        let (name, key) = (quoted(table.name), quoted(table.key));
        let names = list(table.columns, |column| quoted(column.name));
        let others = table.columns.iter().filter(|column| column.name != table.key);
        let updates = list(others, |column| format!("{0} = excluded.{0}", quoted(column.name)));
        let rows = match self {
            Self::Postgres => format!("SELECT {names} FROM jsonb_populate_recordset(NULL::{name}, $1::jsonb)"),
            // `WHERE true` keeps SQLite from reading ON CONFLICT as a join's condition.
            Self::Sqlite => format!("SELECT {} FROM json_each($1) WHERE true", list(table.columns, sqlite_member)),
        };
        format!("INSERT INTO {name} ({names}) {rows} ON CONFLICT ({key}) DO UPDATE SET {updates}")
    }
}

/// A SQLite column as a JSON value.
fn sqlite_json(column: &Column) -> String {
    let name = quoted(column.name);
    match column.kind {
        Kind::Text | Kind::Integer | Kind::Timestamp => name,
        Kind::Boolean => format!("CASE WHEN {name} IS NULL THEN NULL ELSE json(iif({name}, 'true', 'false')) END"),
        Kind::Json => format!("json({name})"),
    }
}

/// The value of a SQLite column within a row of JSON.
fn sqlite_member(column: &Column) -> String {
    match column.kind {
        Kind::Text | Kind::Integer | Kind::Boolean | Kind::Timestamp => format!("json_extract(value, '$.{}')", column.name),
        Kind::Json => format!("nullif(value -> '$.{}', 'null')", column.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: TableSpec = TableSpec {
        name: "things",
        key: "id",
        columns: &[Column::text("id"), Column::boolean("good"), Column::json("parts")],
        indexes: &[&["good", "id"]],
    };

    #[test]
    fn both_dialects_come_from_one_description() {
        assert_eq!(
            Dialect::Sqlite.create(&TABLE),
            [
                "CREATE TABLE IF NOT EXISTS \"things\" (\"id\" TEXT PRIMARY KEY, \"good\" INTEGER, \"parts\" TEXT)",
                "CREATE INDEX IF NOT EXISTS \"things_by_good_id\" ON \"things\" (\"good\", \"id\")"
            ]
        );
        assert_eq!(
            Dialect::Postgres.create(&TABLE)[0],
            "CREATE TABLE IF NOT EXISTS \"things\" (\"id\" TEXT COLLATE \"C\" PRIMARY KEY, \"good\" BOOLEAN, \"parts\" JSONB)"
        );
        assert_eq!(Dialect::Postgres.load(&TABLE), "SELECT to_jsonb(\"things\")::text FROM \"things\" WHERE \"id\" = ANY($1)");
    }
}
