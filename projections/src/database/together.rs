//! Reads rows by their keys: lookups that come while a statement runs share the next one.
//!
//! Reading one row is a round trip to the database and hardly any work, so fifty at once cost little more than one. No lookup is delayed so
//! that others can join it: one that comes alone is read alone, and the more come, the more each statement reads. A statement begins after
//! all the lookups that it answers, so none of them gets an older row.

use super::{Bind, Database, DatabaseError};
use crate::table::Relation;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::{Semaphore, oneshot};

/// The most statements for one table that run at once.
const AT_ONCE: usize = 2;

/// A row's JSON, if there is such a row.
type Found = Result<Option<String>, DatabaseError>;

/// A lookup that waits for its row.
#[derive(Debug)]
struct Lookup {
    key: String,
    found: oneshot::Sender<Found>,
}

/// The lookups that wait for rows of one table; the caller that gets a turn reads the rows of them all.
#[derive(Debug)]
pub(super) struct Together {
    waiting: Mutex<Vec<Lookup>>,
    turns: Semaphore,
}

/// The lookups of each table that was asked for, by the table's name.
pub(super) type Tables = Arc<Mutex<HashMap<String, Arc<Together>>>>;

impl Together {
    fn new() -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::default(), turns: Semaphore::new(AT_ONCE) })
    }

    fn ask(&self, key: &str) -> oneshot::Receiver<Found> {
        let (found, answer) = oneshot::channel();
        self.waiting.lock().push(Lookup { key: key.to_owned(), found });
        answer
    }
}

impl Database {
    /// The row of a key as JSON text, where there is one.
    pub(super) async fn text(&self, table: &Relation, key: &str) -> Found {
        let together = self.together(table);
        loop {
            let mut answer = together.ask(key);
            let found = match together.turns.try_acquire() {
                // Not by `select!`: once `answer` is polled, sending it from this task would wake this task once more for nothing.
                Ok(_turn) => {
                    self.read_waiting(table, &together).await;
                    answer.await
                }
                Err(_none) => tokio::select! {
                    biased;
                    found = &mut answer => found,
                    _turn = together.turns.acquire() => {
                        self.read_waiting(table, &together).await;
                        answer.await
                    }
                },
            };
            // No answer: the caller that read for all was cancelled before it had read. Ask again.
            if let Ok(found) = found {
                return found;
            }
        }
    }

    fn together(&self, table: &Relation) -> Arc<Together> {
        let mut tables = self.tables.lock();
        match tables.get(&table.name) {
            Some(together) => together.clone(),
            None => tables.entry(table.name.clone()).or_insert_with(Together::new).clone(),
        }
    }

    async fn read_waiting(&self, table: &Relation, together: &Together) {
        let waiting = std::mem::take(&mut *together.waiting.lock());
        if waiting.is_empty() {
            return;
        }
        let keys = Bind::Keys(waiting.iter().map(|one| one.key.clone()).collect());
        let rows = self.pairs(self.dialect().load_with_keys(table), vec![keys]).await;
        for Lookup { key, found } in waiting {
            // A lookup that was cancelled no longer listens.
            let _ = found.send(rows.as_ref().map(|rows| rows.get(&key).cloned()).map_err(|error| error.clone().into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, TableSpec, database::Pools};
    use futures::{FutureExt, future::join_all, poll};
    use std::time::Duration;

    static SPEC: TableSpec = TableSpec { name: "things", key: "id", columns: &[Column::text("id")], indexes: &[] };

    async fn things(folder: &tempfile::TempDir) -> Database {
        let database = Database::open(&format!("sqlite://{}/a.db", folder.path().display())).await.unwrap();
        database.create([&Relation::live(&SPEC)]).await.unwrap();
        database
    }

    #[tokio::test]
    async fn one_statement_answers_all_who_wait() {
        let folder = tempfile::tempdir().unwrap();
        let (database, together) = (things(&folder).await, Together::new());
        let asked = ["a", "b", "a"].map(|key| together.ask(key));
        database.read_waiting(&Relation::live(&SPEC), &together).await;
        for mut answer in asked {
            assert!(answer.try_recv().unwrap().unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn who_reads_for_others_may_be_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let (database, table) = (things(&folder).await, Relation::live(&SPEC));
        let Pools::Sqlite { readers, .. } = &database.pools else { panic!("it is SQLite") };
        // While these connections are held, every reader waits.
        let held = join_all((0..readers.options().get_max_connections()).map(|_| readers.acquire())).await;
        let [mut first, mut second, mut third, mut fourth] = ["a", "b", "c", "d"].map(|key| database.text(&table, key).boxed());
        for one in [&mut first, &mut second, &mut third, &mut fourth] {
            assert!(poll!(one).is_pending());
        }
        let waiting = || database.tables.lock()[SPEC.name].waiting.lock().len();
        assert_eq!(waiting(), 2, "the third and the fourth");
        drop(first);
        assert!(poll!(&mut third).is_pending());
        assert_eq!(waiting(), 0, "the third reads for both");
        drop(third);
        drop(held);
        let both = tokio::time::timeout(Duration::from_secs(20), futures::future::join(second, fourth)).await.unwrap();
        assert!(matches!(both, (Ok(None), Ok(None))));
    }
}
