//! The whole system: real processes, the public API, the embedded log and the real parts.

mod bad_input;
mod books;
mod cluster;
mod completions;
mod copying;
mod customers;
mod embedded;
mod identity;
mod import;
mod layout;
mod lost;
mod more_copies;
mod moving;
mod ownerless;
mod pooler;
mod reactions;
mod real;
mod secrets;
mod secured;
mod settings;
mod shop;
mod silence;
mod three_brokers;
mod tools;
mod unique;
