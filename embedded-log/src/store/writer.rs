//! The one thread that writes. Whatever waits when it begins a transaction goes into that transaction, so one sync serves all of it.

use super::{
    Shared,
    disk::OpenDatabase,
    draft::{Changes, Draft},
    ledger::Ledger,
    tables,
};
use redb::Database;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, TryRecvError},
    },
};

/// Tells whoever asked what became of it. It is dropped instead if the transaction fails, which tells them so.
pub(super) type Answer = Box<dyn FnOnce() + Send>;
/// What is to be done in a transaction.
pub(super) type Work = Box<dyn FnOnce(&mut Draft<'_>) -> Result<Answer, redb::Error> + Send>;

/// What the writer is asked for.
pub(super) enum Job {
    /// To write.
    Write(Work),
    /// To open the database again if it was given up. A reader asks for it; the sender is dropped when it is done.
    Reopen(Sender<()>),
}

/// So much work goes into one transaction at most; the rest waits for the next.
const MOST_JOBS: usize = 4_096;

pub(super) struct Writer {
    shared: Arc<Shared>,
    jobs: Receiver<Job>,
    /// None after a failure, until the database has been opened again.
    ledger: Option<Ledger>,
    /// True after a failure, until a transaction has been synced. A sync that failed may have left bytes in the system's cache that are not
    /// on the disk; nothing that rests on them is acknowledged or shown before a sync has succeeded.
    is_unsure: bool,
    recoveries: u128,
}

impl Writer {
    pub fn new(shared: Arc<Shared>, jobs: Receiver<Job>, ledger: Ledger) -> Self {
        Self { shared, jobs, ledger: Some(ledger), is_unsure: false, recoveries: 0 }
    }

    /// Writes until nobody can ask for anything any more.
    pub fn run(mut self) {
        while let Ok(first) = self.jobs.recv() {
            let (group, _readers) = self.gather(first);
            let Some(database) = self.open() else { continue };
            if group.is_empty() {
                continue;
            }
            match catch_unwind(AssertUnwindSafe(|| self.write(&database, group))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.fail(&database, &error.to_string()),
                Err(_) => self.fail(&database, "the database panicked"),
            }
        }
    }

    /// Everything that waits: what is to be written, and the readers that wait for the database.
    fn gather(&self, first: Job) -> (Vec<Work>, Vec<Sender<()>>) {
        let (mut group, mut readers, mut next) = (Vec::new(), Vec::new(), Ok(first));
        loop {
            match next {
                Ok(Job::Write(work)) => group.push(work),
                Ok(Job::Reopen(reader)) => readers.push(reader),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return (group, readers),
            }
            if group.len() == MOST_JOBS {
                return (group, readers);
            }
            next = self.jobs.try_recv();
        }
    }

    fn write(&mut self, database: &Database, group: Vec<Work>) -> Result<(), redb::Error> {
        let Some(ledger) = self.ledger.as_mut() else { return Ok(()) };
        let mut write = database.begin_write()?;
        // A second sync, which saves what a start after a crash needs: without it such a start reads the whole file.
        write.set_quick_repair(true);
        let mut draft = Draft::new(&write, ledger, super::now())?;
        let answers = group.into_iter().map(|work| work(&mut draft)).collect::<Result<Vec<Answer>, _>>()?;
        if self.is_unsure {
            draft.set_number(tables::RECOVERIES, self.recoveries)?;
        }
        let changes = draft.finish()?;
        if changes.is_nothing() {
            write.abort()?;
        } else {
            write.commit()?;
        }
        self.publish(&changes);
        answers.into_iter().for_each(|answer| answer());
        Ok(())
    }

    /// Shows readers what is durable now.
    fn publish(&mut self, changes: &Changes) {
        let Some(ledger) = self.ledger.as_mut() else { return };
        if changes.topics || self.is_unsure {
            *self.shared.catalog.write() = Arc::new(ledger.catalog());
        }
        for key in &changes.grown {
            if let Some(state) = ledger.partitions.get_mut(key) {
                state.publish();
            }
        }
        // Those who wait for a record of a deleted partition look again, and find no topic.
        changes.gone.iter().for_each(|partition| partition.retire());
        if std::mem::take(&mut self.is_unsure) {
            ledger.publish_all();
            tracing::info!("the log is written again");
        }
    }

    fn fail(&mut self, database: &Arc<OpenDatabase>, why: &str) {
        tracing::error!(why, "the log cannot be written; what was being appended is refused");
        self.shared.discard(database);
        self.ledger = None;
    }

    /// The database; it is opened again if it has failed. None if that fails, too: then the next request tries.
    fn open(&mut self) -> Option<Arc<OpenDatabase>> {
        if let Some(database) = self.shared.current()
            && self.ledger.is_some()
        {
            return Some(database);
        }
        self.ledger = None;
        match self.shared.reopen() {
            Ok((database, ledger)) => {
                (self.ledger, self.is_unsure) = (Some(ledger), true);
                self.recoveries += 1;
                Some(database)
            }
            Err(error) => {
                tracing::error!(%error, "the log cannot be opened again");
                None
            }
        }
    }
}
