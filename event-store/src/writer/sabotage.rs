//! Guards that can be left out, in builds with the feature `sabotage` alone: how the torture shows that it would notice.

/// Whether this guard is left out, as `DAYBOOK_SABOTAGE` says.
#[cfg(feature = "sabotage")]
pub fn left_out(guard: &str) -> bool {
    static LEFT_OUT: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| std::env::var("DAYBOOK_SABOTAGE").ok());
    LEFT_OUT.as_deref() == Some(guard)
}

/// Never: this is what everybody runs.
#[cfg(not(feature = "sabotage"))]
pub const fn left_out(_guard: &str) -> bool {
    false
}
