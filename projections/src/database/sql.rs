//! The SQL of a table in both dialects. The statements contain only names from a [`Relation`]; a caller's values are bound as parameters.

use crate::table::{Column, Kind, Relation};
use sha2::{Digest, Sha256};

/// The most bytes of a name on PostgreSQL.
const LONGEST_NAME: usize = 63;

/// The dialect of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite 3.38 or newer.
    Sqlite,
    /// PostgreSQL 14 or newer.
    Postgres,
}

/// A name in quotes, since some names, such as `offset`, are keywords of SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn list<'a>(columns: impl IntoIterator<Item = &'a Column>, show: impl Fn(&Column) -> String) -> String {
    columns.into_iter().map(show).collect::<Vec<_>>().join(", ")
}

impl Dialect {
    /// The type of a column, as the database's own catalogue names it.
    pub fn stored_type(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::Sqlite, kind) => self.column_type(kind),
            (Self::Postgres, Kind::Text) => "text",
            (Self::Postgres, Kind::Integer | Kind::Timestamp) => "bigint",
            (Self::Postgres, Kind::Boolean) => "boolean",
            (Self::Postgres, Kind::Json) => "jsonb",
        }
    }

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
    pub fn create(self, table: &Relation) -> Vec<String> {
        let columns = list(table.spec.columns, |column| {
            let key = if column.name == table.spec.key { " PRIMARY KEY" } else { "" };
            format!("{} {}{key}", quoted(column.name), self.column_type(column.kind))
        });
        std::iter::once(format!("CREATE TABLE IF NOT EXISTS {} ({columns})", quoted(&table.name))).chain(indexes(table)).collect()
    }

    /// The statements that replace a live table by its shadow.
    pub fn replace(self, live: &Relation, shadow: &Relation) -> Vec<String> {
        let (old, new) = (quoted(&live.name), quoted(&shadow.name));
        let tables = [format!("DROP TABLE IF EXISTS {old}"), format!("ALTER TABLE {new} RENAME TO {old}")];
        let indexes: Vec<String> = match self {
            Self::Postgres => {
                let pairs = live.spec.indexes.iter().map(|index| (index_name(live, index), index_name(shadow, index)));
                let primary = format!(
                    "ALTER INDEX {} RENAME TO {}",
                    quoted(&format!("{}_pkey", shadow.name)),
                    quoted(&format!("{}_pkey", live.name))
                );
                pairs.map(|(old, new)| format!("ALTER INDEX {new} RENAME TO {old}")).chain([primary]).collect()
            }
            // SQLite cannot rename an index.
            Self::Sqlite => {
                let gone = live.spec.indexes.iter().map(|index| format!("DROP INDEX IF EXISTS {}", index_name(shadow, index)));
                gone.chain(indexes(live)).collect()
            }
        };
        tables.into_iter().chain(indexes).collect()
    }

    /// The statement that removes a table.
    pub fn drop(self, table: &Relation) -> String {
        format!("DROP TABLE IF EXISTS {}", quoted(&table.name))
    }

    /// The keys and rows after the key `$1`, in the order of the keys, at most `$2`: each as a JSON array.
    pub fn page(self, table: &Relation) -> String {
        let key = quoted(table.spec.key);
        let pair = match self {
            Self::Postgres => format!("json_build_array({key}, to_jsonb({}))::text", quoted(&table.name)),
            Self::Sqlite => format!("json_array({key}, {})", self.row(table)),
        };
        format!("SELECT {pair} FROM {} WHERE {key} > $1 ORDER BY {key} LIMIT $2", quoted(&table.name))
    }

    /// An expression that shows a row as JSON text.
    pub fn row(self, table: &Relation) -> String {
        match self {
            Self::Postgres => format!("to_jsonb({})::text", quoted(&table.name)),
            Self::Sqlite => {
                let there = table.spec.columns.iter().filter(|column| table.has(column.name));
                format!("json_object({})", list(there, |column| format!("'{}', {}", column.name, sqlite_json(column))))
            }
        }
    }

    /// A condition that holds for the keys in `$1`.
    fn keys(self, table: &Relation) -> String {
        self.among(&quoted(table.spec.key), 1)
    }

    /// A condition that holds if an expression equals one of the keys in a parameter.
    pub fn among(self, expression: &str, parameter: usize) -> String {
        match self {
            Self::Sqlite => format!("{expression} IN (SELECT value FROM json_each(${parameter}))"),
            Self::Postgres => format!("{expression} = ANY(${parameter})"),
        }
    }

    /// Reads the rows of the keys `$1`.
    pub fn load(self, table: &Relation) -> String {
        self.of_keys(&self.row(table), table)
    }

    /// As [`load`](Self::load), each row behind its key.
    pub fn load_with_keys(self, table: &Relation) -> String {
        self.of_keys(&format!("{}, {}", quoted(table.spec.key), self.row(table)), table)
    }

    fn of_keys(self, shown: &str, table: &Relation) -> String {
        format!("SELECT {shown} FROM {} WHERE {}", quoted(&table.name), self.keys(table))
    }

    /// Deletes the rows of the keys `$1`.
    pub fn delete(self, table: &Relation) -> String {
        format!("DELETE FROM {} WHERE {}", quoted(&table.name), self.keys(table))
    }

    /// Writes rows that do not exist yet. PostgreSQL takes an array for each column, SQLite a value for each column of each of `rows` rows.
    pub fn insert(self, table: &Relation, rows: usize) -> String {
        let names = list(table.spec.columns, |column| quoted(column.name));
        let given = match self {
            Self::Postgres => format!("SELECT {} FROM {}", list(table.spec.columns, postgres_taken), unnest(table.spec.columns, &names)),
            Self::Sqlite => {
                let row = format!("({})", vec!["?"; table.spec.columns.len()].join(", "));
                format!("VALUES {}", vec![row; rows].join(", "))
            }
        };
        format!("INSERT INTO {} ({names}) {given}", quoted(&table.name))
    }

    /// As [`insert`](Self::insert), but overwrites rows that exist already.
    pub fn upsert(self, table: &Relation, rows: usize) -> String {
        let others = table.spec.columns.iter().filter(|column| column.name != table.spec.key);
        let updates = list(others, |column| format!("{0} = excluded.{0}", quoted(column.name)));
        format!("{} ON CONFLICT ({}) DO UPDATE SET {updates}", self.insert(table, rows), quoted(table.spec.key))
    }
}

