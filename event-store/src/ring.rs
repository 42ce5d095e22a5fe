//! The newest records of a partition, for the readers of this process.

use crate::{PartitionId, envelope::SharedRecord};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::watch;

/// How many records a ring keeps. A reader that falls further behind reads the log by itself until it is back.
const KEPT: usize = 8_192;

/// The answer of a ring to a reader.
pub(crate) enum Window {
    /// The next records, at least one.
    Records(Vec<Arc<SharedRecord>>),
    /// Nothing yet.
    Empty,
    /// The reader is behind the oldest record that the ring keeps.
    Behind,
    /// The ring was begun anew since the reader looked: the log may have lost what the reader has read.
    Anew,
}

/// A bounded window on the end of a partition, read by many. The process's consumer fills it, and so do the acknowledgements of this
/// process's own records, which come earlier.
pub struct Ring {
    inner: Mutex<Inner>,
    end: watch::Sender<i64>,
    /// Whether the log may have lost what stands here.
    doubted: AtomicBool,
}

/// The rings of a process, by partition.
pub(crate) type Rings = Arc<Mutex<HashMap<PartitionId, Arc<Ring>>>>;

struct Inner {
    /// The ring holds everything from here to its end.
    first: i64,
    records: VecDeque<Arc<SharedRecord>>,
    /// How often the ring was begun anew.
    generation: u64,
}

impl Ring {
    pub(crate) fn new(from: i64) -> Self {
        let (end, _) = watch::channel(from);
        Self { inner: Mutex::new(Inner { first: from, records: VecDeque::new(), generation: 0 }), end, doubted: AtomicBool::new(false) }
    }

    /// The offset behind its last record.
    pub(crate) fn end(&self) -> i64 {
        *self.end.borrow()
    }

    /// Adds the partition's next records, except those that it has already, and drops the oldest beyond [`KEPT`]. Records that were read
    /// before the ring was begun anew are dropped.
    pub(crate) fn push(&self, records: Vec<Arc<SharedRecord>>, generation: u64) {
        let mut inner = self.inner.lock();
        if generation != inner.generation {
            return;
        }
        let end = self.end();
        inner.records.extend(records.into_iter().skip_while(|record| record.raw.offset < end));
        while inner.records.len() > KEPT
            && let Some(oldest) = inner.records.pop_front()
        {
            inner.first = oldest.raw.offset + 1;
        }
        let next = inner.records.back().map_or(end, |last| last.raw.offset + 1);
        self.end.send_if_modified(|end| std::mem::replace(end, next) != next);
    }

    /// The log may have lost what stands here: whoever fills the ring is to begin it anew.
    pub(crate) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// Whether it is to be begun anew; asked once for each doubt.
    pub(crate) fn is_doubted(&self) -> bool {
        self.doubted.swap(false, Ordering::Relaxed)
    }

    /// Drops all records and goes on at another offset: the log has lost some.
    pub(crate) fn begin_anew(&self, from: i64) {
        let mut inner = self.inner.lock();
        let generation = inner.generation + 1;
        *inner = Inner { first: from, records: VecDeque::new(), generation };
        self.end.send_replace(from);
    }

    /// How often the ring was begun anew: a reader gives it to [`Ring::window`] until it has looked whether the log is the same.
    pub(crate) fn generation(&self) -> u64 {
        self.inner.lock().generation
    }

    /// At most `most` records from `from` on.
    pub(crate) fn window(&self, from: i64, most: usize, generation: u64) -> Window {
        let inner = self.inner.lock();
        if generation != inner.generation {
            return Window::Anew;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Headers, RawRecord};

    fn records(offsets: std::ops::Range<i64>) -> Vec<Arc<SharedRecord>> {
        let raw = |offset| RawRecord { offset, key: "a".into(), payload: "".into(), headers: Headers::default() };
        offsets.map(|offset| Arc::new(SharedRecord::new(raw(offset)))).collect()
    }

    fn offsets(ring: &Ring) -> Vec<i64> {
        match ring.window(5, 100, ring.generation()) {
            Window::Records(records) => records.iter().map(|record| record.raw.offset).collect(),
            Window::Empty | Window::Behind | Window::Anew => Vec::new(),
        }
    }

    #[test]
    fn what_comes_twice_stands_once() {
        let ring = Ring::new(5);
        let mut end = ring.watch();
        ring.push(records(5..6), ring.generation());
        ring.push(records(5..8), ring.generation());
        assert_eq!((offsets(&ring), ring.end()), (vec![5, 6, 7], 8));
        end.mark_unchanged();
        ring.push(records(5..8), ring.generation());
        assert!(!end.has_changed().expect("it is there"), "nothing new wakes nobody");
    }

    #[test]
    fn a_ring_that_begins_anew_wakes_its_readers_and_gives_nothing_of_the_old_log() {
        let ring = Ring::new(5);
        ring.push(records(5..8), ring.generation());
        let (mut end, generation) = (ring.watch(), ring.generation());
        end.mark_unchanged();
        ring.begin_anew(8);
        ring.push(records(8..9), generation);
        assert_eq!(ring.end(), 8, "what was fetched before is of the old log");
        assert!(end.has_changed().expect("it is there"), "though it ends where it ended");
        assert!(matches!(ring.window(8, 100, generation), Window::Anew));
        ring.push(records(8..9), ring.generation());
        assert!(matches!(ring.window(7, 100, ring.generation()), Window::Behind));
        assert!(matches!(ring.window(8, 100, ring.generation()), Window::Records(records) if records.len() == 1));
    }
}
