//! The whole system: real processes, the public API, the embedded log and the real parts.

mod bad_input;
mod books;
mod completions;
mod copying;
mod customers;
mod embedded;
mod import;
mod moving;
mod ownerless;
mod reactions;
mod real;
mod shop;
mod unique;
