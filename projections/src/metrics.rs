//! The projector's metrics, in prometheus' default registry. A view lags by `daybook_log_end_offset`, which the event store sets, less
//! `daybook_views_next_offset`.

use event_store::Batch;
use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec, register_histogram_vec, register_int_counter_vec, register_int_gauge_vec};
use std::{sync::LazyLock, time::Duration};

const SIZES: [f64; 9] = [0.0, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0];

/// Records that a view could not apply and put aside with their aggregate.
pub(crate) static DEAD_LETTERS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let labels = &["database", "reader"];
    register_int_counter_vec!("daybook_dead_letters_total", "Records that a view put aside", labels).expect("registered once")
});

static APPLIED: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let labels = &["database", "service", "partition"];
    register_int_gauge_vec!("daybook_views_next_offset", "One past the last offset that the views have applied", labels)
        .expect("registered once")
});

static SIZE: LazyLock<HistogramVec> = LazyLock::new(|| {
    register_histogram_vec!("daybook_views_batch_records", "Records in a batch", &["database"], SIZES.to_vec()).expect("registered once")
});

static DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    register_histogram_vec!("daybook_views_batch_seconds", "From a batch's arrival to its commit", &["database"]).expect("registered once")
});

/// Transactions that wrote batches; one writes all the batches that were waiting.
pub(crate) static TRANSACTIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("daybook_views_transactions_total", "Transactions that wrote batches", &["database"])
        .expect("registered once")
});

/// Counts a batch that was committed.
pub(crate) fn applied(database: &str, batch: &Batch, took: Duration) {
    let partition = batch.source.partition.to_string();
    APPLIED.with_label_values(&[database, &*batch.source.service, &*partition]).set(batch.to.next);
    SIZE.with_label_values(&[database]).observe(batch.records.len() as f64);
    DURATION.with_label_values(&[database]).observe(took.as_secs_f64());
}
