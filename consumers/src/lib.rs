//! Choreography: events in, commands out. Nobody conducts the saga; each service listens and acts on its own aggregates.
//!
//! A reactor is a pure function from an event to commands, whose ids are worked out from the event's, so that a repeat
//! changes nothing. What is not pure (the payment gateway, the mail) is behind a trait, and idempotent by our keys.

mod commands;
mod deadlines;
mod flow;
pub mod gateway;
pub mod mail;
mod metrics;
mod reactors;
mod runner;
pub mod simulated_gateway;

pub use commands::Commands;
pub use deadlines::{Deadlines, keep_deadlines};
pub use reactors::{Effects, sources_of};
pub use runner::{Checkpoints, DeadLetters, READER, ReactorParts, Reactors};
