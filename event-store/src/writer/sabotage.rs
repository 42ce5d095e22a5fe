//! Guards that a build with the feature `sabotage` can leave out: so the torture shows that it notices a missing guard.

/// Whether this guard is left out, as `DAYBOOK_SABOTAGE` says.
#[cfg(feature = "sabotage")]
pub fn left_out(guard: &str) -> bool {
    static LEFT_OUT: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| std::env::var("DAYBOOK_SABOTAGE").ok());
    LEFT_OUT.as_deref() == Some(guard)
}

/// Never: a build without the feature has all guards.
#[cfg(not(feature = "sabotage"))]
pub const fn left_out(_guard: &str) -> bool {
    false
}
