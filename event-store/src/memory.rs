//! A log in memory: for tests, and as the plainest statement of what the engine needs of one.

use crate::{
    Append, RawRecord,
    log::{Ack, Cursor, Log, LogError, NotQueued, Tag},
};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Partitions in memory. Clones share them.
#[derive(Clone)]
pub struct MemoryLog(Arc<Vec<Partition>>);

struct Partition {
    records: Mutex<Vec<RawRecord>>,
    end: watch::Sender<i64>,
}

impl MemoryLog {
    /// An empty log.
    pub fn new(partitions: i32) -> Self {
        let partition = |_| Partition { records: Mutex::default(), end: watch::channel(0).0 };
        Self(Arc::new((0..partitions).map(partition).collect()))
    }

    fn partition(&self, partition: i32) -> Option<&Partition> {
        usize::try_from(partition).ok().and_then(|index| self.0.get(index))
    }

    /// Loses the records of a partition from this offset on, as a log of one copy may that loses power.
    pub fn lose(&self, partition: i32, from: i64) {
        if let Some(partition) = self.partition(partition) {
            let mut records = partition.records.lock();
            records.truncate(usize::try_from(from).unwrap_or_default());
            partition.end.send_replace(records.len() as i64);
        }
    }

    /// A copy of all the records of a partition.
    pub fn records(&self, partition: i32) -> Vec<RawRecord> {
        self.partition(partition).map(|partition| partition.records.lock().clone()).unwrap_or_default()
    }
}

fn unknown(partition: i32) -> LogError {
    LogError(format!("there is no partition {partition}"))
}

#[async_trait::async_trait]
impl Log for MemoryLog {
    fn append(&self, partition: i32, record: Append, tag: Tag, acks: &mpsc::UnboundedSender<Ack>) -> Result<(), NotQueued> {
        let partition = self.partition(partition).ok_or(NotQueued::Broken)?;
        let mut records = partition.records.lock();
        let offset = records.len() as i64;
        records.push(record.at(offset));
        partition.end.send_replace(offset + 1);
        let _ = acks.send(Ack { tag, offset: Ok(offset) });
        Ok(())
    }

    async fn end(&self, partition: i32) -> Result<i64, LogError> {
        self.partition(partition).map(|partition| partition.records.lock().len() as i64).ok_or_else(|| unknown(partition))
    }

    async fn read(&self, partition: i32, from: i64) -> Result<Box<dyn Cursor>, LogError> {
        let end = self.partition(partition).ok_or_else(|| unknown(partition))?.end.subscribe();
        Ok(Box::new(MemoryCursor { log: self.clone(), partition, next: from, end }))
    }
}

struct MemoryCursor {
    log: MemoryLog,
    partition: i32,
    next: i64,
    end: watch::Receiver<i64>,
}

#[async_trait::async_trait]
impl Cursor for MemoryCursor {
    async fn next(&mut self) -> Result<Vec<RawRecord>, LogError> {
        let next = self.next;
        self.end.wait_for(|end| *end > next).await.map_err(|error| LogError(error.to_string()))?;
        let partition = self.log.partition(self.partition).ok_or_else(|| unknown(self.partition))?;
        let records = partition.records.lock().get(next as usize..).unwrap_or_default().to_vec();
        self.next += records.len() as i64;
        Ok(records)
    }
}
