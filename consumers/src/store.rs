//! The reactors' interface to their service's database.

use crate::Errand;
use event_sourcing::Timestamp;
use event_store::{Batch, BatchError, Checkpoint, Counted, PartitionId};
use std::collections::HashSet;
use uuid::Uuid;

/// Keeps the checkpoints of a service's reactors, and the errands that they have put by.
#[async_trait::async_trait]
pub trait ReactionStore: Send + Sync + 'static {
    /// The reactors' checkpoint in a partition.
    ///
    /// # Errors
    /// [`BatchError::Failed`] where the database does not answer.
    async fn checkpoint(&self, source: &PartitionId) -> Result<Checkpoint, BatchError>;

    /// In one transaction, moves the checkpoint of each partition from its batch's beginning to its end, if it stands there, and writes the
    /// errands of the partitions that moved. Answers which moved; it does not say why another did not.
    ///
    /// # Errors
    /// [`BatchError::Failed`] where nothing was done.
    async fn advance_all(&self, steps: &[Batch], errands: &[Errand]) -> Result<Vec<PartitionId>, BatchError>;

    /// The same for one partition.
    ///
    /// # Errors
    /// [`BatchError::Moved`] where the checkpoint does not stand where the batch begins, and nothing was done.
    async fn advance(&self, step: &Batch, errands: &[Errand]) -> Result<(), BatchError>;

    /// Keeps a place that the checkpoint has passed, for [`ReactionStore::marks`].
    ///
    /// # Errors
    /// [`BatchError::Failed`] where the database does not answer.
    async fn mark(&self, source: &PartitionId, passed: Checkpoint) -> Result<(), BatchError>;

    /// The places of a partition that were kept.
    ///
    /// # Errors
    /// [`BatchError::Failed`] where the database does not answer.
    async fn marks(&self, source: &PartitionId) -> Result<Vec<Checkpoint>, BatchError>;

    /// Sets the checkpoint back: the log does not hold any more what was read behind this place.
    ///
    /// # Errors
    /// [`BatchError::Failed`] where the database does not answer.
    async fn set_back(&self, source: &PartitionId, to: Checkpoint) -> Result<(), BatchError>;

    /// The pair of each errand that is put by in a partition: the aggregate whose event it was, and the one that the errand is about.
    ///
    /// # Errors
    /// The reason in words, where the database does not answer.
    async fn put_by(&self, source: &PartitionId) -> Result<Vec<(Uuid, Uuid)>, String>;

    /// The errands of these partitions that are waiting, due, and the first of their pair: of each kind ([`Task::kind`](crate::Task::kind))
    /// at most `limit`, the longest due. An errand is due from its moment on; and where that lies beyond `latest`, which no pause reaches
    /// from `now`: whoever wrote it had a clock that was ahead, and it would wait until the others' clocks are there.
    ///
    /// # Errors
    /// The reason in words, where the database does not answer.
    async fn due(&self, sources: &[PartitionId], now_and_latest: (Timestamp, Timestamp), limit: u32) -> Result<Vec<Errand>, String>;

    /// An errand that is put by, by its id.
    ///
    /// # Errors
    /// The reason in words, where the database does not answer.
    async fn errand(&self, id: &str) -> Result<Option<Errand>, String>;

    /// Replaces an errand's row; does nothing where there is none any more.
    ///
    /// # Errors
    /// The reason in words, where the database does not answer.
    async fn rewrite(&self, errand: &Errand) -> Result<(), String>;

    /// Removes an errand's row.
    ///
    /// # Errors
    /// The reason in words, where the database does not answer.
    async fn remove(&self, id: &str) -> Result<(), String>;
}

/// Keeps the records that a service's reactors could not read, in the service's own database.
#[async_trait::async_trait]
pub trait DeadLetters: Send + Sync + 'static {
    /// The aggregates of a partition that have letters.
    ///
    /// # Errors
    /// The reason in words, where the database does not answer.
    async fn parked(&self, source: &PartitionId) -> Result<HashSet<Uuid>, String>;
    /// The records of a partition that were dropped for good, by offset and event id.
    ///
    /// # Errors
    /// The reason in words, where the database does not answer.
    async fn dropped(&self, source: &PartitionId) -> Result<HashSet<(i64, String)>, String>;
    /// Puts a record aside for this reason, unless it was dropped for good. A repeat changes nothing.
    ///
    /// # Errors
    /// The reason in words, where the database does not answer.
    async fn park(&self, record: &Counted, reason: &str) -> Result<(), String>;
    /// Puts a record aside behind the letters of its aggregate; false where the aggregate has none (any more), and nothing was done. Both
    /// in one step: a redrive that takes the last letter away comes either before or after it.
    ///
    /// # Errors
    /// The reason in words, where the database does not answer.
    async fn park_behind(&self, record: &Counted) -> Result<bool, String>;
}
