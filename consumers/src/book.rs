//! Counts the errands that are put by in this process' partitions, by the two aggregates among which order is kept.

use crate::{Errand, errand::Pair, metrics};
use event_store::PartitionId;
use parking_lot::Mutex;
use std::collections::{HashMap, hash_map::Entry};
use tokio::sync::Notify;

/// The errands that are put by, as this process knows them: each has a row in the database, or is about to get one.
pub(crate) struct Book {
    service: &'static str,
    partitions: Mutex<Partitions>,
    /// Notified when the worker may have something to do.
    added: Notify,
}

#[derive(Default)]
struct Partitions {
    by_source: HashMap<PartitionId, Partition>,
    /// The number of rows of all partitions.
    rows: usize,
}

#[derive(Default)]
struct Partition {
    rows: HashMap<Pair, usize>,
    /// The id of the errand under way for each pair: one at a time, since order is kept among a pair's errands.
    running: HashMap<Pair, String>,
    /// Set when the partition is given up: the worker begins none of its errands any more.
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

    /// Begins a partition, or reads it again; `pairs` has the pair of each errand that is put by there. What runs there runs on: nobody else may
    /// begin it.
    pub fn open(&self, source: &PartitionId, pairs: Vec<Pair>) {
        let mut partitions = self.partitions.lock();
        let running = partitions.by_source.get_mut(source).map(|known| std::mem::take(&mut known.running)).unwrap_or_default();
        partitions.forget(source);
        partitions.rows += pairs.len();
        let mut rows: HashMap<Pair, usize> = HashMap::new();
        pairs.into_iter().for_each(|pair| *rows.entry(pair).or_default() += 1);
        partitions.by_source.insert(source.clone(), Partition { rows, running, closing: false });
        self.tell(&partitions);
    }

    /// Stops the worker from beginning errands of a partition.
    pub fn close(&self, source: &PartitionId) {
        if let Some(partition) = self.partitions.lock().by_source.get_mut(source) {
            partition.closing = true;
        }
    }

    /// True once a partition is being given up, or was: nothing new is begun for its events.
    pub fn is_closing(&self, source: &PartitionId) -> bool {
        self.partitions.lock().by_source.get(source).is_none_or(|partition| partition.closing)
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

    /// True where errands of this pair are put by: later errands of the pair have to wait behind them.
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

    /// Counts one errand of a pair less.
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

    /// Notes that an attempt at an errand begins; false where one of the same pair runs already, or the partition is given up.
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

    /// Notes that the attempt that a lane began at a fresh errand still runs. A partition that is given up waits for it, too.
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

    /// The partitions with errands that are put by, those that are being given up left out.
    pub fn partitions(&self) -> Vec<PartitionId> {
        let partitions = self.partitions.lock();
        let with_rows = partitions.by_source.iter().filter(|(_, partition)| !partition.closing && !partition.rows.is_empty());
        with_rows.map(|(source, _)| source.clone()).collect()
    }

    /// Resolves when the worker may have something to do.
    pub async fn changed(&self) {
        self.added.notified().await;
    }

    fn tell(&self, partitions: &Partitions) {
        metrics::PUT_BY.with_label_values(&[self.service]).set(i64::try_from(partitions.rows).unwrap_or(i64::MAX));
        self.added.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Effect, Status, Task};
    use event_sourcing::{Cause, Position, Timestamp};
    use uuid::Uuid;

    fn errand(number: u32) -> Errand {
        let (target, now) = (Uuid::from_u128(7), Timestamp(0));
        let effect = Effect { kind: "deliver".into(), target, key: "k".into(), payload: serde_json::Value::Null, question: None };
        Errand {
            id: format!("e/deliver/{number}"),
            reactor: "deliver".into(),
            index: number,
            position: Position { service: "notifications".into(), partition: 0, offset: 1 },
            number,
            source_aggregate: target,
            event_id: "e".into(),
            cause: Cause { actor: "a".into(), correlation_id: "c".into(), causation_id: None, traceparent: None },
            target,
            task: Task::Effect(effect),
            status: Status::Waiting,
            attempts: 0,
            tries: 0,
            since: now,
            due: now,
            reason: String::new(),
        }
    }

    #[test]
    fn what_runs_is_not_begun_again_when_its_partition_is_read_anew() {
        let (book, errand) = (Book::new("notifications"), errand(0));
        let source = errand.source();
        book.open(&source, vec![errand.pair()]);
        assert!(book.begin(&errand));
        book.open(&source, vec![errand.pair()]);
        assert!(!book.begin(&errand), "its attempt still runs");
        book.end(&errand);
        assert!(book.begin(&errand));
        book.close(&source);
        book.forget(&source);
        book.open(&source, vec![errand.pair()]);
        assert!(book.begin(&errand), "a partition that was given up and taken again is another one");
    }
}
