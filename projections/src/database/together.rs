//! Rows by their keys: who asks while others are being read is read together with whoever else came meanwhile.
//!
//! To read one row is an exchange with the database and hardly any work, so fifty at once cost little more than one. Nobody waits for company:
//! what comes alone is read alone, and the more come the more are read at once. A statement begins after all that it answers was asked.

use super::{Bind, Database, DatabaseError};
use crate::table::{Relation, TableSpec};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::{Semaphore, oneshot};

/// So many statements for one table are under way at once.
const AT_ONCE: usize = 2;

/// A row's JSON, where there is a row.
type Found = Result<Option<String>, DatabaseError>;

/// Who waits for a row.
#[derive(Debug)]
struct Lookup {
    key: String,
    found: oneshot::Sender<Found>,
}

/// Those who wait for rows of one table; whose turn it is reads for all of them.
#[derive(Debug)]
pub(super) struct Together {
    waiting: Mutex<Vec<Lookup>>,
    turns: Semaphore,
}

/// One for each table that was asked for, by its name.
pub(super) type Tables = Arc<Mutex<HashMap<&'static str, Arc<Together>>>>;

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
    pub(super) async fn text(&self, table: &'static TableSpec, key: &str) -> Found {
        let together = self.tables.lock().entry(table.name).or_insert_with(Together::new).clone();
        loop {
            let mut answer = together.ask(key);
            let found = match together.turns.try_acquire() {
                // Whoever has waited for an answer before it comes from himself wakes himself once more.
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
            // Else who read for all was given up by its caller before it had read.
            if let Ok(found) = found {
                return found;
            }
        }
    }

    async fn read_waiting(&self, table: &'static TableSpec, together: &Together) {
        let waiting = std::mem::take(&mut *together.waiting.lock());
        if waiting.is_empty() {
            return;
        }
        let keys = Bind::Keys(waiting.iter().map(|one| one.key.clone()).collect());
        let rows = self.pairs(self.dialect().load_with_keys(&Relation::live(table)), vec![keys]).await;
        for Lookup { key, found } in waiting {
            // Who is not there any more was given up.
            let _ = found.send(rows.as_ref().map(|rows| rows.get(&key).cloned()).map_err(|error| error.clone().into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, database::Pools};
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
        database.read_waiting(&SPEC, &together).await;
        for mut answer in asked {
            assert!(answer.try_recv().unwrap().unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn who_reads_for_others_may_be_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let database = things(&folder).await;
        let Pools::Sqlite { readers, .. } = &database.pools else { panic!("it is SQLite") };
        // While these are held, whoever reads waits.
        let held = join_all((0..readers.options().get_max_connections()).map(|_| readers.acquire())).await;
        let [mut first, mut second, mut third, mut fourth] = ["a", "b", "c", "d"].map(|key| database.text(&SPEC, key).boxed());
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
