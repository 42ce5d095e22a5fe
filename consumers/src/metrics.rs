//! What the reactors count, in prometheus' default registry.

use prometheus::{IntCounterVec, register_int_counter_vec};
use std::sync::LazyLock;

/// Commands that reactors sent, by reactor and what became of them.
pub(crate) static COMMANDS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("daybook_reactor_commands_total", "Commands that reactors sent", &["reactor", "outcome"])
        .expect("registered once")
});

/// Records that a reactor could not decode, by service.
pub(crate) static UNDECODABLE: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("daybook_reactor_undecodable_records_total", "Records that a reactor could not decode", &["service"])
        .expect("registered once")
});
