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
