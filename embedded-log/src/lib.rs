//! One machine's log, behind Kafka's protocol.
//!
//! [`Store`] keeps the log in one file and acknowledges nothing that is not on the disk; [`Server`] lets any client of Kafka append to it and
//! read it. It is one machine's log and means to be nothing else: it has one copy, no transactions and no access control, and keeps every
//! record for ever.

#![warn(missing_docs)]

mod batch;
mod groups;
mod server;
mod settings;
mod store;
mod varint;
mod wire;

pub use batch::{Batch, BatchError, Stamp};
pub use server::{Server, ServerSettings};
pub use settings::{SettingError, TopicSettings};
pub use store::{
    Amount, AppendError, Appended, Catalog, Committed, NewTopic, OpenError, Partition, PartitionKey, ReadError, StorageFailed, Store,
    StoreSettings, Topic, TopicError,
};
