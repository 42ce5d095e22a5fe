//! A system on the engine: one declaration of what it is made of, from which the engine derives everything else.
//!
//! A [`System`] has [`Service`]s; a service has an aggregate, views, reactors, effects, deadlines and routes. The engine derives topics,
//! databases, consumer groups, the value lists of the command line, the description of the API and the labels of metrics from it. [`run()`]
//! runs a node of it, [`main()`] is a whole program for it.

#![warn(missing_docs)]

mod api_arguments;
mod ask;
mod children;
mod cli;
mod config;
mod copy;
mod declaration;
mod due;
mod embedded;
mod errands;
mod failure;
mod program;
mod reading;
mod redrive;
mod replay;
mod run;
mod store;
mod tail;
mod topics;
mod verify;
mod writing;

pub use api_arguments::ApiArguments;
pub use children::Children;
pub use cli::{KafkaArguments, Role, RunArguments, StoreArguments, Tools, parse};
pub use declaration::{Service, Surroundings, System};
pub use failure::{FOUND, Failure};
pub use program::{block_on, main};
pub use run::{run, until_signal};
