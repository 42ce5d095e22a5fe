//! Reading a partition up to an offset that is known beforehand: for replays, which end.

use crate::{Batch, Checkpoint, LogError, PartitionId, is_anchored, lane::RunReader, log::Cursor, log::Log};
use std::sync::Arc;

/// Why a partition cannot be read up to an offset.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The log cannot be asked.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It ends before the offset.
    #[error("{partition} ends at {end}, but was read up to {until}: the log has lost records")]
    EndsBefore {
        /// The partition.
        partition: PartitionId,
        /// Its end.
        end: i64,
        /// Where it was to be read to.
        until: i64,
    },
    /// Another record stands where one was read, or none.
    #[error("{0} has lost records that were read here")]
    Rewritten(PartitionId),
}

/// Batches of a partition between a checkpoint and an offset.
pub struct Replay {
    source: PartitionId,
    log: Arc<dyn Log>,
    /// What stood below was there when the log was looked at.
    looked_up_to: i64,
    cursor: Box<dyn Cursor>,
    reading: RunReader,
    until: i64,
}

impl Replay {
    /// Reads from `from` up to the record before `until`, which must be some reader's checkpoint, so that no group is open there. None when
    /// there is no record between them.
    ///
    /// # Errors
    /// The log cannot be asked; it ends before `until`, or does not hold what was read up to `from`: it has lost records that a reader has
    /// already seen.
    pub async fn open(log: &Arc<dyn Log>, source: PartitionId, from: Checkpoint, until: i64) -> Result<Option<Self>, ReplayError> {
        let end = log.end(source.partition).await?;
        if !is_anchored(&**log, source.partition, from).await? {
            return Err(ReplayError::Rewritten(source));
        }
        if from.next >= until {
            return Ok(None);
        }
        if end < until {
            return Err(ReplayError::EndsBefore { partition: source, end, until });
        }
        let cursor = log.read(source.partition, from.next).await?;
        Ok(Some(Self { source, log: log.clone(), looked_up_to: end, cursor, reading: RunReader::at(from), until }))
    }

    /// The next batch; none when everything before `until` was handed on.
    ///
    /// # Errors
    /// The log cannot be asked, or it has lost records meanwhile.
    pub async fn next(&mut self) -> Result<Option<Batch>, ReplayError> {
        while self.reading.next() < self.until {
            let mut records = self.cursor.next().await?;
            records.retain(|record| record.offset < self.until);
            let batch = self.reading.read(&self.source, records);
            self.look_at_breaks().await?;
            if let Some(batch) = batch {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// In a log that was rewritten while it was read, the first record of another run does not follow what was read before.
    async fn look_at_breaks(&mut self) -> Result<(), ReplayError> {
        for found in self.reading.breaks().iter().filter(|found| found.next >= self.looked_up_to) {
            if !is_anchored(&*self.log, self.source.partition, *found).await? {
                return Err(ReplayError::Rewritten(self.source.clone()));
            }
        }
        Ok(())
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
        let lost = Checkpoint { anchor: Some(crate::Anchor::from_bits(7)), ..stand };
        let unfounded = Replay::open(&log, source.clone(), lost, 5).await;
        assert!(matches!(unfounded, Err(ReplayError::Rewritten(_))), "another record stands before it, though there is nothing to read");
        assert!(Replay::open(&log, source.clone(), stand, 5).await.unwrap().is_none());
        assert!(Replay::open(&log, source, stand, 6).await.is_err(), "the log is shorter than what was read");
    }
}
