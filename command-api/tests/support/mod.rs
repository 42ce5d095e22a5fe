//! Shared by the tests of the write side, the engine's own and those of a system on it. It knows no aggregate.

pub mod answer;
pub mod described;
pub mod hosts;
pub mod served;

use std::time::Duration;

/// The longest that anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(10);
