//! What can go wrong, an error for each concept.

use crate::settings::SettingError;
use std::{io, path::PathBuf};

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be used.
    #[error("{directory} cannot hold a log: {why}")]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// The system's reason.
        why: io::Error,
    },
    /// Another process has it.
    #[error("the log in {directory} belongs to process {owner}, which is running")]
    Owned {
        /// The directory.
        directory: PathBuf,
        /// That process's id.
        owner: String,
    },
    /// The directory is one of the former embedded broker, which kept its log in `broker.db`.
    #[error("{directory} holds the log of the former embedded broker (broker.db), which this version does not read")]
    FormerBroker {
        /// The directory.
        directory: PathBuf,
    },
    /// Another version of the program has written it.
    #[error("the log has format {has}, and this version reads format {reads}")]
    Format {
        /// The format of the file.
        has: u128,
        /// The format that this version reads.
        reads: u128,
    },
    /// A partition does not end where its last batch does.
    #[error("the log is damaged: partition {partition} of topic {topic} does not end where its last batch does, near offset {offset}")]
    Damaged {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// The smaller of the two offsets.
        offset: i64,
    },
    /// The file is damaged, or cannot be read or written.
    #[error("the log cannot be opened: {0}")]
    Database(String),
}

impl From<redb::Error> for OpenError {
    fn from(error: redb::Error) -> Self {
        Self::Database(error.to_string())
    }
}

/// The storage refused: the disk is full, or has failed. What was asked for is not done, or (if the disk failed at the very end) is done and
/// was not acknowledged. The log opens its file again, and the next request tries anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the storage failed")]
pub struct StorageFailed;

/// Why a batch is not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// There is no such partition.
    #[error("there is no such partition")]
    UnknownPartition,
    /// It is larger than its topic allows.
    #[error("a batch of this topic has at most {0} bytes")]
    TooLarge(usize),
    /// A batch of the same producer is missing before it.
    #[error("a batch of the same producer is missing before this one")]
    OutOfOrder,
    /// A newer incarnation of the producer has appended.
    #[error("a newer incarnation of the producer has appended")]
    StaleEpoch,
    /// This log has not given the producer's id to anybody. It will be given to another producer, whose batches would be taken for repeated
    /// ones if this one were appended.
    #[error("this log has given the producer's id to nobody: begin anew with an id of its own")]
    UnknownProducer,
    /// The storage refused it.
    #[error(transparent)]
    Storage(#[from] StorageFailed),
}

/// Why a partition cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// What stands at this offset is not what was appended.
    #[error("the batch at offset {0} is damaged")]
    Damaged(i64),
    /// The storage refused.
    #[error(transparent)]
    Storage(#[from] StorageFailed),
}

/// Why a topic is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// It exists already.
    #[error("the topic exists already")]
    Exists,
    /// It does not exist.
    #[error("there is no such topic")]
    Unknown,
    /// The name is empty, too long, or has characters other than letters, digits, `.`, `_` and `-`.
    #[error("a topic's name has 1 to 249 letters, digits, '.', '_' and '-', and is not '.' or '..'")]
    Name,
    /// A number of partitions that it cannot have.
    #[error("a topic has 1 to {most} partitions, and never fewer than before")]
    Partitions {
        /// The largest number.
        most: u32,
    },
    /// All topics together would have too many partitions.
    #[error("all topics together have at most {most} partitions: there are {are}, and {more} more are wanted")]
    TooManyPartitions {
        /// The largest number.
        most: u32,
        /// How many there are.
        are: usize,
        /// How many there would be in addition.
        more: usize,
    },
    /// A setting that it cannot have.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The storage refused.
    #[error(transparent)]
    Storage(#[from] StorageFailed),
}
