//! The write side from outside: real sockets, real hosts over a log in memory.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod answers;
mod api;
mod bad_input;
mod crowd;
mod description;
mod edge;
mod held;
mod nodes;
mod note;
mod note_v1;
mod silence;
#[path = "../support/mod.rs"]
mod support;
mod upgrade;
mod wire;
