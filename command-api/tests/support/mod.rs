//! What tests of the write side share, the engine's own and those of a system on it. It knows no aggregate.

pub mod answer;
pub mod described;
pub mod hosts;
pub mod served;

use std::time::Duration;

/// Nothing here may take longer.
pub const PATIENCE: Duration = Duration::from_secs(10);
