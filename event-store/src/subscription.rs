//! Reading: batches of the records that count, partition by partition, with a checkpoint that is exact.

use crate::Recorded;
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The next offset to read.
    pub next: i64,
    /// The offset of the current run's claim, where there is a run.
    pub claim: Option<i64>,
}

/// A record that counts: its framed bytes, not decoded yet.
pub type Counted = Recorded<Bytes>;

/// What a reader hands on at once: all the records that count between two checkpoints, in the log's order.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whose log.
    pub source: PartitionId,
    /// Where the batch begins.
    pub from: Checkpoint,
    /// Where the reader stands after it. It moves on even when nothing counted.
    pub to: Checkpoint,
    /// The records that count.
    pub records: Vec<Counted>,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Somebody else has moved the checkpoint: ask `start` again and read from there.
    #[error("the checkpoint of {0:?} was moved by another reader")]
    Moved(PartitionId),
    /// Not now: the same batch is handed over again after a pause.
    #[error("{0}")]
    Failed(String),
}

/// What a subscription feeds. Batches of one partition come one after the other; partitions run side by side.
#[async_trait::async_trait]
pub trait BatchHandler: Send + Sync + 'static {
    /// Where to begin reading a partition that this process was just given.
    ///
    /// # Errors
    /// The checkpoint cannot be read now.
    async fn start(&self, source: &PartitionId) -> Result<Checkpoint, BatchError>;

    /// Takes a batch whole, with its checkpoint, or not at all.
    ///
    /// # Errors
    /// [`BatchError::Moved`] where it begins elsewhere than the reader stands, [`BatchError::Failed`] where it can be tried again.
    async fn apply(&self, batch: &Batch) -> Result<(), BatchError>;

    /// The partition is read here no more: what was begun is to be finished, within a bound of seconds, before this returns, since another
    /// process may go on from the checkpoint. There may be nothing to do.
    async fn finish(&self, _source: &PartitionId) {}
}
