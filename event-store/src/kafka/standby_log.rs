//! The log that standbys read: one consumer of the process reads the ends of all logs, however many partitions it stands by for.

use super::{KafkaLog, KafkaTail};
use crate::{
    Append, PartitionId, RawRecord,
    log::{Ack, Cursor, Log, LogError, NotQueued, Tag},
    ring::{Ring, Window},
};
use std::sync::Arc;
use tokio::sync::{mpsc::UnboundedSender, watch};

/// How many records one step of a cursor hands on at most.
const MOST_RECORDS: usize = 1_000;

/// A service's log whose cursors share the process's tail, and read the log by themselves only until they have caught up.
pub struct StandbyLog {
    log: Arc<KafkaLog>,
    tail: Arc<KafkaTail>,
    service: Arc<str>,
}

impl StandbyLog {
    /// The log of a service. Only standbys may read through the tail: a cursor that is dropped ends its partition there.
    pub fn new(log: Arc<KafkaLog>, tail: Arc<KafkaTail>, service: &str) -> Self {
        Self { log, tail, service: service.into() }
    }
}

#[async_trait::async_trait]
impl Log for StandbyLog {
    fn append(&self, partition: i32, record: Append, tag: Tag, acks: &UnboundedSender<Ack>) -> Result<(), NotQueued> {
        self.log.append(partition, record, tag, acks)
    }

    async fn end(&self, partition: i32) -> Result<i64, LogError> {
        self.log.end(partition).await
    }

    async fn read(&self, partition: i32, from: i64) -> Result<Box<dyn Cursor>, LogError> {
        let source = PartitionId { service: self.service.clone(), partition };
        let ring = self.tail.ring(&source, self.log.end(partition).await?)?;
        let (log, tail, end) = (self.log.clone(), self.tail.clone(), ring.watch());
        let generation = ring.generation();
        Ok(Box::new(RingCursor { source, ring, generation, end, next: from, log, tail, catching_up: None }))
    }
}

struct RingCursor {
    source: PartitionId,
    ring: Arc<Ring>,
    generation: u64,
    end: watch::Receiver<i64>,
    next: i64,
    log: Arc<KafkaLog>,
    tail: Arc<KafkaTail>,
    catching_up: Option<Box<dyn Cursor>>,
}

impl RingCursor {
    /// Reads the records that the ring has no more from the log itself.
    async fn catch_up(&mut self) -> Result<Vec<RawRecord>, LogError> {
        let cursor = match &mut self.catching_up {
            Some(cursor) => cursor,
            none => none.insert(self.log.read(self.source.partition, self.next).await?),
        };
        cursor.next().await
    }
}

#[async_trait::async_trait]
impl Cursor for RingCursor {
    async fn next(&mut self) -> Result<Vec<RawRecord>, LogError> {
        loop {
            self.end.mark_unchanged();
            let records: Vec<RawRecord> = match self.ring.window(self.next, MOST_RECORDS, self.generation) {
                Window::Records(records) => {
                    self.catching_up = None;
                    records.iter().map(|record| record.raw.clone()).collect()
                }
                Window::Behind => self.catch_up().await?,
                Window::Anew => return Err(LogError("its end was read anew".into())),
                Window::Empty => {
                    self.end.changed().await.map_err(|_| LogError("the consumer has stopped".into()))?;
                    continue;
                }
            };
            self.next = records.last().map_or(self.next, |last| last.offset + 1);
            return Ok(records);
        }
    }
}

impl Drop for RingCursor {
    fn drop(&mut self) {
        if let Err(error) = self.tail.forget(&self.source) {
            tracing::warn!(source = ?self.source, %error, "a standby's partition cannot be given up");
        }
    }
}
