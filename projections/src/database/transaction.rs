//! Statements on either database: text in, text out.

use super::{Database, DatabaseError, Dialect, Pools, lease::Lease};
use sqlx::{AssertSqlSafe, Postgres, Sqlite, postgres::PgArguments, query::Query, sqlite::SqliteArguments};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// How long a statement may take that changes tables or compares them.
const LONG: Duration = Duration::from_secs(600);

/// A value for a statement's parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bind {
    Text(String),
    Integer(i64),
    OptionalInteger(Option<i64>),
    /// Keys for `IN`: a JSON array on SQLite, an array of text on PostgreSQL.
    Keys(Vec<String>),
}

fn for_sqlite(sql: String, binds: Vec<Bind>) -> Query<'static, Sqlite, SqliteArguments> {
    binds.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, bind| match bind {
        Bind::Text(text) => query.bind(text),
        Bind::Integer(number) => query.bind(number),
        Bind::OptionalInteger(number) => query.bind(number),
        Bind::Keys(keys) => query.bind(serde_json::Value::from(keys).to_string()),
    })
}

fn for_postgres(sql: String, binds: Vec<Bind>) -> Query<'static, Postgres, PgArguments> {
    binds.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, bind| match bind {
        Bind::Text(text) => query.bind(text),
        Bind::Integer(number) => query.bind(number),
        Bind::OptionalInteger(number) => query.bind(number),
        Bind::Keys(keys) => query.bind(keys),
    })
}

/// The first column of each row, which is text.
fn texts<R: sqlx::Row>(rows: Vec<R>) -> Result<Vec<String>, DatabaseError>
where
    usize: sqlx::ColumnIndex<R>,
    String: for<'r> sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    rows.iter().map(|row| row.try_get(0).map_err(DatabaseError::from)).collect()
}

/// The second column of each row by its first; both are text.
fn pairs<R: sqlx::Row>(rows: Vec<R>) -> Result<HashMap<String, String>, sqlx::Error>
where
    usize: sqlx::ColumnIndex<R>,
    String: for<'r> sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// A transaction. Dropped without a commit it is rolled back.
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(Lease),
}

impl Transaction {
    /// Runs a statement; says how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: String, binds: Vec<Bind>) -> Result<u64, DatabaseError> {
        Ok(match self {
            Self::Sqlite(open) => for_sqlite(sql, binds).execute(&mut **open).await?.rows_affected(),
            Self::Postgres(open) => open.execute(for_postgres(sql, binds)).await?,
        })
    }

    /// Runs a query; answers its first column.
    pub(crate) async fn texts(&mut self, sql: String, binds: Vec<Bind>) -> Result<Vec<String>, DatabaseError> {
        match self {
            Self::Sqlite(open) => texts(for_sqlite(sql, binds).fetch_all(&mut **open).await?),
            Self::Postgres(open) => texts(open.fetch_all(for_postgres(sql, binds)).await?),
        }
    }

    /// Makes the commit wait for the database's disk, whatever the session's setting. Otherwise a crash of the database could lose an
    /// errand or a letter, and a process that lives on could move the checkpoint past its record again.
    pub(crate) async fn commit_durably(&mut self) -> Result<(), DatabaseError> {
        match self.dialect() {
            Dialect::Sqlite => Ok(()),
            Dialect::Postgres => self.execute("SET LOCAL synchronous_commit = on".to_owned(), Vec::new()).await.map(drop),
        }
    }

    /// Allows its further statements this long each, on PostgreSQL, where each has a few seconds otherwise.
    pub(crate) async fn allow(&mut self, limit: Duration) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(open) => Ok(open.allow(limit).await?),
        }
    }

    /// Commits: all its changes become visible at once.
    pub(crate) async fn commit(self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(open) => open.commit().await?,
            Self::Postgres(open) => open.commit().await?,
        }
        Ok(())
    }
}

