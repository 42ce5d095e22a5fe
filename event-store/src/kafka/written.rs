//! The partitions that this process writes: what it appends to them its readers are shown at once, so that there is no hurry to fetch it.

use crate::PartitionId;
use parking_lot::Mutex;
use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, Ordering},
};

/// Which partitions those are, as their owners say.
#[derive(Default)]
pub(super) struct Written {
    sources: Mutex<HashSet<PartitionId>>,
    version: AtomicU64,
}

impl Written {
    /// Notes that a partition is written here, or is not any more.
    pub fn set(&self, source: PartitionId, written: bool) {
        let mut sources = self.sources.lock();
        let changed = if written { sources.insert(source) } else { sources.remove(&source) };
        if changed {
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    pub fn contains(&self, source: &PartitionId) -> bool {
        self.sources.lock().contains(source)
    }

    /// Counts the changes.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}
