//! The shop's POSTs from outside: real sockets, real hosts over logs in memory.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod answers;
mod bad_input;
mod description;
mod shop;
#[path = "../../../command-api/tests/support/mod.rs"]
#[allow(dead_code, reason = "the engine's own tests need the rest")]
mod support;
mod unique;