impl Database {
    /// Begins a transaction that writes. On SQLite it takes the write lock at once: a transaction that has read cannot begin to write once
    /// another one has written.
    pub(crate) async fn begin(&self) -> Result<Transaction, DatabaseError> {
        Ok(match &self.pools {
            Pools::Sqlite { writer, .. } => Transaction::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Pools::Postgres(server) => Transaction::Postgres(server.begin("BEGIN").await?),
        })
    }

    /// Begins a transaction that only reads, all of it from one snapshot, whatever is written meanwhile.
    pub(crate) async fn snapshot(&self) -> Result<Transaction, DatabaseError> {
        Ok(match &self.pools {
            Pools::Sqlite { readers, .. } => Transaction::Sqlite(readers.begin().await?),
            Pools::Postgres(server) => {
                let mut lease = server.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
                lease.allow(LONG).await?;
                Transaction::Postgres(lease)
            }
        })
    }

    /// Begins a transaction whose statements may take long: it changes tables, or waits for locks that somebody else holds for long.
    pub(crate) async fn begin_long(&self) -> Result<Transaction, DatabaseError> {
        let mut open = self.begin().await?;
        open.allow(LONG).await?;
        Ok(open)
    }

    /// Runs a statement that is a transaction by itself; says how many rows it changed.
    pub(crate) async fn execute(&self, sql: String, binds: Vec<Bind>) -> Result<u64, DatabaseError> {
        Ok(match &self.pools {
            Pools::Sqlite { writer, .. } => for_sqlite(sql, binds).execute(writer).await?.rows_affected(),
            Pools::Postgres(server) => server.lease().await?.execute(for_postgres(sql, binds)).await?,
        })
    }

    /// Runs a statement that is a transaction by itself; answers its first column.
    pub(crate) async fn execute_for_texts(&self, sql: String, binds: Vec<Bind>) -> Result<Vec<String>, DatabaseError> {
        match &self.pools {
            Pools::Sqlite { writer, .. } => texts(for_sqlite(sql, binds).fetch_all(writer).await?),
            Pools::Postgres(server) => texts(server.lease().await?.fetch_all(for_postgres(sql, binds)).await?),
        }
    }

    /// Runs a query outside of any transaction; answers its second column by its first.
    pub(crate) async fn pairs(&self, sql: String, binds: Vec<Bind>) -> Result<HashMap<String, String>, Arc<sqlx::Error>> {
        let pairs = match &self.pools {
            Pools::Sqlite { readers, .. } => for_sqlite(sql, binds).fetch_all(readers).await.and_then(pairs),
            Pools::Postgres(server) => self.kept.fetch_all(server, for_postgres(sql, binds)).await.and_then(pairs),
        };
        pairs.map_err(Arc::new)
    }

    /// Runs a query outside of any transaction; answers its first column.
    pub(crate) async fn texts(&self, sql: String, binds: Vec<Bind>) -> Result<Vec<String>, DatabaseError> {
        match &self.pools {
            Pools::Sqlite { readers, .. } => texts(for_sqlite(sql, binds).fetch_all(readers).await?),
            Pools::Postgres(server) => texts(server.lease().await?.fetch_all(for_postgres(sql, binds)).await?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fill(database: &Database) -> Result<(), DatabaseError> {
        let mut open = database.begin().await?;
        open.execute("INSERT INTO notes VALUES ($1)".to_owned(), vec![Bind::Text("x".repeat(1 << 20))]).await?;
        open.commit().await
    }

    #[tokio::test]
    async fn a_database_whose_disk_was_full_writes_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(&format!("sqlite://{}/a.db", folder.path().display())).await.expect("a database");
        database.execute("CREATE TABLE notes (text TEXT)".to_owned(), Vec::new()).await.expect("a table");
        // The limit is the connection's: SQLite then fails as on a full disk, and ends the transaction by itself.
        database.execute_for_texts("PRAGMA max_page_count = 1".to_owned(), Vec::new()).await.ok();
        let full = fill(&database).await.expect_err("there is no room");
        assert!(full.to_string().contains("full"), "{full}");
        fill(&database).await.expect("there is room again");
    }
}
