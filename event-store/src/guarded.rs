//! Runs code that may panic, so that a panic does not end the partition's owner.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs an aggregate's code. A panic in it is an error of that aggregate alone; the partition's owner goes on.
pub(crate) fn guarded<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| {
        let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
        words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
    })
}
