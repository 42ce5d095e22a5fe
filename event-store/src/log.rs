//! What the engine needs of a log: order, offsets, an acknowledgement for each record. One is on Kafka, another in memory.

use crate::{Append, Barrier, RawRecord};
use tokio::sync::mpsc::UnboundedSender;

/// The outcome of one append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The tag that the caller gave with the record.
    pub tag: Tag,
    /// The offset at which the record stands, or why it is not known to stand anywhere.
    pub offset: Result<i64, AppendError>,
}

/// Why an append has no offset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The log will never take the batch of which the record was a part, as it is. It may take the record alone.
    #[error("{0}")]
    Never(Rejection),
    /// Nobody knows whether the record stands in the log, or will.
    #[error("{0}")]
    Unknown(String),
    /// The same, and the client will append nothing more.
    #[error("the log's client is broken: {0}")]
    Fatal(String),
}

/// Why a log never takes a record or a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It is larger than the topic, or the client, allows.
    #[error("it is larger than the log allows")]
    TooLarge,
    /// The brokers find it invalid: its time, for instance, or a policy of the topic.
    #[error("the log finds it invalid")]
    Invalid,
    /// This client may not write there.
    #[error("this node may not write the log")]
    NotAllowed,
}

/// How a writer recognises its own appends: which of its attempts, and the offset it expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Counts the writer's claims, so that acknowledgements of an attempt that it gave up are told apart.
    pub epoch: u64,
    /// The expected offset; for a claim, -1.
    pub at: i64,
}

/// Why a record was not even queued. It is certain that it will never stand in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotQueued {
    /// The queue of the partition is full; it empties by itself.
    #[error("the queue is full")]
    Full,
    /// The client is broken.
    #[error("the log's client does not take records")]
    Broken,
    /// The client never takes this record.
    #[error("{0}")]
    Never(Rejection),
}

/// The first of several records that was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsent {
    /// Where it was meant to stand.
    pub at: i64,
    /// Why it was not queued.
    pub why: NotQueued,
}

/// The log could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log does not answer: {0}")]
pub struct LogError(pub String);

/// One service's log.
#[async_trait::async_trait]
pub trait Log: Send + Sync + 'static {
    /// Queues a record. Its outcome comes once through `acks`, in the order of the appends to the partition as a rule.
    fn append(&self, partition: i32, record: Append, tag: Tag, acks: &UnboundedSender<Ack>) -> Result<(), NotQueued>;

    /// Queues records one right behind another, so that the log's client can send them together. Where one cannot be queued, those before
    /// it are and those behind it are not.
    fn append_all(&self, partition: i32, records: Vec<(Append, Tag)>, acks: &UnboundedSender<Ack>) -> Result<(), Unsent> {
        records
            .into_iter()
            .try_for_each(|(record, tag)| self.append(partition, record, tag, acks).map_err(|why| Unsent { at: tag.at, why }))
    }

    /// Notes whether this process writes the partition, which may change how its readers here get the records.
    fn written(&self, _partition: i32, _written: bool) {}

    /// The read barrier that the log needs by what is known of its copies now; none where it is as it was configured.
    fn barrier(&self) -> Option<Barrier> {
        None
    }

    /// Takes note that the partition has lost records which were read here, so that its readers in this process look again.
    fn went_back(&self, _partition: i32) {}

    /// The offset that the next record of the partition will get.
    async fn end(&self, partition: i32) -> Result<i64, LogError>;

    /// A cursor over the partition's records from `from` on.
    async fn read(&self, partition: i32, from: i64) -> Result<Box<dyn Cursor>, LogError>;
}

/// Reads one partition forward.
#[async_trait::async_trait]
pub trait Cursor: Send {
    /// The next records, at least one; waits until there are some.
    async fn next(&mut self) -> Result<Vec<RawRecord>, LogError>;
}
