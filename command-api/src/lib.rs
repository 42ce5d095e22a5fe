//! The write side: HTTP and gRPC at the edge, commands to the owner of the aggregate's partition, answers back.
//!
//! This crate never decides: the aggregate does, at its owner. It never reads a view.

#![warn(missing_docs)]

mod answer;
mod answers;
mod body;
mod caller;
mod checks;
pub mod edge;
pub mod node;
pub mod object;
mod path;
mod problem;
mod trace;

pub use answer::{Done, created, done};
pub use answers::{Changed, Made, PostHeaders, Problems};
pub use body::Body;
pub use caller::Caller;
pub use checks::Checks;
pub use path::PathId;
pub use problem::{FieldError, Problem};
