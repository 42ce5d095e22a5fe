//! Which errands are put by in this process' partitions, counted by the two aggregates among which order is kept.

use crate::{Errand, errand::Pair, metrics};
use event_store::PartitionId;
use parking_lot::Mutex;
use std::collections::{HashMap, hash_map::Entry};
use tokio::sync::Notify;

/// The errands that are put by, as this process knows them: what is counted here is in the database, or on its way there.
pub(crate) struct Book {
    service: &'static str,
    partitions: Mutex<Partitions>,
    /// Told when there is something for the worker.
    added: Notify,
}

#[derive(Default)]
struct Partitions {
    by_source: HashMap<PartitionId, Partition>,
    /// The rows of all partitions.
    rows: usize,
}

#[derive(Default)]
struct Partition {
    rows: HashMap<Pair, usize>,
    /// The errand of each pair whose attempt runs. There is one at a time, since order is kept among a pair's errands.
    running: HashMap<Pair, String>,
    /// Set when the partition is given up: the worker begins nothing more of it.
    closing: bool,
}

impl Partitions {
    fn forget(&mut self, source: &PartitionId) {
        let forgotten = self.by_source.remove(source).map_or(0, |partition| partition.rows.values().sum());
        self.rows -= forgotten;
    }
}

impl Book {
    pub fn new(service: &'static str) -> Self {
        Self { service, partitions: Mutex::default(), added: Notify::new() }
    }

    /// Begins a partition with what is put by there.
    pub fn open(&self, source: &PartitionId, pairs: Vec<Pair>) {
        let mut partitions = self.partitions.lock();
        partitions.forget(source);
        partitions.rows += pairs.len();
        let mut rows: HashMap<Pair, usize> = HashMap::new();
        pairs.into_iter().for_each(|pair| *rows.entry(pair).or_default() += 1);
        partitions.by_source.insert(source.clone(), Partition { rows, ..Partition::default() });
        self.tell(&partitions);
    }

    /// Lets the worker begin nothing more of a partition.
    pub fn close(&self, source: &PartitionId) {
        if let Some(partition) = self.partitions.lock().by_source.get_mut(source) {
            partition.closing = true;
        }
    }

    /// Forgets a partition.
    pub fn forget(&self, source: &PartitionId) {
        let mut partitions = self.partitions.lock();
        partitions.forget(source);
        self.tell(&partitions);
    }

    /// True while attempts of the partition's errands run.
    pub fn is_running(&self, source: &PartitionId) -> bool {
        self.partitions.lock().by_source.get(source).is_some_and(|partition| !partition.running.is_empty())
    }

    /// True where errands between the two aggregates are put by: what comes after them waits behind them.
    pub fn has(&self, source: &PartitionId, pair: &Pair) -> bool {
        self.partitions.lock().by_source.get(source).is_some_and(|partition| partition.rows.contains_key(pair))
    }

    /// Counts an errand that is put by.
    pub fn add(&self, source: &PartitionId, pair: Pair) {
        let mut partitions = self.partitions.lock();
        if let Some(partition) = partitions.by_source.get_mut(source) {
            *partition.rows.entry(pair).or_default() += 1;
            partitions.rows += 1;
        }
        self.tell(&partitions);
    }

    /// Counts one less.
    pub fn take_away(&self, source: &PartitionId, pair: Pair) {
        let mut partitions = self.partitions.lock();
        if let Some(partition) = partitions.by_source.get_mut(source)
            && let Some(count) = partition.rows.get_mut(&pair)
        {
            *count -= 1;
            if *count == 0 {
                partition.rows.remove(&pair);
            }
            partitions.rows -= 1;
        }
        self.tell(&partitions);
    }

    /// Notes that an errand's attempt begins; false where one of the same pair runs already, or the partition is given up.
    pub fn begin(&self, errand: &Errand) -> bool {
        let mut partitions = self.partitions.lock();
        let Some(partition) = partitions.by_source.get_mut(&errand.source()).filter(|partition| !partition.closing) else { return false };
        match partition.running.entry(errand.pair()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(free) => {
                free.insert(errand.id.clone());
                true
            }
        }
    }

    /// Notes that the attempt of a fresh errand, which its lane has begun already, still runs. A partition that is given up waits for it, too.
    pub fn note_running(&self, errand: &Errand) {
        if let Some(partition) = self.partitions.lock().by_source.get_mut(&errand.source()) {
            partition.running.insert(errand.pair(), errand.id.clone());
        }
    }

    /// Notes that an errand's attempt has ended.
    pub fn end(&self, errand: &Errand) {
        if let Some(partition) = self.partitions.lock().by_source.get_mut(&errand.source())
            && partition.running.get(&errand.pair()) == Some(&errand.id)
        {
            partition.running.remove(&errand.pair());
        }
    }

    /// The partitions that have anything put by.
    pub fn partitions(&self) -> Vec<PartitionId> {
        let partitions = self.partitions.lock();
        let with_rows = partitions.by_source.iter().filter(|(_, partition)| !partition.closing && !partition.rows.is_empty());
        with_rows.map(|(source, _)| source.clone()).collect()
    }

    /// Resolves when something may have changed for the worker.
    pub async fn changed(&self) {
        self.added.notified().await;
    }

    fn tell(&self, partitions: &Partitions) {
        metrics::PUT_BY.with_label_values(&[self.service]).set(i64::try_from(partitions.rows).unwrap_or(i64::MAX));
        self.added.notify_one();
    }
}
