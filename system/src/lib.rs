//! A system on the engine: one declaration of what it is made of, from which the engine derives everything else.
//!
//! A [`System`] has [`Service`]s; a service has an aggregate, views, reactors, effects, deadlines and routes. The engine derives topics,
//! databases, consumer groups, the value lists of the command line, the description of the API and the labels of metrics from it. [`run()`]
//! runs a node of it, [`main()`] is a whole program for it.

#![warn(missing_docs)]

mod api_arguments;
mod ask;
mod callers;
mod caught_up;
mod check;
mod children;
mod cli;
mod config;
mod copies;
mod copy;
mod data;
mod declaration;
mod due;
mod embedded;
mod errands;
mod exclusive;
mod failure;
mod identity;
mod meta;
mod naming;
mod program;
mod reading;
mod redrive;
mod registry;
mod replay;
mod run;
mod settings;
mod store;
mod tail;
mod topics;
mod verify;
mod watch;
mod writing;

pub use api_arguments::ApiArguments;
pub use check::Check;
pub use children::Children;
pub use cli::{KafkaArguments, Pooler, Role, RunArguments, StoreArguments, Tools};
pub use declaration::{Service, Surroundings, System};
pub use failure::{FOUND, Failure};
pub use program::{block_on, main};
pub use registry::RegistryArguments;
pub use run::{check, run, until_signal};
pub use settings::{HostPort, host_port, http_url, parse, visible, whole};