/// Turns the parameters, an array for each column, into rows.
fn unnest(columns: &[Column], names: &str) -> String {
    let array = |(number, column): (usize, &Column)| match column.kind {
        Kind::Text | Kind::Json => format!("${number}::text[]"),
        Kind::Integer | Kind::Timestamp => format!("${number}::bigint[]"),
        Kind::Boolean => format!("${number}::boolean[]"),
    };
    let arrays: Vec<String> = (1..).zip(columns).map(array).collect();
    format!("UNNEST({}) AS given ({names})", arrays.join(", "))
}

fn postgres_taken(column: &Column) -> String {
    let name = quoted(column.name);
    if column.kind == Kind::Json { format!("{name}::jsonb") } else { name }
}

/// The name of an index. PostgreSQL would cut a longer one off, so that two might become one: its end then tells it apart.
fn index_name(table: &Relation, columns: &[&str]) -> String {
    let name = format!("{}_by_{}", table.name, columns.join("_"));
    if name.len() <= LONGEST_NAME {
        return quoted(&name);
    }
    let digest = hex::encode(&Sha256::digest(name.as_bytes())[..4]);
    quoted(&format!("{}_{digest}", &name[..LONGEST_NAME - 9]))
}

/// The names of a table's indexes.
pub fn index_names(table: &Relation) -> Vec<String> {
    table.spec.indexes.iter().map(|index| index_name(table, index).trim_matches('"').to_owned()).collect()
}

fn indexes(table: &Relation) -> impl Iterator<Item = String> {
    table.spec.indexes.iter().map(|index| {
        let columns = index.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        format!("CREATE INDEX IF NOT EXISTS {} ON {} ({columns})", index_name(table, index), quoted(&table.name))
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    use crate::table::TableSpec;

    static TABLE: TableSpec = TableSpec {
        name: "things",
        key: "id",
        columns: &[Column::text("id"), Column::boolean("good"), Column::json("parts")],
        indexes: &[&["good", "id"]],
    };

    #[test]
    fn both_dialects_come_from_one_description() {
        assert_eq!(
            Dialect::Sqlite.create(&Relation::live(&TABLE)),
            [
                "CREATE TABLE IF NOT EXISTS \"things\" (\"id\" TEXT PRIMARY KEY, \"good\" INTEGER, \"parts\" TEXT)",
                "CREATE INDEX IF NOT EXISTS \"things_by_good_id\" ON \"things\" (\"good\", \"id\")"
            ]
        );
        assert_eq!(
            Dialect::Postgres.create(&Relation::live(&TABLE))[0],
            "CREATE TABLE IF NOT EXISTS \"things\" (\"id\" TEXT COLLATE \"C\" PRIMARY KEY, \"good\" BOOLEAN, \"parts\" JSONB)"
        );
        assert_eq!(
            Dialect::Postgres.load(&Relation::live(&TABLE)),
            "SELECT to_jsonb(\"things\")::text FROM \"things\" WHERE \"id\" = ANY($1)"
        );
        let conflict = "ON CONFLICT (\"id\") DO UPDATE SET \"good\" = excluded.\"good\", \"parts\" = excluded.\"parts\"";
        let names = "\"id\", \"good\", \"parts\"";
        assert_eq!(
            Dialect::Sqlite.upsert(&Relation::live(&TABLE), 2),
            format!("INSERT INTO \"things\" ({names}) VALUES (?, ?, ?), (?, ?, ?) {conflict}")
        );
        assert_eq!(
            Dialect::Postgres.upsert(&Relation::live(&TABLE), 2),
            format!(
                "INSERT INTO \"things\" ({names}) SELECT \"id\", \"good\", \"parts\"::jsonb \
                 FROM UNNEST($1::text[], $2::boolean[], $3::text[]) AS given ({names}) {conflict}"
            )
        );
    }
}
