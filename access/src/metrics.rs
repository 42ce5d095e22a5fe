//! Metrics of tokens and of the issuer's keys, in prometheus' default registry.

use prometheus::{IntCounterVec, IntGauge, register_int_counter_vec, register_int_gauge};
use std::{
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

/// Fetches of the issuer's keys, by outcome.
pub(crate) static FETCHES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("daybook_oidc_key_fetches_total", "Fetches of the issuer's keys", &["outcome"]).expect("registered once")
});

/// When keys were last read; their age is the time since.
static FETCHED: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("daybook_oidc_keys_fetched_timestamp_seconds", "When the issuer's keys were last read").expect("registered once")
});

/// Tokens that were shown, by what came of them: `cached`, `verified`, or why they were refused.
pub(crate) static TOKENS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("daybook_access_tokens_total", "Access tokens that were shown", &["outcome"]).expect("registered once")
});

/// Notes that keys were read now.
pub(crate) fn fetched() {
    FETCHES.with_label_values(&["read"]).inc();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    FETCHED.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
}
