//! What reactors need of their service's database.

use crate::Errand;
use event_sourcing::Timestamp;
use event_store::{Batch, BatchError, Checkpoint, Counted, PartitionId};
use std::collections::HashSet;
use uuid::Uuid;

/// Where the reactors of a service keep how far they have come, and what they have put by.
#[async_trait::async_trait]
pub trait ReactionStore: Send + Sync + 'static {
    /// Where the reactors stand in a partition.
    ///
    /// # Errors
    /// [`BatchError::Failed`] where the database does not answer.
    async fn checkpoint(&self, source: &PartitionId) -> Result<Checkpoint, BatchError>;

    /// Moves the checkpoint of each partition from its batch's beginning to its end, if it stands there, and puts these errands by
    /// (those of partitions that moved), in one transaction. Answers which moved; of the others nothing more is known.
    ///
    /// # Errors
    /// [`BatchError::Failed`] where nothing was done.
    async fn advance_all(&self, steps: &[Batch], errands: &[Errand]) -> Result<Vec<PartitionId>, BatchError>;

    /// The same for one partition.
    ///
    /// # Errors
    /// [`BatchError::Moved`] where the checkpoint does not stand where the batch begins, and nothing was done.
    async fn advance(&self, step: &Batch, errands: &[Errand]) -> Result<(), BatchError>;

    /// The errands of a partition that are put by: whose events asked for them, and whom they are about.
    ///
    /// # Errors
    /// The database does not answer, in words.
    async fn put_by(&self, source: &PartitionId) -> Result<Vec<(Uuid, Uuid)>, String>;

    /// The errands of these partitions that are waiting, due, and the first of their pair: of each kind ([`Task::kind`](crate::Task::kind))
    /// at most `limit`, the longest due.
    ///
    /// # Errors
    /// The database does not answer, in words.
    async fn due(&self, sources: &[PartitionId], now: Timestamp, limit: u32) -> Result<Vec<Errand>, String>;

    /// An errand by its id, where it is put by.
    ///
    /// # Errors
    /// The database does not answer, in words.
    async fn errand(&self, id: &str) -> Result<Option<Errand>, String>;

    /// Writes an errand that is put by anew; nothing where it is there no more.
    ///
    /// # Errors
    /// The database does not answer, in words.
    async fn rewrite(&self, errand: &Errand) -> Result<(), String>;

    /// Takes an errand away: it is settled.
    ///
    /// # Errors
    /// The database does not answer, in words.
    async fn remove(&self, id: &str) -> Result<(), String>;
}

/// Where the reactors of a service put aside records that they cannot read, in the service's own database.
#[async_trait::async_trait]
pub trait DeadLetters: Send + Sync + 'static {
    /// The aggregates of a partition with letters.
    ///
    /// # Errors
    /// The database does not answer, in words.
    async fn parked(&self, source: &PartitionId) -> Result<HashSet<Uuid>, String>;
    /// Whether the aggregate has any.
    ///
    /// # Errors
    /// The database does not answer, in words.
    async fn has(&self, aggregate: Uuid) -> Result<bool, String>;
    /// Puts a record aside, for this reason; none where it only waits behind another. Done again it changes nothing.
    ///
    /// # Errors
    /// The database does not answer, in words.
    async fn park(&self, record: &Counted, reason: Option<&str>) -> Result<(), String>;
}
