//! The blocks of a segment: values in the order of their ids.

use super::SnapshotError;
use std::iter::Peekable;

/// An id and its value.
pub(super) type Stored = (u128, Vec<u8>);
/// Entries in the order of their ids, each id once.
pub(super) type Stretch<'a> = Box<dyn Iterator<Item = Result<Stored, SnapshotError>> + 'a>;

/// The most bytes of a block, unless a single value has more: a block fits in a page of the file.
const MOST: usize = 3_600;

/// A block that is being filled.
#[derive(Default)]
pub(super) struct Block {
    first: u128,
    bytes: Vec<u8>,
}

impl Block {
    /// Whether there is still room for this value.
    pub fn takes(&self, value: &[u8]) -> bool {
        self.bytes.is_empty() || self.bytes.len() + size_of::<u128>() + size_of::<u32>() + value.len() <= MOST
    }

    pub fn push(&mut self, id: u128, value: &[u8]) {
        if self.bytes.is_empty() {
            self.first = id;
        }
        self.bytes.extend_from_slice(&id.to_le_bytes());
        self.bytes.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.bytes.extend_from_slice(value);
    }

    /// Empties the block, and returns its first id and all its bytes, where there are any.
    pub fn emptied(&mut self) -> Option<(u128, Vec<u8>)> {
        let bytes = std::mem::take(&mut self.bytes);
        (!bytes.is_empty()).then_some((self.first, bytes))
    }
}

/// An id and the bytes of its value.
type Value<'a> = (u128, &'a [u8]);

/// The values of a block.
pub(super) fn values(mut block: &[u8]) -> Result<Vec<Value<'_>>, SnapshotError> {
    let mut values = Vec::new();
    while !block.is_empty() {
        let (one, rest) = value(block).ok_or(SnapshotError::Rotten)?;
        values.push(one);
        block = rest;
    }
    Ok(values)
}

fn value(block: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let (id, rest) = block.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*length).try_into().ok()?)?;
    Some(((u128::from_le_bytes(*id), value), rest))
}

/// Merges two stretches; where both have an id, it takes the newer one's value.
pub(super) struct Merged<'a> {
    newer: Peekable<Stretch<'a>>,
    older: Peekable<Stretch<'a>>,
}

impl<'a> Merged<'a> {
    pub fn new(newer: Stretch<'a>, older: Stretch<'a>) -> Self {
        Self { newer: newer.peekable(), older: older.peekable() }
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Stored, SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (Some(Ok((newer, _))), Some(Ok((older, _)))) = (self.newer.peek(), self.older.peek()) else {
            // One has ended, or met an error.
            return self.newer.next().or_else(|| self.older.next());
        };
        let (takes_newer, is_replaced) = (newer <= older, newer == older);
        if is_replaced {
            self.older.next();
        }
        if takes_newer { self.newer.next() } else { self.older.next() }
    }
}
