//! Values by id, in segments that are written once.
//!
//! Ids are random. In a B-tree by id each of them would be in another page, which is copied, checked and written for it alone; so each save
//! writes the new values in the order of their ids, side by side, as a segment of its own. Segments of like size are merged into one, newer
//! values in the place of older ones, so that there are few of them, and a filter for each tells which need not be searched. (The
//! log-structured merge-tree, O'Neil and others 1996; the merging by size is Lucene's and Cassandra's; the filter is Bloom's, 1970.)

use super::{
    SnapshotError,
    block::{Block, Merged, Stored, Stretch, values},
    sealed, unsealed,
};
use event_sourcing::Timestamp;
use fastbloom::BloomFilter;
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The blocks of a segment, by their first ids.
type Blocks = ReadOnlyTable<u128, &'static [u8]>;

/// A filter's rate of false positives: lookups of an id in a segment that does not have it. It costs 10 bits for each id.
const MISTAKES: f64 = 0.01;
/// Fixed, since a filter is saved and read by later processes.
const SEED: u128 = 0x4461_7962_6f6f_6b21;

/// The part of a segment that is saved beside its blocks.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    count: usize,
    /// The newest time of its values.
    newest: Timestamp,
    bits: Vec<u64>,
    hashes: u32,
}

/// A segment's head, in memory.
struct SegmentInfo {
    number: u64,
    count: usize,
    newest: Timestamp,
    filter: BloomFilter,
}

struct Segment {
    known: Arc<SegmentInfo>,
    blocks: Blocks,
}

/// The values that one save adds.
pub(super) struct Added {
    /// In the order of their ids, each id once.
    pub values: Vec<Stored>,
    pub newest: Timestamp,
    /// Segments are merged only up to this many values.
    pub most: usize,
}

/// All values of one kind, as they were saved last.
pub(super) struct Shelf {
    name: &'static str,
    /// The oldest first.
    segments: Vec<Segment>,
}

impl Segment {
    fn find(&self, id: u128, hash: u64) -> Result<Option<Vec<u8>>, SnapshotError> {
        if !self.known.filter.contains_hash(hash) {
            return Ok(None);
        }
        let Some(block) = self.blocks.range(..=id)?.next_back() else { return Ok(None) };
        let (first, bytes) = block?;
        let values = values(unsealed(first.value(), bytes.value())?)?;
        let found = values.binary_search_by_key(&id, |(id, _)| *id);
        Ok(found.ok().map(|index| values[index].1.to_vec()))
    }

    fn run(&self) -> Result<Stretch<'_>, SnapshotError> {
        Ok(Box::new(self.blocks.iter()?.flat_map(|block| {
            let entries = block.map_err(SnapshotError::from).and_then(|(first, bytes)| entries(first.value(), bytes.value()));
            entries.unwrap_or_else(|error| vec![Err(error)])
        })))
    }
}

fn entries(first: u128, block: &[u8]) -> Result<Vec<Result<Stored, SnapshotError>>, SnapshotError> {
    let values = values(unsealed(first, block)?)?;
    Ok(values.into_iter().map(|(id, value)| Ok((id, value.to_vec()))).collect())
}

