//! What must hold of any bytes: a function for each way by which bytes come in, which panics if they break a property.
//!
//! `tests/fuzz/` has libFuzzer look for such bytes; `tests/smoke.rs` looks for a few seconds in every `./test`. See `docs/fuzzing.md`.

pub mod commands;
pub mod frames;
pub mod import;
pub mod records;
pub mod runs;

/// A target: its name, which is that of its corpus as well, and what must hold. It answers whether the bytes were taken for something
/// (a record of ours, a topic where something counts, a file with orders, a command, a request with an answer), so that seeds that reach nothing are noticed.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All targets.
pub const TARGETS: [Target; 5] = [
    ("records", records::check),
    ("runs", runs::check),
    ("import", import::check),
    ("commands", commands::check),
    ("frames", frames::check),
];
