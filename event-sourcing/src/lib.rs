//! The words that a domain and the engine share: aggregates, commands, events and their circumstances.
//!
//! Everything here is pure: no I/O, no clock, no randomness, nothing async. A domain that is written against this crate alone
//! can be decided and folded in a test, in the writer of a partition, in a view and in an auditor's tool alike.

#![warn(missing_docs)]

mod aggregate;
mod any_command;
mod any_event;
mod canonical;
mod command;
mod event;
mod recorded;
pub mod testing;
mod timestamp;

pub use aggregate::{Aggregate, Details, Refusal, Rule};
pub use any_command::{AnyCommand, UnreadableCommand};
pub use any_event::{AnyEvent, FromLog, Sources};
pub use command::{Command, Intent};
pub use event::{Event, RecordReader, RecordWriter, WrongRecord, from_json, to_json};
pub use recorded::{Cause, Context, InvalidPosition, Position, Recorded};
pub use timestamp::Timestamp;
