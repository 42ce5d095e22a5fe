//! The newest records of a partition, for the readers of this process.

use crate::envelope::SharedRecord;
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::watch;

/// How many records a ring keeps. A reader that falls further behind reads the log by itself until it is back.
const KEPT: usize = 8_192;

/// What a ring has for a reader.
pub(crate) enum Window {
    /// The next records, at least one.
    Records(Vec<Arc<SharedRecord>>),
    /// Nothing yet.
    Empty,
    /// The reader is behind what the ring keeps.
    Behind,
}

/// A bounded window on the end of a partition, filled by one consumer and read by many.
pub struct Ring {
    inner: Mutex<Inner>,
    end: watch::Sender<i64>,
}

struct Inner {
    /// The ring holds everything from here to its end.
    first: i64,
    records: VecDeque<Arc<SharedRecord>>,
}

impl Ring {
    pub(crate) fn new(from: i64) -> Self {
        let (end, _) = watch::channel(from);
        Self { inner: Mutex::new(Inner { first: from, records: VecDeque::new() }), end }
    }

    /// Adds the partition's next records, and forgets the oldest.
    pub(crate) fn push(&self, records: Vec<Arc<SharedRecord>>) {
        let Some(last) = records.last().map(|record| record.raw.offset) else { return };
        let mut inner = self.inner.lock();
        inner.records.extend(records);
        while inner.records.len() > KEPT
            && let Some(oldest) = inner.records.pop_front()
        {
            inner.first = oldest.raw.offset + 1;
        }
        drop(inner);
        self.end.send_replace(last + 1);
    }

    /// At most `most` records from `from` on.
    pub(crate) fn window(&self, from: i64, most: usize) -> Window {
        let inner = self.inner.lock();
        if from < inner.first {
            return Window::Behind;
        }
        let begin = inner.records.partition_point(|record| record.raw.offset < from);
        let records: Vec<_> = inner.records.iter().skip(begin).take(most).cloned().collect();
        if records.is_empty() { Window::Empty } else { Window::Records(records) }
    }

    /// Wakes when records come.
    pub(crate) fn watch(&self) -> watch::Receiver<i64> {
        self.end.subscribe()
    }
}
