//! Choreography: events in, commands and effects out. No coordinator runs a saga; each service reacts to the events that it reads.
//!
//! A [`Reactor`] is a pure function from an event to [`Reaction`]s. A command's id is derived from the event's, so that a repeat changes
//! nothing. An effect is data; its performer ([`Perform`]) talks to the world outside and answers how it ended.
//!
//! An errand is tried at once. If it fails or takes too long, it is put by as a row beside the checkpoint ([`Errand`]), a worker tries it
//! again, and it becomes a dead letter when its attempts are used up. So no checkpoint waits for the world outside, and an errand that
//! never succeeds stops only its own saga.

#![warn(missing_docs)]

mod attempt;
mod book;
mod deadlines;
mod destination;
mod errand;
mod lanes;
mod meta;
mod metrics;
mod outcome;
mod pauses;
mod progress;
mod reaction;
mod runner;
mod schedule;
mod store;
mod worker;

pub use deadlines::{Deadline, Due, Overdue, keep_deadlines};
pub use destination::{Destination, DestinationConfig};
pub use errand::{Errand, Status};
pub use outcome::{Fault, NotNow, Outcome, Perform};
pub use pauses::Patience;
pub use reaction::{Effect, Reaction, Reactor, Task};
pub use runner::{EffectKind, READER, ReactorParts, Reactors};
pub use store::{DeadLetters, ReactionStore};
