//! Code that may panic, and must not take its partition with it.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs an aggregate's code. A panic in it is a defect of that aggregate alone, and not the partition's end.
pub(crate) fn guarded<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| {
        let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
        words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
    })
}