impl Shelf {
    /// The shelf as it is now; the heads of segments that `before` has are not read again.
    pub fn open(name: &'static str, read: &ReadTransaction, before: Option<&Self>) -> Result<Self, SnapshotError> {
        let list = match read.open_table(TableDefinition::<u64, &[u8]>::new(name)) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Self { name, segments: Vec::new() }),
            list => list?,
        };
        let mut segments = Vec::new();
        for listed in list.iter()? {
            let (number, head) = listed?;
            let number = number.value();
            let known = before.and_then(|before| before.segments.iter().find(|segment| segment.known.number == number));
            let known = match known {
                Some(segment) => segment.known.clone(),
                None => Arc::new(SegmentInfo::read(number, head.value())?),
            };
            let blocks = read.open_table(TableDefinition::new(&table(name, number)))?;
            segments.push(Segment { known, blocks });
        }
        Ok(Self { name, segments })
    }

    /// The newest value of an id.
    pub fn get(&self, id: u128) -> Result<Option<Vec<u8>>, SnapshotError> {
        let Some(newest) = self.segments.last() else { return Ok(None) };
        let hash = newest.known.filter.source_hash(&id);
        self.segments.iter().rev().find_map(|segment| segment.find(id, hash).transpose()).transpose()
    }

    /// Writes the values that a save adds, and removes the oldest segments for which `forgotten` is true: it gets the number of values from
    /// a segment's newest one on, and the time of that one.
    pub fn add(&self, write: &WriteTransaction, added: Added, forgotten: impl Fn(usize, Timestamp) -> bool) -> Result<(), SnapshotError> {
        let (gone, kept) = self.segments.split_at(self.forgotten(added.values.len(), forgotten));
        let (_, merged) = kept.split_at(kept.len() - mergeable(kept, &added));
        let mut list = write.open_table(TableDefinition::<u64, &[u8]>::new(self.name))?;
        if !added.values.is_empty() {
            let number = self.segments.last().map_or(0, |last| last.known.number + 1);
            let head = self.write(write, number, added, merged)?;
            list.insert(number, sealed(number.into(), postcard::to_allocvec(&head)?).as_slice())?;
        }
        for Segment { known, .. } in gone.iter().chain(merged) {
            list.remove(known.number)?;
            write.delete_table(TableDefinition::<u128, &[u8]>::new(&table(self.name, known.number)))?;
        }
        Ok(())
    }

    fn forgotten(&self, added: usize, forgotten: impl Fn(usize, Timestamp) -> bool) -> usize {
        let mut count = added + self.segments.iter().map(|segment| segment.known.count).sum::<usize>();
        let goes = |segment: &&Segment| {
            count -= segment.known.count;
            forgotten(count + 1, segment.known.newest)
        };
        self.segments.iter().take_while(goes).count()
    }

    fn write(&self, write: &WriteTransaction, number: u64, added: Added, merged: &[Segment]) -> Result<Head, SnapshotError> {
        let count = added.values.len() + merged.iter().map(|segment| segment.known.count).sum::<usize>();
        let newest = merged.iter().map(|segment| segment.known.newest).fold(added.newest, Timestamp::max);
        let mut run: Stretch<'_> = Box::new(added.values.into_iter().map(Ok));
        for older in merged.iter().rev() {
            run = Box::new(Merged::new(run, older.run()?));
        }
        let mut blocks = write.open_table(TableDefinition::new(&table(self.name, number)))?;
        let mut filter = BloomFilter::with_false_pos(MISTAKES).seed(&SEED).expected_items(count);
        let count = fill(&mut blocks, run, &mut filter)?;
        Ok(Head { count, newest, bits: filter.as_slice().to_vec(), hashes: filter.num_hashes() })
    }
}

fn table(name: &str, number: u64) -> String {
    format!("{name} {number}")
}

impl SegmentInfo {
    fn read(number: u64, bytes: &[u8]) -> Result<Self, SnapshotError> {
        let Head { count, newest, bits, hashes } = postcard::from_bytes(unsealed(number.into(), bytes)?)?;
        Ok(Self { number, count, newest, filter: BloomFilter::from_vec(bits).seed(&SEED).hashes(hashes) })
    }
}

/// How many of the newest segments are merged with the added values: each one that has less than twice as many values as would be merged
/// without it. So each value is written again once for each doubling.
fn mergeable(segments: &[Segment], added: &Added) -> usize {
    let mut count = added.values.len();
    let fits = |segment: &&Segment| {
        let fits = segment.known.count < 2 * count && segment.known.count + count <= added.most;
        count += segment.known.count;
        fits
    };
    segments.iter().rev().take_while(fits).count()
}

/// Writes a stretch as blocks; returns how many values it had.
fn fill(blocks: &mut redb::Table<'_, u128, &[u8]>, run: Stretch<'_>, filter: &mut BloomFilter) -> Result<usize, SnapshotError> {
    let mut put = |block: &mut Block| match block.emptied() {
        Some((first, bytes)) => blocks.insert(first, sealed(first, bytes).as_slice()).map(drop),
        None => Ok(()),
    };
    let (mut block, mut count) = (Block::default(), 0);
    for entry in run {
        let (id, value) = entry?;
        if !block.takes(&value) {
            put(&mut block)?;
        }
        block.push(id, &value);
        filter.insert(&id);
        count += 1;
    }
    put(&mut block)?;
    Ok(count)
}
