//! Writes a batch's rows by few statements.

use super::{DatabaseError, Dialect, Transaction};
use crate::table::{Column, Kind, Relation};
use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;
use tokio::join;

/// The most rows of one statement on SQLite, which takes 32,766 parameters. `portions` needs a power of two.
const MOST_ROWS: usize = 512;
/// From this many rows on, serialising them takes longer than one more round trip to PostgreSQL.
const WORTH_A_STATEMENT: usize = 256;

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

/// Rows of a table, column by column.
struct Cells {
    rows: usize,
    columns: Vec<(Kind, Vec<Cell>)>,
}

impl Cells {
    fn of(table: &Relation, rows: impl Iterator<Item = Result<Value, DatabaseError>>) -> Result<Self, DatabaseError> {
        let columns = table.spec.columns.iter().map(|column| (column.kind, Vec::new())).collect();
        let mut cells = Self { rows: 0, columns };
        for row in rows {
            let mut row = if let Value::Object(row) = row? { row } else { Map::new() };
            for (column, (_, cells)) in table.spec.columns.iter().zip(&mut cells.columns) {
                cells.push(Cell::of(column, &mut row)?);
            }
            cells.rows += 1;
        }
        Ok(cells)
    }
}

/// How many rows each statement writes, few at first: while the database writes one portion, the next one is serialised.
fn portions(dialect: Dialect, rows: usize) -> Vec<usize> {
    match dialect {
        Dialect::Postgres if rows < WORTH_A_STATEMENT => vec![rows],
        Dialect::Postgres => vec![rows / 16, rows / 4, rows - rows / 16 - rows / 4],
        // Powers of two, so that few different statements are ever prepared.
        Dialect::Sqlite => {
            let small = (0..MOST_ROWS.ilog2()).map(|bit| 1 << bit).filter(|portion| rows & portion != 0);
            small.chain(std::iter::repeat_n(MOST_ROWS, rows / MOST_ROWS)).collect()
        }
    }
}

/// What happens to an existing row under the key of a row that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum There {
    /// It is replaced.
    Replaced,
    /// There must be none: if there is one, the statement fails with an error that is poison. A plain insert, without an upsert's check for
    /// conflicts, saves an eighth of PostgreSQL's time.
    Refused,
}

impl Transaction {
    /// Writes `count` rows; while the database writes one portion, the next one is serialised.
    pub(crate) async fn put(
        &mut self,
        table: &Relation,
        there: There,
        count: usize,
        mut rows: impl Iterator<Item = Result<Value, DatabaseError>>,
    ) -> Result<(), DatabaseError> {
        let mut made = None;
        for portion in portions(self.dialect(), count).into_iter().filter(|portion| *portion > 0) {
            let next = async { Cells::of(table, rows.by_ref().take(portion)) };
            let (written, next) = join!(self.write(table, there, made), next);
            written?;
            made = Some(next?);
        }
        self.write(table, there, made).await
    }

    async fn write(&mut self, table: &Relation, there: There, cells: Option<Cells>) -> Result<(), DatabaseError> {
        let Some(Cells { rows, columns }) = cells else { return Ok(()) };
        let statement = AssertSqlSafe(match there {
            There::Replaced => self.dialect().upsert(table, rows),
            There::Refused => self.dialect().insert(table, rows),
        });
        match self {
            Self::Postgres(open) => {
                let query = columns.into_iter().fold(sqlx::query(statement), |query, (kind, cells)| match kind {
                    Kind::Text | Kind::Json => query.bind(cells.into_iter().map(Cell::text).collect::<Vec<_>>()),
                    Kind::Integer | Kind::Timestamp => query.bind(cells.into_iter().map(Cell::integer).collect::<Vec<_>>()),
                    Kind::Boolean => query.bind(cells.into_iter().map(Cell::boolean).collect::<Vec<_>>()),
                });
                open.execute(query).await?;
            }
            Self::Sqlite(open) => {
                let mut columns: Vec<_> = columns.into_iter().map(|(_, cells)| cells.into_iter()).collect();
                let mut query = sqlx::query(statement);
                for _ in 0..rows {
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
        Ok(())
    }
}

/// Replaces U+0000, which neither database keeps in text, by U+FFFD: one odd character in an event must not stop a view.
fn without_null(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// The same for the text of a JSON value.
fn storable(text: String) -> String {
    if !text.contains("\\u0000") {
        return text;
    }
    // Split at escaped backslashes first, so that the text `\\u0000` (a backslash and five characters) stays what it is.
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
    fn all_rows_go_in_few_statements_the_smallest_first() {
        assert_eq!(portions(Dialect::Sqlite, 1_000), [8, 32, 64, 128, 256, 512]);
        assert_eq!(portions(Dialect::Sqlite, 1_025), [1, 512, 512]);
        assert_eq!(portions(Dialect::Postgres, 100), [100]);
        assert_eq!(portions(Dialect::Postgres, 1_001), [62, 250, 689]);
        assert_eq!(portions(Dialect::Sqlite, 0).len(), 0);
    }

    #[test]
    fn what_a_column_cannot_hold_is_an_error_that_names_it() {
        let Err(error) = Cell::of(&Column::integer("total"), &mut Map::from_iter([("total".to_owned(), json!(u64::MAX))])) else {
            panic!("it fits")
        };
        assert!(error.is_poison() && error.to_string().contains("total"), "{error}");
    }
}
