//! The peers on databases: the same rows into the same table, by one statement for each thousand.

use crate::views::Kind;
use anyhow::{Context, Result};
use projections::{Database, Kind as Holds, Relation, Table};
use serde::Serialize;
use serde_json::Value;
use shop::orders::views::orders::OrderRow;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, SqliteConnection, postgres::PgConnectOptions, sqlite::SqliteConnectOptions,
    sqlite::SqliteJournalMode, sqlite::SqliteSynchronous,
};
use std::str::FromStr;

/// A thousand rows, column by column, as a statement takes them.
pub struct Columns(Vec<Column>);

enum Column {
    Text(Vec<Option<String>>),
    Integer(Vec<Option<i64>>),
}

impl Columns {
    /// Of rows, which are JSON objects with a member for each column.
    pub fn of<'a, T: Serialize + 'a>(rows: impl Iterator<Item = &'a T>) -> Result<Self> {
        let rows: Vec<Value> = rows.map(serde_json::to_value).collect::<Result<_, _>>()?;
        let column = |column: &projections::Column| {
            let values = || rows.iter().map(|row| &row[column.name]);
            match column.kind {
                Holds::Text => Column::Text(values().map(|value| value.as_str().map(str::to_owned)).collect()),
                Holds::Json => Column::Text(values().map(|value| (!value.is_null()).then(|| value.to_string())).collect()),
                Holds::Integer | Holds::Boolean | Holds::Timestamp => Column::Integer(values().map(Value::as_i64).collect()),
            }
        };
        Ok(Self(OrderRow::SPEC.columns.iter().map(column).collect()))
    }

    fn rows(&self) -> usize {
        match self.0.first() {
            Some(Column::Text(values)) => values.len(),
            Some(Column::Integer(values)) => values.len(),
            None => 0,
        }
    }
}

/// A connection that inserts.
pub enum Peer {
    /// To PostgreSQL.
    Postgres(PgConnection, String),
    /// To SQLite.
    Sqlite(SqliteConnection, String),
}

static SPEC: projections::TableSpec = OrderRow::SPEC;

impl Peer {
    /// Makes the database and the view's table with its indexes, and connects.
    pub async fn open(kind: Kind, url: &str) -> Result<Self> {
        let database = Database::open(url).await?;
        database.create([&Relation::live(&SPEC)]).await?;
        database.close().await;
        Ok(match kind {
            Kind::Postgres => {
                // As Daybook's connections: neither waits for the disk.
                let options = PgConnectOptions::from_str(url)?.options([("synchronous_commit", "off")]);
                Self::Postgres(PgConnection::connect_with(&options).await?, unnest())
            }
            Kind::Sqlite => {
                let options =
                    SqliteConnectOptions::from_str(url)?.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Normal);
                Self::Sqlite(SqliteConnection::connect_with(&options).await?, String::new())
            }
        })
    }

    /// Inserts rows, in a transaction of their own.
    pub async fn insert(&mut self, columns: &Columns) -> Result<()> {
        match self {
            Self::Postgres(connection, statement) => {
                let query = columns.0.iter().fold(sqlx::query(AssertSqlSafe(statement.clone())), |query, column| match column {
                    Column::Text(values) => query.bind(values),
                    Column::Integer(values) => query.bind(values),
                });
                query.execute(connection).await.map(drop).context("UNNEST")
            }
            Self::Sqlite(connection, statement) => {
                if statement.is_empty() {
                    *statement = values(columns.rows());
                }
                let mut query = sqlx::query(AssertSqlSafe(statement.clone()));
                for row in 0..columns.rows() {
                    query = columns.0.iter().fold(query, |query, column| match column {
                        Column::Text(values) => query.bind(values[row].as_deref()),
                        Column::Integer(values) => query.bind(values[row]),
                    });
                }
                query.execute(connection).await.map(drop).context("VALUES")
            }
        }
    }
}

fn names() -> String {
    SPEC.columns.iter().map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
}

/// One array for each column.
fn unnest() -> String {
    let array = |(number, column): (usize, &projections::Column)| match column.kind {
        Holds::Text | Holds::Json => format!("${number}::text[]"),
        Holds::Integer | Holds::Boolean | Holds::Timestamp => format!("${number}::bigint[]"),
    };
    let arrays: Vec<String> = (1..).zip(SPEC.columns).map(array).collect();
    let taken = |column: &projections::Column| {
        if column.kind == Holds::Json { format!("\"{}\"::jsonb", column.name) } else { format!("\"{}\"", column.name) }
    };
    let taken: Vec<String> = SPEC.columns.iter().map(taken).collect();
    format!(
        "INSERT INTO \"{}\" ({names}) SELECT {} FROM UNNEST({}) AS given ({names})",
        SPEC.name,
        taken.join(", "),
        arrays.join(", "),
        names = names()
    )
}

/// One parameter for each column of each row.
fn values(rows: usize) -> String {
    let row = format!("({})", vec!["?"; SPEC.columns.len()].join(", "));
    format!("INSERT INTO \"{}\" ({}) VALUES {}", SPEC.name, names(), vec![row; rows].join(", "))
}
