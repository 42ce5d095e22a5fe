//! Saves a fold beside the owner's work, one save at a time.

use crate::{
    WriterConfig,
    fold::Fold,
    snapshots::{SnapshotError, Snapshots},
    tripwire,
};
use event_sourcing::Aggregate;
use std::sync::Arc;
use tokio::{task::JoinHandle, time::Instant};

/// A save on its way.
struct Running {
    /// The snapshots to which it is written, and the offset up to which it goes.
    snapshots: Arc<Snapshots>,
    next: i64,
    task: JoinHandle<Result<(), SnapshotError>>,
}

/// How a save ended.
pub(crate) struct Ended {
    snapshots: Arc<Snapshots>,
    next: i64,
    outcome: Result<(), SnapshotError>,
}

/// Decides when a fold is saved. A fold waits for a save only when it ends, or when it replays faster than it can be saved.
pub(crate) struct Saver {
    running: Option<Running>,
    due: Option<Instant>,
    /// After a save that failed, the next begins no sooner.
    not_before: Option<Instant>,
    config: WriterConfig,
}

impl Saver {
    pub fn new(config: WriterConfig) -> Self {
        Self { running: None, due: None, not_before: None, config }
    }

    /// Waits until a save ends, whose outcome is then to be passed to [`Self::proceed`], or until one is due.
    pub async fn next(&mut self) -> Option<Ended> {
        match (&mut self.running, self.due) {
            (Some(running), _) => {
                let outcome = (&mut running.task).await.unwrap_or_else(|error| Err(SnapshotError::Defect(error.to_string())));
                self.running.take().map(|Running { snapshots, next, .. }| Ended { snapshots, next, outcome })
            }
            (None, Some(due)) => {
                tokio::time::sleep_until(due).await;
                None
            }
            (None, None) => std::future::pending().await,
        }
    }

    /// Takes the outcome of a save, if one has ended, and begins the next if it is due.
    pub fn proceed<A: Aggregate>(&mut self, ended: Option<Ended>, fold: &mut Fold<A>) {
        let now = Instant::now();
        if let Some(Ended { snapshots, next, outcome }) = ended {
            self.not_before = outcome.is_err().then(|| now + self.config.save_every);
            fold.known.saved(&snapshots, next, outcome);
        }
        if self.running.is_some() || !fold.has_news() {
            return;
        }
        if let Some(later) = self.not_before.filter(|later| *later > now) {
            self.due = Some(later);
            return;
        }
        let now_due = self.due.is_some_and(|due| due <= now);
        if now_due || fold.known.aggregates.unsaved() >= self.config.save_after {
            self.begin(fold);
        } else if self.due.is_none() {
            self.due = Some(Instant::now() + self.config.save_every);
        }
    }

    fn begin<A: Aggregate>(&mut self, fold: &mut Fold<A>) {
        self.due = None;
        let Some((snapshots, save)) = fold.save() else { return };
        let (store, next) = (snapshots.clone(), save.stand.next);
        let partition = fold.source.partition;
        let task = tokio::task::spawn_blocking(move || {
            tripwire::pass("saver", partition);
            store.save(save)
        });
        self.running = Some(Running { snapshots, next, task });
    }

    /// Whether more has changed than may be in memory, and a save is on its way that will help.
    pub fn is_behind<A: Aggregate>(&self, fold: &Fold<A>) -> bool {
        self.running.is_some() && fold.known.aggregates.unsaved() >= self.config.live_aggregates.max(self.config.save_after)
    }

    /// Waits for the save that runs.
    pub async fn settle<A: Aggregate>(&mut self, fold: &mut Fold<A>) {
        if self.running.is_some()
            && let Some(Ended { snapshots, next, outcome }) = self.next().await
        {
            fold.known.saved(&snapshots, next, outcome);
        }
    }

    /// Saves all that is not saved yet.
    pub async fn finish<A: Aggregate>(mut self, fold: &mut Fold<A>) {
        self.settle(fold).await;
        if fold.has_news() {
            self.begin(fold);
            self.settle(fold).await;
        }
    }
}
