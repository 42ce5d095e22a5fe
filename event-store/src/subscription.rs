//! Reading: batches of the records that count, partition by partition, with a checkpoint that is exact.

use crate::{Anchor, Log, Passed, Recorded, Waiting};
use bytes::Bytes;
use std::{fmt, sync::Arc};

/// One partition of one service's log: `orders/3`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId {
    /// The service's name: `orders`.
    pub service: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.partition)
    }
}

/// Where a reader stands: before `next`, in the run of `claim` or in none, with nothing held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// The next offset to read.
    pub next: i64,
    /// The offset of the current run's claim, where there is a run.
    pub claim: Option<i64>,
    /// Which record stood before `next`; none at the beginning, and where a reader of an earlier version has left it.
    pub anchor: Option<Anchor>,
}

impl Checkpoint {
    /// One whose anchor is not known.
    pub fn new(next: i64, claim: Option<i64>) -> Self {
        Self { next, claim, anchor: None }
    }
}

/// A record that counts: its framed bytes, not decoded yet.
pub type Counted = Recorded<Bytes>;

/// All the records that count between two checkpoints, in the log's order: a reader hands them on at once.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The partition that was read.
    pub source: PartitionId,
    /// Where the batch begins.
    pub from: Checkpoint,
    /// Where the reader stands after it. It moves on even when nothing counted.
    pub to: Checkpoint,
    /// The records that count.
    pub records: Vec<Counted>,
    /// All that were read.
    pub passed: Passed,
}

impl Batch {
    /// Whether somebody who stands here, between the batch's ends, has read the same record there; true where that is not known.
    pub fn passes(&self, stands: Checkpoint) -> bool {
        let known = [self.from, self.to].into_iter().find(|known| known.next == stands.next);
        let read = known.map_or_else(|| self.passed.anchor(stands.next), |known| known.anchor);
        stands.anchor.zip(read).is_none_or(|(theirs, ours)| theirs == ours)
    }
}

/// Why the handler did not take a batch.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Somebody else has moved the checkpoint: ask `start` again and read from there.
    #[error("the checkpoint of {0} was moved by another reader")]
    Moved(PartitionId),
    /// Not now: the same batch is handed over again after a pause.
    #[error("{0}")]
    Failed(String),
}

/// Takes the batches of a subscription. Those of one partition come one after the other; partitions run side by side.
#[async_trait::async_trait]
pub trait BatchHandler: Send + Sync + 'static {
    /// The checkpoint from which to read a partition that this process was just given.
    ///
    /// # Errors
    /// The checkpoint cannot be read now.
    async fn start(&self, source: &PartitionId) -> Result<Checkpoint, BatchError>;

    /// Where parts of it stand further on than its checkpoint, and which records they have read before: several views of one partition may
    /// stand at different places. By default there are none.
    ///
    /// # Errors
    /// They cannot be read now.
    async fn further(&self, _source: &PartitionId) -> Result<Vec<Checkpoint>, BatchError> {
        Ok(Vec::new())
    }

    /// Takes a batch whole, with its checkpoint, or not at all.
    ///
    /// # Errors
    /// [`BatchError::Moved`] where it begins elsewhere than the reader stands, [`BatchError::Failed`] where it can be tried again.
    async fn apply(&self, batch: &Batch) -> Result<(), BatchError>;

    /// Called when the log holds another record before this reader's checkpoint than the one that was read, or ends before it: it has lost
    /// records, and what was made of them is of a log that is no more. The reader makes good what it can, and moves its checkpoint to where
    /// reading is to go on; then [`BatchHandler::start`] is asked again.
    ///
    /// # Errors
    /// [`BatchError::Failed`] where that is not done, or not yet: this is called again after a pause.
    async fn rewritten(&self, source: &PartitionId, _log: &dyn Log) -> Result<(), BatchError> {
        Err(BatchError::Failed(format!("{source} has lost records that this reader has read, and it cannot undo what it made of them")))
    }

    /// Called when this process reads the partition no more: before this returns, and within a bound of seconds, the handler finishes the
    /// work that it has begun, since another process may go on from the checkpoint. By default there is no such work.
    async fn finish(&self, _source: &PartitionId) {}

    /// What the work on batches that it has taken waits for, where it waits: a handler may take batches before it has done them.
    fn waits(&self, _source: &PartitionId) -> Option<Waiting> {
        None
    }
}
