//! The reactors' metrics, in prometheus' default registry.

use prometheus::{IntCounterVec, IntGaugeVec, register_int_counter_vec, register_int_gauge_vec};
use std::sync::LazyLock;

/// Commands that reactors sent, by reactor and outcome.
pub(crate) static COMMANDS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("daybook_reactor_commands_total", "Commands that reactors sent", &["reactor", "outcome"])
        .expect("registered once")
});

/// Attempts at effects, by kind and outcome.
pub(crate) static EFFECTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("daybook_effect_attempts_total", "Attempts at effects", &["kind", "outcome"]).expect("registered once")
});

/// Errands that were given up, by reactor.
pub(crate) static DEAD_ERRANDS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("daybook_reactor_errands_given_up_total", "Commands and effects that were given up", &["reactor"])
        .expect("registered once")
});

/// Errands that are put by, the dead ones among them, by service.
pub(crate) static PUT_BY: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!("daybook_reactor_errands_put_by", "Commands and effects that are put by", &["service"])
        .expect("registered once")
});

/// Records that reactors could not take, by service. Those put aside only because they stand behind one are not counted.
pub(crate) static DEAD_LETTERS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("daybook_reactor_dead_letters_total", "Records that a reactor put aside", &["service"])
        .expect("registered once")
});
