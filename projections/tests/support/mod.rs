//! Databases for tests: a SQLite file of the test's own, and a PostgreSQL database of the test's own where one is to be had.

use projections::Database;
use std::{
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;

/// A database with a new name.
pub struct Fresh {
    /// Which kind it is, for messages.
    pub kind: &'static str,
    /// Its address, so that a test can open it again.
    pub url: String,
    _folder: Option<TempDir>,
}

impl Fresh {
    /// Opens it; every call makes connections of its own, as another process would.
    pub async fn open(&self) -> Database {
        Database::open(&self.url).await.unwrap()
    }
}

/// A fresh database of each kind that is to be had here.
pub fn fresh() -> Vec<Fresh> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/nested/view.db", folder.path().display());
    let mut all = vec![Fresh { kind: "sqlite", url, _folder: Some(folder) }];
    match std::env::var("DAYBOOK_POSTGRES") {
        Ok(server) => all.push(Fresh { kind: "postgres", url: format!("{}/{}", server.trim_end_matches('/'), name()), _folder: None }),
        Err(_) => eprintln!("DAYBOOK_POSTGRES is not set: this test runs on SQLite alone"),
    }
    all
}

fn name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    format!("daybook_test_{now}_{}_{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Sets all readers of a database back to the beginning of their logs, with all that they have made: their rows and letters. What was
/// dropped for good stays.
#[allow(dead_code)]
pub async fn begin_anew(url: &str) {
    run(url, "DELETE FROM checkpoints").await;
    run(url, "DELETE FROM dead_letters").await;
    run(url, &format!("DELETE FROM {}", table_of(url, "members").await)).await;
}

/// The name of the table that answers a view's reads.
#[allow(dead_code)]
pub async fn table_of(url: &str, view: &str) -> String {
    value(url, &format!("SELECT table_name FROM view_versions WHERE view = '{view}' AND state = 'ready'")).await
}

/// The text that a query answers, asked behind the views' back.
#[allow(dead_code)]
pub async fn value(url: &str, query: &str) -> String {
    let query = sqlx::AssertSqlSafe(query.to_owned());
    if url.starts_with("sqlite") {
        sqlx::query_scalar(query).fetch_one(&sqlx::SqlitePool::connect(url).await.unwrap()).await.unwrap()
    } else {
        sqlx::query_scalar(query).fetch_one(&sqlx::PgPool::connect(url).await.unwrap()).await.unwrap()
    }
}

/// Runs a statement on a database behind the views' back.
#[allow(dead_code)]
pub async fn run(url: &str, statement: &str) {
    let statement = sqlx::AssertSqlSafe(statement.to_owned());
    if url.starts_with("sqlite") {
        sqlx::query(statement).execute(&sqlx::SqlitePool::connect(url).await.unwrap()).await.unwrap();
    } else {
        sqlx::query(statement).execute(&sqlx::PgPool::connect(url).await.unwrap()).await.unwrap();
    }
}
