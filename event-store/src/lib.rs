//! Conditional, idempotent appends and exact reads over Kafka.
//!
//! The engine: it knows aggregates, commands, events, partitions, claims and runs, and nothing of commerce. This is the
//! only crate that names rdkafka.
//!
//! Writing: a command comes to [`Host`], which has a [`PartitionOwner`] for each of its partitions, which drives a `Writer` (`writer`: the
//! whole protocol, without I/O) over a [`Log`]. Reading: [`Readers`] run a lane for each handler and partition, which applies the
//! [run rule](run) and hands the handler a [`Batch`].

#![warn(missing_docs)]

#[cfg(test)]
#[path = "../tests/contract/account.rs"]
mod account;
mod aggregates;
mod anchor;
mod announcements;
mod bounded;
mod cluster;
mod command;
pub mod envelope;
mod fold;
mod follow;
mod guarded;
mod headers;
mod health;
mod host;
mod identity;
pub mod kafka;
mod lane;
mod layout;
mod live;
mod log;
mod memory;
mod metrics;
mod owner;
mod pace;
mod readers;
mod readiness;
mod recover;
mod remembered;
mod replay;
mod ring;
pub mod run;
mod saver;
#[cfg(test)]
mod simulation;
mod snapshots;
mod standby;
mod standing;
mod subscription;
#[cfg(test)]
mod supervised;
mod supervision;
mod tripwire;
pub mod verify;
mod working_set;
mod writer;

pub use aggregates::Aggregates;
pub use anchor::{Anchor, Passed, furthest_anchored, is_anchored};
pub use bounded::Bounded;
pub use cluster::{Cluster, ClusterParts, Membership};
pub use command::{Accepted, CommandError, CommandMeta, Directory, Execute, LocalOwner, Owner, Refused, Rejected, Unavailable};
pub use envelope::{Append, RawRecord};
pub use event_sourcing::{Cause, Context, Details, InvalidPosition, Position, Recorded};
pub use follow::{Followed, Follower};
pub use headers::Headers;
pub use health::Waiting;
pub use host::{Host, Hosted, partition_of};
pub use identity::log_identity;
pub use lane::RunReader;
pub use layout::{Misfit, misfit};
pub use log::{Ack, AppendError, Cursor, Log, LogError, NotQueued, Rejection, Tag, Unsent};
pub use memory::MemoryLog;
pub use metrics::log_reaches;
pub use owner::{OwnerParts, PartitionOwner};
pub use readers::{PlacedReader, Reader, Readers};
pub use readiness::Readiness;
pub use replay::{Replay, ReplayError};
pub use standby::standbys;
pub use subscription::{Batch, BatchError, BatchHandler, Checkpoint, Counted, PartitionId};
pub use supervision::Supervisor;
pub use writer::{Barrier, NodeName, WriterConfig};

/// Values by id. Most of an owner's lookups are in one of these, and the standard library's hash is slower, being made for keys of any
/// length. This one, too, is seeded anew in each process, so that nobody can choose ids that collide.
pub(crate) type ById<V> = std::collections::HashMap<uuid::Uuid, V, foldhash::fast::RandomState>;

/// The node's clock.
pub(crate) fn now() -> event_sourcing::Timestamp {
    event_sourcing::Timestamp(jiff::Timestamp::now().as_millisecond())
}
