//! Reading a partition up to an offset that is known beforehand: for replays, which end.

use crate::{Batch, Checkpoint, LogError, PartitionId, lane::RunReader, log::Cursor, log::Log};
use std::sync::Arc;

/// Batches of a partition between a checkpoint and an offset.
pub struct Replay {
    source: PartitionId,
    cursor: Box<dyn Cursor>,
    reading: RunReader,
    until: i64,
}

impl Replay {
    /// Reads from `from` up to the record before `until`, which must be some reader's checkpoint, so that no group is open there. None when
    /// there is no record between them.
    ///
    /// # Errors
    /// The log cannot be asked, or it ends before `until`: it has lost records that a reader has already seen.
    pub async fn open(log: &Arc<dyn Log>, source: PartitionId, from: Checkpoint, until: i64) -> Result<Option<Self>, LogError> {
        if from.next >= until {
            return Ok(None);
        }
        let end = log.end(source.partition).await?;
        if end < until {
            let PartitionId { service, partition } = &source;
            return Err(LogError(format!("{service}/{partition} ends at {end}, but was read up to {until}: the log has lost records")));
        }
        let cursor = log.read(source.partition, from.next).await?;
        Ok(Some(Self { source, cursor, reading: RunReader::at(from), until }))
    }

    /// The next batch; none when everything before `until` was handed on.
    pub async fn next(&mut self) -> Result<Option<Batch>, LogError> {
        while self.reading.next() < self.until {
            let mut records = self.cursor.next().await?;
            records.retain(|record| record.offset < self.until);
            if let Some(batch) = self.reading.read(&self.source, records) {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// The checkpoint of a reader that has taken every batch.
    pub fn checkpoint(&self) -> Checkpoint {
        self.reading.checkpoint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Append, MemoryLog,
        envelope::{EventHeaders, claim},
        log::Tag,
        run::Place,
    };
    use event_sourcing::Timestamp;
    use uuid::Uuid;

    fn event(at: i64, index: u32, of: u32) -> Append {
        let cause = crate::Cause { actor: "a".into(), correlation_id: "c".into(), causation_id: None, traceparent: None };
        let place = Place { run: 0, at, index, of };
        let headers = EventHeaders {
            service: "accounts",
            type_name: "t",
            aggregate_id: Uuid::from_u128(1),
            command_id: Uuid::from_u128(at as u128),
            place,
            version: at as u64,
            fingerprint: 0,
            time: Timestamp(1),
            cause: &cause,
        };
        headers.append(Vec::new())
    }

    #[tokio::test]
    async fn a_replay_ends_where_it_is_told_and_continues_from_there() {
        let log = MemoryLog::new(1);
        let (acks, _) = tokio::sync::mpsc::unbounded_channel();
        let records = [claim("accounts", "n", Timestamp(1), Vec::new()), event(1, 1, 1), event(2, 1, 2), event(3, 2, 2), event(4, 1, 1)];
        for record in records {
            log.append(0, record, Tag { epoch: 1, at: 0 }, &acks).unwrap();
        }
        let log: Arc<dyn Log> = Arc::new(log);
        let source = PartitionId { service: "accounts".into(), partition: 0 };
        let mut offsets = Vec::new();
        let mut stand = Checkpoint::default();
        for until in [4, 5] {
            let mut replay = Replay::open(&log, source.clone(), stand, until).await.unwrap().expect("there is something to read");
            while let Some(batch) = replay.next().await.unwrap() {
                offsets.extend(batch.records.iter().map(|record| record.position.offset));
            }
            stand = replay.checkpoint();
            assert_eq!((stand.next, stand.claim), (until, Some(0)));
        }
        assert_eq!(offsets, [1, 2, 3, 4]);
        assert!(Replay::open(&log, source.clone(), stand, 5).await.unwrap().is_none());
        assert!(Replay::open(&log, source, stand, 6).await.is_err(), "the log is shorter than what was read");
    }
}
