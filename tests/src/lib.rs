//! Whole-system tests: see the folder `tests`. Here is what they share.

pub mod process;
pub mod silence;
pub mod smtp;
