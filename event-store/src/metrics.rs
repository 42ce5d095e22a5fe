//! What the engine counts. Registered in prometheus' default registry, which the HTTP edge serves.

use prometheus::{IntCounterVec, IntGaugeVec, register_int_counter_vec, register_int_gauge_vec};
use std::sync::LazyLock;

/// Claims after which this node wrote, by service.
pub(crate) static CLAIMS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("daybook_claims_total", "Partitions that this node began to write", &["service"]).expect("registered once")
});

/// Records that the run rule left out, summed over all lanes, by service.
pub(crate) static NOT_COUNTED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("daybook_records_not_counted_total", "Records that the run rule left out", &["service"])
        .expect("registered once")
});

/// How often something here was made of records that the log has lost since, by service.
pub(crate) static LOG_WENT_BACK: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("daybook_log_went_back_total", "Records that were read here are no longer in the log", &["service"])
        .expect("registered once")
});

/// How far a reader's lane has come: the next offset that it will read.
pub(crate) static LANE_NEXT: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!("daybook_reader_next_offset", "The next offset that a reader takes", &["reader", "service", "partition"])
        .expect("registered once")
});

/// How far the log is known to reach: one past the newest record that was fetched.
pub(crate) static LOG_END: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!("daybook_log_end_offset", "One past the newest record that was fetched", &["service", "partition"])
        .expect("registered once")
});
