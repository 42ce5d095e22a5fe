//! A batch's rows, written by few statements.

use super::{DatabaseError, Dialect, Transaction};
use crate::table::{Column, Kind, Relation};
use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;

/// The most rows of one statement on SQLite, which takes 32,766 parameters: a power of two.
const MOST_ROWS: usize = 512;

/// A row's value in a column.
enum Cell {
    Text(Option<String>),
    Integer(Option<i64>),
    Boolean(Option<bool>),
}

impl Cell {
    fn of(column: &Column, row: &mut Map<String, Value>) -> Result<Self, DatabaseError> {
        let value = row.remove(column.name).unwrap_or_default();
        match (column.kind, value) {
            (Kind::Text, Value::String(text)) => Ok(Self::Text(Some(without_null(text)))),
            (Kind::Text | Kind::Json, Value::Null) => Ok(Self::Text(None)),
            (Kind::Text, value) => Ok(Self::Text(Some(value.to_string()))),
            (Kind::Json, value) => Ok(Self::Text(Some(storable(value.to_string())))),
            (Kind::Integer | Kind::Timestamp, Value::Null) => Ok(Self::Integer(None)),
            (Kind::Boolean, Value::Null) => Ok(Self::Boolean(None)),
            (Kind::Integer | Kind::Timestamp, value) => {
                value.as_i64().map(|number| Self::Integer(Some(number))).ok_or_else(|| unfit(column, &value))
            }
            (Kind::Boolean, value) => value.as_bool().map(|flag| Self::Boolean(Some(flag))).ok_or_else(|| unfit(column, &value)),
        }
    }

    fn text(self) -> Option<String> {
        if let Self::Text(text) = self { text } else { None }
    }

    fn integer(self) -> Option<i64> {
        if let Self::Integer(number) = self { number } else { None }
    }

    fn boolean(self) -> Option<bool> {
        if let Self::Boolean(flag) = self { flag } else { None }
    }
}

fn unfit(column: &Column, value: &Value) -> DatabaseError {
    let why = format!("{} is {:?} of 64 bits at most and cannot hold {value}", column.name, column.kind);
    DatabaseError::Row(serde::de::Error::custom(why))
}

/// The rows' cells, column by column.
fn columns(table: &Relation, rows: Vec<Value>) -> Result<Vec<(Kind, Vec<Cell>)>, DatabaseError> {
    let mut columns: Vec<(Kind, Vec<Cell>)> =
        table.spec.columns.iter().map(|column| (column.kind, Vec::with_capacity(rows.len()))).collect();
    for row in rows {
        let mut row = if let Value::Object(row) = row { row } else { Map::new() };
        for (column, (_, cells)) in table.spec.columns.iter().zip(&mut columns) {
            cells.push(Cell::of(column, &mut row)?);
        }
    }
    Ok(columns)
}

/// How many rows each statement takes: powers of two, so that few different statements are ever prepared.
fn portions(mut rows: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let portion = MOST_ROWS.min(1 << rows.checked_ilog2()?);
        rows -= portion;
        Some(portion)
    })
}

impl Transaction {
    /// Writes rows, new and old.
    pub(crate) async fn upsert(&mut self, table: &Relation, rows: Vec<Value>) -> Result<(), DatabaseError> {
        if rows.is_empty() {
            return Ok(());
        }
        let count = rows.len();
        let columns = columns(table, rows)?;
        match self {
            Self::Postgres(open) => {
                let statement = sqlx::query(AssertSqlSafe(Dialect::Postgres.upsert(table, count)));
                let query = columns.into_iter().fold(statement, |query, (kind, cells)| match kind {
                    Kind::Text | Kind::Json => query.bind(cells.into_iter().map(Cell::text).collect::<Vec<_>>()),
                    Kind::Integer | Kind::Timestamp => query.bind(cells.into_iter().map(Cell::integer).collect::<Vec<_>>()),
                    Kind::Boolean => query.bind(cells.into_iter().map(Cell::boolean).collect::<Vec<_>>()),
                });
                query.execute(&mut **open).await?;
            }
            Self::Sqlite(open) => {
                let mut columns: Vec<_> = columns.into_iter().map(|(_, cells)| cells.into_iter()).collect();
                for portion in portions(count) {
                    let mut query = sqlx::query(AssertSqlSafe(Dialect::Sqlite.upsert(table, portion)));
                    for _ in 0..portion {
                        for cell in columns.iter_mut().filter_map(Iterator::next) {
                            query = match cell {
                                Cell::Text(text) => query.bind(text),
                                Cell::Integer(number) => query.bind(number),
                                Cell::Boolean(flag) => query.bind(flag),
                            };
                        }
                    }
                    query.execute(&mut **open).await?;
                }
            }
        }
        Ok(())
    }
}

/// U+FFFD stands for U+0000, which neither database keeps in text: one odd character in an event must not stop a view.
fn without_null(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// The same for the text of a JSON value.
fn storable(text: String) -> String {
    if !text.contains("\\u0000") {
        return text;
    }
    // An escaped backslash is taken first, so that the text `\\u0000` (a backslash and five characters) stays what it is.
    text.split("\\\\").map(|part| part.replace("\\u0000", "\\ufffd")).collect::<Vec<_>>().join("\\\\")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_null_character_is_replaced_and_its_spelling_is_not() {
        let stored: Value = serde_json::from_str(&storable(json!(["a\u{0}b", "a\\u0000b"]).to_string())).expect("JSON");
        assert_eq!(stored, json!(["a\u{fffd}b", "a\\u0000b"]));
        assert_eq!(without_null("a\u{0}b\\u0000".into()), "a\u{fffd}b\\u0000");
    }

    #[test]
    fn rows_go_in_powers_of_two() {
        assert_eq!(portions(1_000).collect::<Vec<_>>(), [512, 256, 128, 64, 32, 8]);
        assert_eq!(portions(1_025).collect::<Vec<_>>(), [512, 512, 1]);
        assert_eq!(portions(0).count(), 0);
    }

    #[test]
    fn what_a_column_cannot_hold_is_an_error_that_names_it() {
        let Err(error) = Cell::of(&Column::integer("total"), &mut Map::from_iter([("total".to_owned(), json!(u64::MAX))])) else {
            panic!("it fits")
        };
        assert!(error.is_poison() && error.to_string().contains("total"), "{error}");
    }
}
