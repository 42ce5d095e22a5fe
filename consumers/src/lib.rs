//! Choreography: events in, commands and effects out. Nobody conducts a saga; each service listens and acts.
//!
//! A [`Reactor`] is a pure function from an event to [`Reaction`]s. A command's id is worked out from the event's, so that a repeat
//! changes nothing. An effect is data; who performs it ([`Perform`]) speaks with the world outside and says how it ended.
//!
//! What can be done at once is done at once. What cannot is put by as a row beside the checkpoint ([`Errand`]), tried on by a worker,
//! and stands among the dead letters when its attempts are used up. So no checkpoint waits for the world outside, and what never
//! succeeds stops nothing but its own saga.

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
