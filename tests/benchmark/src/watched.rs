//! A log that tells how far its reader has come.

use event_store::{Ack, Append, Cursor, Log, LogError, NotQueued, RawRecord, Tag};
use std::sync::Arc;
use tokio::sync::{mpsc::UnboundedSender, watch};

/// Reads the log, and tells how far its reader has come.
pub struct Watched {
    log: Arc<dyn Log>,
    taken: watch::Sender<i64>,
}

impl Watched {
    /// The log, and the offset up to which its reader has taken everything.
    pub fn new(log: Arc<dyn Log>) -> (Self, watch::Receiver<i64>) {
        let (taken, reader) = watch::channel(0);
        (Self { log, taken }, reader)
    }
}

#[async_trait::async_trait]
impl Log for Watched {
    fn append(&self, partition: i32, record: Append, tag: Tag, acks: &UnboundedSender<Ack>) -> Result<(), NotQueued> {
        self.log.append(partition, record, tag, acks)
    }

    async fn end(&self, partition: i32) -> Result<i64, LogError> {
        self.log.end(partition).await
    }

    async fn read(&self, partition: i32, from: i64) -> Result<Box<dyn Cursor>, LogError> {
        Ok(Box::new(WatchedCursor { cursor: self.log.read(partition, from).await?, next: from, taken: self.taken.clone() }))
    }
}

struct WatchedCursor {
    cursor: Box<dyn Cursor>,
    next: i64,
    taken: watch::Sender<i64>,
}

#[async_trait::async_trait]
impl Cursor for WatchedCursor {
    async fn next(&mut self) -> Result<Vec<RawRecord>, LogError> {
        // A reader that asks for more is done with the records that it was given.
        self.taken.send_replace(self.next);
        let records = self.cursor.next().await?;
        self.next = records.last().map_or(self.next, |last| last.offset + 1);
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ours::{Keeps, Ours};
    use event_store::{Barrier, MemoryLog};

    #[tokio::test]
    async fn what_was_handed_on_is_taken_when_more_is_asked_for() {
        let log = Arc::new(MemoryLog::new(1));
        let ours = Ours::own(log.clone(), Barrier::End, Keeps::Memory).await.unwrap();
        ours.stop().await;
        let (watched, taken) = Watched::new(log);
        let mut cursor = watched.read(0, 0).await.unwrap();
        assert_eq!(cursor.next().await.unwrap().len(), 1, "the claim");
        assert_eq!(*taken.borrow(), 0);
        let more = tokio::time::timeout(std::time::Duration::from_millis(10), cursor.next());
        assert!(more.await.is_err() && *taken.borrow() == 1);
    }
}
