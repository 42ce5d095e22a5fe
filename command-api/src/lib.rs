//! The write side: HTTP and gRPC at the edge, commands to the owner of the aggregate's partition, answers back.
//!
//! This crate never decides: the aggregate does, at its owner. It never reads a view.

mod answer;
mod body;
mod caller;
mod checks;
pub mod edge;
pub mod node;
mod object;
mod path;
mod problem;
mod routes;
mod shapes;
mod trace;

pub use answer::Done;
pub use checks::MoneyBody;
pub use problem::{FieldError, Problem};
pub use routes::{Api, ApiConfig};
