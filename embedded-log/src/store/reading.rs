//! Reading, each time on a snapshot of what is durable.

use super::{Committed, Partition, PartitionKey, ReadError, StorageFailed, Store, disk::OpenDatabase, tables, writer::Job};
use crate::batch::{Header, first_since, place};
use bytes::{Bytes, BytesMut};
use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
};

type Batches = ReadOnlyTable<u128, &'static [u8]>;

/// How much a reader wants.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Not more bytes than this.
    pub bytes: usize,
    /// But one batch all the same, however large it is: a reader that never gets it never gets past it.
    pub at_least_one: bool,
}

/// A batch in the table.
struct Found {
    base: i64,
    end: i64,
    newest: i64,
    bytes: Vec<u8>,
}

impl Store {
    /// Whole batches, one after the other; the first is the one that holds the offset. None are read behind the partition's end.
    pub fn read_batches(&self, partition: &Partition, from: i64, amount: Amount) -> Result<Bytes, ReadError> {
        let end = partition.end();
        if !(0..end).contains(&from) {
            return Ok(Bytes::new());
        }
        let read = self.read(|read| collect(&read.open_table(tables::BATCHES)?, partition.key(), from..end, amount))?;
        self.report(partition.key(), read)
    }

    /// The offset and the time of the first record that is not older than this.
    pub fn offset_since(&self, partition: &Partition, time: i64) -> Result<Option<(i64, i64)>, ReadError> {
        let end = partition.end();
        let read = self.read(|read| search(&read.open_table(tables::BATCHES)?, partition.key(), end, time))?;
        self.report(partition.key(), read)
    }

    /// The offset and the time of the newest record by time.
    pub fn newest(&self, partition: &Partition) -> Result<Option<(i64, i64)>, ReadError> {
        let end = partition.end();
        if end == 0 {
            return Ok(None);
        }
        let last = self.read(|read| find(&read.open_table(tables::BATCHES)?, partition.key(), end - 1))?;
        let last = self.report(partition.key(), last)?;
        self.offset_since(partition, last.newest)
    }

    /// What a group has committed.
    pub fn offsets(&self, group: &str) -> Result<Vec<Committed>, StorageFailed> {
        self.read(|read| {
            let rows = read.open_table(tables::OFFSETS)?.range((group, 0, 0)..=(group, u32::MAX, u32::MAX))?;
            let committed = rows.map(|row| {
                let (row, value) = row?;
                let ((_, topic, partition), (offset, leader_epoch, metadata, _)) = (row.value(), value.value());
                Ok(Committed { key: PartitionKey { topic, partition }, offset, leader_epoch, metadata: metadata.to_owned() })
            });
            committed.collect()
        })
    }

    /// The groups that have committed something.
    pub fn groups(&self) -> Result<Vec<String>, StorageFailed> {
        self.read(|read| {
            let offsets = read.open_table(tables::OFFSETS)?;
            let mut groups: Vec<String> = Vec::new();
            let mut rows = offsets.range::<(&str, u32, u32)>(..)?;
            while let Some(row) = rows.next() {
                let group = row?.0.value().0.to_owned();
                rows = offsets.range((&*group, u32::MAX, u32::MAX)..)?;
                groups.push(group);
            }
            Ok(groups)
        })
    }

    fn report<T>(&self, key: PartitionKey, read: Result<T, i64>) -> Result<T, ReadError> {
        read.map_err(|offset| {
            let catalog = self.catalog();
            let topic = catalog.topic_with_number(key.topic).map_or("(deleted)", |topic| &topic.name);
            tracing::error!(
                topic,
                partition = key.partition,
                offset,
                "the log is damaged: the batch at this offset is not what was appended"
            );
            ReadError::Damaged(offset)
        })
    }

    /// Reads on a snapshot. A database that has failed is opened again, and asked once more.
    pub(super) fn read<T>(&self, work: impl Fn(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T, StorageFailed> {
        for attempt in [1, 2] {
            match self.shared.current() {
                None => {}
                Some(database) => match attempt_read(&database, &work) {
                    Ok(read) => return Ok(read),
                    Err(why) => {
                        tracing::warn!(why, attempt, "the log cannot be read");
                        self.shared.discard(&database);
                    }
                },
            }
            self.wait_for_reopening();
        }
        Err(StorageFailed)
    }

    /// Waits until the writer has tried to open a database that was given up.
    fn wait_for_reopening(&self) {
        let (to, done) = mpsc::channel::<()>();
        self.queue(Job::Reopen(to));
        let _ = done.recv();
    }
}

fn attempt_read<T>(database: &Arc<OpenDatabase>, work: impl Fn(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T, String> {
    // A damaged page can make the database panic where it does not expect it.
    let read = catch_unwind(AssertUnwindSafe(|| work(&database.begin_read()?)));
    read.map_err(|_| "the database panicked".to_owned())?.map_err(|error| error.to_string())
}

/// The batch that holds an offset, or the offset where there is none that is sound.
fn find(batches: &Batches, key: PartitionKey, offset: i64) -> Result<Result<Found, i64>, redb::Error> {
    let Some(row) = batches.range(tables::row_in(key, 0)..=tables::row_in(key, offset))?.next_back() else { return Ok(Err(offset)) };
    let (row, value) = row?;
    let base = tables::number_in(row.value());
    let sound = tables::batch_in(value.value()).and_then(|(newest, bytes)| {
        let end = Header::checked(bytes).ok()?.end(base);
        (end > offset).then(|| Found { base, end, newest, bytes: bytes.to_vec() })
    });
    Ok(sound.ok_or(base))
}

/// The batches from an offset on. Fails with the offset of a damaged batch only if that is the first one.
fn collect(batches: &Batches, key: PartitionKey, offsets: std::ops::Range<i64>, amount: Amount) -> Result<Result<Bytes, i64>, redb::Error> {
    let first = match find(batches, key, offsets.start)? {
        Ok(found) => found.base,
        Err(damaged) => return Ok(Err(damaged)),
    };
    let (mut out, mut next) = (BytesMut::new(), first);
    for row in batches.range(tables::row_in(key, first)..tables::row_in(key, offsets.end))? {
        let (row, value) = row?;
        let sound = tables::batch_in(value.value()).filter(|_| tables::number_in(row.value()) == next);
        let Some((batch, header)) = sound.and_then(|(_, batch)| Some((batch, Header::checked(batch).ok()?))) else {
            return Ok(if out.is_empty() { Err(next) } else { Ok(out.freeze()) });
        };
        let fits = out.len() + batch.len() <= amount.bytes || (out.is_empty() && amount.at_least_one);
        if !fits {
            break;
        }
        let at = out.len();
        out.extend_from_slice(batch);
        place(&mut out[at..], next);
        next = header.end(next);
    }
    Ok(Ok(out.freeze()))
}

/// A binary search: the newest time up to a batch never falls from one batch to the next, and where it passes `time` for the first time, a
/// record of that batch does.
fn search(batches: &Batches, key: PartitionKey, end: i64, time: i64) -> Result<Result<Option<(i64, i64)>, i64>, redb::Error> {
    let (mut low, mut high) = (0, end);
    while low < high {
        match find(batches, key, low + (high - low) / 2)? {
            Ok(found) if found.newest >= time => high = found.base,
            Ok(found) => low = found.end,
            Err(damaged) => return Ok(Err(damaged)),
        }
    }
    if low == end {
        return Ok(Ok(None));
    }
    Ok(find(batches, key, low)?.and_then(|found| first_since(&found.bytes, found.base, time).map(Some).ok_or(found.base)))
}
