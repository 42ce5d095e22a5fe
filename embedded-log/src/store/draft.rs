//! One transaction: what all requests that wait together do to the log.

use super::{
    AppendError, Partition, PartitionKey,
    ledger::{Ledger, PartitionState},
    producers::Verdict,
    tables,
};
use crate::batch::{Batch, place};
use redb::{Table, WriteTransaction};
use std::{collections::HashSet, sync::Arc};

/// A batch that is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub base: i64,
    /// It was there before: the producer has sent it a second time.
    pub is_duplicate: bool,
}

/// A transaction that is being written, and the ledger as it is behind it.
pub(super) struct Draft<'t> {
    pub(super) write: &'t WriteTransaction,
    pub(super) ledger: &'t mut Ledger,
    pub(super) batches: Table<'t, u128, &'static [u8]>,
    /// Partitions whose end has moved.
    grown: HashSet<PartitionKey>,
    /// Producers that have appended.
    active: HashSet<(PartitionKey, i64)>,
    now: i64,
    pub(super) changes: Changes,
}

/// What a transaction has changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Partitions whose end has moved.
    pub grown: HashSet<PartitionKey>,
    /// There are other topics, partitions or settings than before.
    pub topics: bool,
    /// Partitions that were deleted.
    pub gone: Vec<Arc<Partition>>,
    /// Something else was written.
    pub rows: bool,
}

impl Changes {
    pub fn is_nothing(&self) -> bool {
        self.grown.is_empty() && !self.topics && !self.rows
    }
}

impl<'t> Draft<'t> {
    pub fn new(write: &'t WriteTransaction, ledger: &'t mut Ledger, now: i64) -> Result<Self, redb::Error> {
        let batches = write.open_table(tables::BATCHES)?;
        Ok(Self { write, ledger, batches, grown: HashSet::new(), active: HashSet::new(), now, changes: Changes::default() })
    }

    /// Appends a batch, unless it stands in the log already or its producer's order forbids it.
    pub fn append(&mut self, key: PartitionKey, batch: &Batch) -> Result<Result<Appended, AppendError>, redb::Error> {
        let Some(state) = self.ledger.partitions.get_mut(&key) else { return Ok(Err(AppendError::UnknownPartition)) };
        if batch.size() > state.max_batch_bytes {
            return Ok(Err(AppendError::TooLarge(state.max_batch_bytes)));
        }
        if batch.stamp().is_some_and(|stamp| stamp.producer >= self.ledger.next_producer) {
            return Ok(Err(AppendError::UnknownProducer));
        }
        match batch.stamp().map_or(Verdict::Next, |stamp| state.producers.judge(stamp)) {
            Verdict::Duplicate(base) => return Ok(Ok(Appended { base, is_duplicate: true })),
            Verdict::OutOfOrder => return Ok(Err(AppendError::OutOfOrder)),
            Verdict::StaleEpoch => return Ok(Err(AppendError::StaleEpoch)),
            Verdict::Next => {}
        }
        let base = state.end;
        insert(&mut self.batches, key, state, batch)?;
        if let Some(stamp) = batch.stamp() {
            state.producers.record(stamp, base, self.now);
            self.active.insert((key, stamp.producer));
        }
        self.grown.insert(key);
        Ok(Ok(Appended { base, is_duplicate: false }))
    }

    /// The next producer's id.
    pub fn new_producer(&mut self) -> Result<i64, redb::Error> {
        let id = self.ledger.next_producer;
        self.ledger.next_producer += 1;
        self.set_number(tables::NEXT_PRODUCER, self.ledger.next_producer.unsigned_abs().into())?;
        Ok(id)
    }

    pub(super) fn set_number(&mut self, name: &str, value: u128) -> Result<(), redb::Error> {
        self.write.open_table(tables::META)?.insert(name, value)?;
        self.changes.rows = true;
        Ok(())
    }

    /// Writes the rows of everything that has grown, once for the whole transaction.
    pub fn finish(mut self) -> Result<Changes, redb::Error> {
        self.write_ends()?;
        self.write_producers()?;
        Ok(Changes { grown: self.grown, ..self.changes })
    }

    fn write_ends(&mut self) -> Result<(), redb::Error> {
        let mut ends = self.write.open_table(tables::PARTITIONS)?;
        for key in &self.grown {
            // A topic may have been deleted behind an append in the same transaction.
            if let Some(state) = self.ledger.partitions.get(key) {
                ends.insert(tables::partition_row(*key), (state.end, state.newest))?;
            }
        }
        Ok(())
    }

    fn write_producers(&mut self) -> Result<(), redb::Error> {
        let mut producers = self.write.open_table(tables::PRODUCERS)?;
        // Partitions that have a producer that they did not have before.
        let mut joined = HashSet::new();
        for (key, id) in &self.active {
            let Some(state) = self.ledger.partitions.get(key) else { continue };
            if let Some(producer) = state.producers.get(*id) {
                let batches = producer.batches.iter().map(|batch| (batch.first, batch.last, batch.base)).collect::<Vec<_>>();
                let is_new = producers.insert(tables::row_in(*key, *id), (producer.epoch, producer.last_used, batches))?.is_none();
                // Only a new producer adds a row, so only then others are looked through.
                if is_new {
                    joined.insert(*key);
                }
            }
        }
        for key in joined {
            let silent = self.ledger.partitions.get_mut(&key).map(|state| state.producers.forget_silent(self.now));
            for id in silent.unwrap_or_default() {
                producers.remove(tables::row_in(key, id))?;
            }
        }
        Ok(())
    }
}

/// Writes the batch's row, and moves the partition's end behind it.
fn insert(
    batches: &mut Table<'_, u128, &'static [u8]>,
    key: PartitionKey,
    state: &mut PartitionState,
    batch: &Batch,
) -> Result<(), redb::Error> {
    let newest = state.newest.max(batch.max_timestamp());
    let mut row = batches.insert_reserve(tables::row_in(key, state.end), tables::ROW_PREFIX + batch.size())?;
    let (prefix, place_of_batch) = row.as_mut().split_at_mut(tables::ROW_PREFIX);
    prefix.copy_from_slice(&newest.to_be_bytes());
    place_of_batch.copy_from_slice(batch.bytes());
    place(place_of_batch, state.end);
    state.end += i64::from(batch.count());
    state.newest = newest;
    state.unpublished += batch.size() as u64;
    Ok(())
}
