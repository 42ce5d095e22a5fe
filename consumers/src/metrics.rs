//! What the reactors count, in prometheus' default registry.

use prometheus::{IntCounterVec, register_int_counter_vec};
use std::sync::LazyLock;

/// Commands that reactors sent, by reactor and what became of them.
pub(crate) static COMMANDS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("daybook_reactor_commands_total", "Commands that reactors sent", &["reactor", "outcome"])
        .expect("registered once")
});

/// Records that a reactor could not take, and that were put aside with their aggregate, by service.
pub(crate) static DEAD_LETTERS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("daybook_reactor_dead_letters_total", "Records that a reactor put aside", &["service"])
        .expect("registered once")
});
