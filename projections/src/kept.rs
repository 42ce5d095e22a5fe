//! A view with its table and its reader's name; those of a shadow differ from the live view's.

use crate::{
    database::{DatabaseError, There, Transaction},
    table::Relation,
    view::{Changes, ErasedView},
};
use event_sourcing::{AnyEvent, Recorded};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// From this many new rows on, they go into plain inserts of their own; fewer go into the upsert with the other rows.
const MANY_NEW: usize = 64;

/// A view, the table that holds its rows, and the name under which its checkpoint and its dead letters stand.
#[derive(Clone)]
pub(crate) struct Kept {
    pub view: ErasedView,
    pub table: Relation,
    pub reader: String,
}

impl Kept {
    /// The version of the view that has this table and this reader's name.
    pub fn version(view: ErasedView, table: &str, reader: &str) -> Self {
        Self { table: Relation::named(view.table(), table), reader: reader.to_owned(), view }
    }

    /// The view's shadow for this purpose, beside this version.
    pub fn shadow(&self, purpose: &str) -> Self {
        Self { table: self.table.shadow(purpose), reader: format!("{purpose}/{}", self.reader), view: self.view.clone() }
    }

    /// Whether the view reads this log.
    pub fn reads(&self, service: &str) -> bool {
        self.view.sources().include(service)
    }
}

/// Runs a view's code and turns a panic into an error of the event at hand, so that the reader survives it.
fn guarded<T>(view: impl FnOnce() -> T) -> Result<T, DatabaseError> {
    catch_unwind(AssertUnwindSafe(view)).map_err(|panic| {
        let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
        DatabaseError::View(words.unwrap_or_default())
    })
}

impl Transaction {
    /// Folds records into a view's table.
    pub(crate) async fn keep(&mut self, kept: &Kept, records: &[&Recorded<AnyEvent>]) -> Result<(), DatabaseError> {
        let (events, keys) = guarded(|| {
            let events = kept.view.read(records);
            let keys = events.keys();
            (events, keys)
        })?;
        let loaded = self.load(&kept.table, keys).await?;
        let Changes { count, new, mut written, deleted } = guarded(|| events.fold(loaded))??;
        let mut rows = std::iter::from_fn(|| guarded(|| written.next()).transpose().map(|row| Ok(row??)));
        if new < MANY_NEW {
            self.put(&kept.table, There::Replaced, count, rows).await?;
        } else {
            self.put(&kept.table, There::Replaced, count - new, rows.by_ref()).await?;
            self.put(&kept.table, There::Refused, new, rows).await?;
        }
        self.delete(&kept.table, deleted).await.map(drop)
    }

    /// As [`Transaction::keep`] for one record, behind a savepoint: if it fails, only its own writes are rolled back, and the transaction
    /// goes on.
    pub(crate) async fn try_keep(&mut self, kept: &Kept, record: &Recorded<AnyEvent>) -> Result<(), DatabaseError> {
        self.execute("SAVEPOINT one_record".to_owned(), Vec::new()).await?;
        let done = self.keep(kept, &[record]).await;
        if done.is_err() {
            self.execute("ROLLBACK TO SAVEPOINT one_record".to_owned(), Vec::new()).await?;
        }
        self.execute("RELEASE SAVEPOINT one_record".to_owned(), Vec::new()).await?;
        done
    }
}
