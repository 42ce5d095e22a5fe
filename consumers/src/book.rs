//! Which errands are put by in this process' partitions, counted by the two aggregates among which order is kept.

use crate::{errand::Pair, metrics};
use event_store::PartitionId;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use tokio::sync::Notify;

/// The errands that are put by, as this process knows them: what is counted here is in the database, or on its way there.
pub(crate) struct Book {
    service: &'static str,
    partitions: Mutex<HashMap<PartitionId, Partition>>,
    /// Told when there is something for the worker.
    added: Notify,
}

#[derive(Default)]
struct Partition {
    rows: HashMap<Pair, usize>,
    /// Errands whose attempt runs, so that nobody else begins another.
    running: HashSet<String>,
    /// Set when the partition is given up: the worker begins nothing more of it.
    closing: bool,
}

impl Book {
    pub fn new(service: &'static str) -> Self {
        Self { service, partitions: Mutex::default(), added: Notify::new() }
    }

    /// Begins a partition with what is put by there.
    pub fn open(&self, source: &PartitionId, pairs: Vec<Pair>) {
        let mut rows: HashMap<Pair, usize> = HashMap::new();
        pairs.into_iter().for_each(|pair| *rows.entry(pair).or_default() += 1);
        self.partitions.lock().insert(source.clone(), Partition { rows, ..Partition::default() });
        self.tell();
    }

    /// Lets the worker begin nothing more of a partition.
    pub fn close(&self, source: &PartitionId) {
        if let Some(partition) = self.partitions.lock().get_mut(source) {
            partition.closing = true;
        }
    }

    /// Forgets a partition.
    pub fn forget(&self, source: &PartitionId) {
        self.partitions.lock().remove(source);
        self.tell();
    }

    /// True while attempts of the partition's errands run.
    pub fn is_running(&self, source: &PartitionId) -> bool {
        self.partitions.lock().get(source).is_some_and(|partition| !partition.running.is_empty())
    }

    /// True where errands between the two aggregates are put by: what comes after them waits behind them.
    pub fn has(&self, source: &PartitionId, pair: &Pair) -> bool {
        self.partitions.lock().get(source).is_some_and(|partition| partition.rows.contains_key(pair))
    }

    /// Counts an errand that is put by.
    pub fn add(&self, source: &PartitionId, pair: Pair) {
        if let Some(partition) = self.partitions.lock().get_mut(source) {
            *partition.rows.entry(pair).or_default() += 1;
        }
        self.tell();
    }

    /// Counts one less.
    pub fn take_away(&self, source: &PartitionId, pair: Pair) {
        if let Some(partition) = self.partitions.lock().get_mut(source)
            && let Some(count) = partition.rows.get_mut(&pair)
        {
            *count -= 1;
            if *count == 0 {
                partition.rows.remove(&pair);
            }
        }
        self.tell();
    }

    /// Notes that an errand's attempt begins; false where one runs already, or the partition is given up.
    pub fn begin(&self, source: &PartitionId, id: &str) -> bool {
        let mut partitions = self.partitions.lock();
        partitions.get_mut(source).is_some_and(|partition| !partition.closing && partition.running.insert(id.to_owned()))
    }

    /// Notes that an errand's attempt has ended.
    pub fn end(&self, source: &PartitionId, id: &str) {
        if let Some(partition) = self.partitions.lock().get_mut(source) {
            partition.running.remove(id);
        }
    }

    /// The partitions that have anything put by.
    pub fn partitions(&self) -> Vec<PartitionId> {
        let partitions = self.partitions.lock();
        partitions
            .iter()
            .filter(|(_, partition)| !partition.closing && !partition.rows.is_empty())
            .map(|(source, _)| source.clone())
            .collect()
    }

    /// Resolves when something may have changed for the worker.
    pub async fn changed(&self) {
        self.added.notified().await;
    }

    fn tell(&self) {
        let rows: usize = self.partitions.lock().values().flat_map(|partition| partition.rows.values()).sum();
        metrics::PUT_BY.with_label_values(&[self.service]).set(i64::try_from(rows).unwrap_or(i64::MAX));
        self.added.notify_one();
    }
}
