//! What the engine counts. Registered in prometheus' default registry, which the HTTP edge serves.

use crate::PartitionId;
use prometheus::{IntCounterVec, IntGaugeVec, register_int_counter_vec, register_int_gauge_vec};
use std::{sync::LazyLock, time::Duration};

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

/// How far the log reaches, by the brokers' own word.
static LOG_END: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!("daybook_log_end_offset", "The log's end, as the brokers answer it", &["service", "partition"])
        .expect("registered once")
});

/// How many offsets a reader's lane is behind the log's end.
static LANE_LAG: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!("daybook_reader_lag", "Offsets between a reader and the log's end", &["reader", "service", "partition"])
        .expect("registered once")
});

/// For how long a reader's lane has been waiting for something: its database, a batch, the log.
static LANE_WAITING: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let help = "Seconds for which a reader has been waiting; 0 while it does its work";
    register_int_gauge_vec!("daybook_reader_waiting_seconds", help, &["reader", "service", "partition"]).expect("registered once")
});

/// Notes how far the log reaches: by an answer of the brokers, never by what a reader has read, which may be behind.
pub fn log_reaches(source: &PartitionId, end: i64) {
    LOG_END.with_label_values(&[&*source.service, &source.partition.to_string()]).set(end);
}

/// Notes how a lane fares: how far it is behind, where the log's end is known, and for how long it has been waiting.
pub(crate) fn lane(reader: &str, source: &PartitionId, lag: Option<i64>, waiting: Option<Duration>) {
    let (service, partition) = (&*source.service, source.partition.to_string());
    if let Some(lag) = lag {
        LANE_LAG.with_label_values(&[reader, service, &partition]).set(lag);
    }
    let seconds = waiting.map_or(0, |waiting| i64::try_from(waiting.as_secs()).unwrap_or(i64::MAX));
    LANE_WAITING.with_label_values(&[reader, service, &partition]).set(seconds);
}

/// Forgets a lane that another process may run now.
pub(crate) fn forget_lane(reader: &str, source: &PartitionId) {
    let labels = [reader, &*source.service, &source.partition.to_string()];
    // One that was never measured is not there.
    let _ = (LANE_LAG.remove_label_values(&labels), LANE_WAITING.remove_label_values(&labels));
}
