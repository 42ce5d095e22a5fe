//! Conditional, idempotent appends and exact reads over Kafka.
//!
//! The engine: it knows aggregates, commands, events, partitions, claims and runs, and nothing of commerce. This is the
//! only crate that names rdkafka.

mod command;
mod recorded;
pub mod run;
mod subscription;

pub use command::{Accepted, CommandError, CommandMeta, Directory, Execute, LocalOwner, Owner, Refused, Unavailable};
pub use recorded::{Cause, Position, Recorded};
pub use subscription::{Batch, BatchError, BatchHandler, Checkpoint, Counted, PartitionId};
