//! What stands where in the database.

use super::PartitionKey;
use redb::TableDefinition;
use std::ops::RangeInclusive;

/// The store's own numbers, by name.
pub(super) const META: TableDefinition<'_, &str, u128> = TableDefinition::new("meta");
/// A topic's number, id, partition count and settings, by name. Rows elsewhere name a topic by its number, which is never given again.
pub(super) const TOPICS: TableDefinition<'_, &str, TopicRow> = TableDefinition::new("topics");
/// Batches, by partition and base offset: the newest time of the partition up to this batch (eight bytes), and the batch itself. Since the
/// newest time never falls from one batch to the next, a search by time is a binary search.
pub(super) const BATCHES: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("batches");
/// Where each partition ends, and its newest time.
pub(super) const PARTITIONS: TableDefinition<'_, u64, (i64, i64)> = TableDefinition::new("partitions");
/// The newest batches of each idempotent producer, by partition and producer.
pub(super) const PRODUCERS: TableDefinition<'_, u128, ProducerRow> = TableDefinition::new("producers");
/// Offsets that groups have committed, by group, topic number and partition.
pub(super) const OFFSETS: TableDefinition<'_, (&str, u32, u32), OffsetRow> = TableDefinition::new("offsets");

/// Number, id, partitions, settings.
pub(super) type TopicRow = (u32, u128, u32, Vec<(&'static str, &'static str)>);
/// Epoch, time of the last append, and per batch its first and last sequence number and base offset, the oldest first.
pub(super) type ProducerRow = (i16, i64, Vec<(i32, i32, i64)>);
/// Offset, leader's epoch, the client's own text, time of the commit.
pub(super) type OffsetRow = (i64, i32, &'static str, i64);

/// The version of all this; another version is refused.
pub(super) const FORMAT: u128 = 1;
pub(super) const FORMAT_NAME: &str = "format";
pub(super) const CLUSTER_NAME: &str = "cluster";
pub(super) const NEXT_TOPIC: &str = "next topic";
pub(super) const NEXT_PRODUCER: &str = "next producer";
/// Counts how often the database was opened again after a failure; see [`super::writer`].
pub(super) const RECOVERIES: &str = "recoveries";

/// The bytes before a batch in its row.
pub(super) const ROW_PREFIX: usize = 8;

pub(super) fn partition_row(key: PartitionKey) -> u64 {
    u64::from(key.topic) << 32 | u64::from(key.partition)
}

/// Offsets and producers' ids are not negative, so their order as numbers is the order of the rows.
pub(super) fn row_in(key: PartitionKey, number: i64) -> u128 {
    u128::from(partition_row(key)) << 64 | u128::from(number.unsigned_abs())
}

pub(super) fn rows_of(key: PartitionKey) -> RangeInclusive<u128> {
    row_in(key, 0)..=row_in(key, i64::MAX)
}

/// The offset or the producer's id in a row's key.
pub(super) fn number_in(row: u128) -> i64 {
    (row & u128::from(u64::MAX)) as i64
}

/// The partition in a row's key.
pub(super) fn partition_in(row: u128) -> PartitionKey {
    PartitionKey { topic: (row >> 96) as u32, partition: (row >> 64) as u32 }
}

/// A batch's row taken apart: the newest time up to it, and its bytes.
pub(super) fn batch_in(row: &[u8]) -> Option<(i64, &[u8])> {
    let (newest, batch) = row.split_first_chunk::<ROW_PREFIX>()?;
    Some((i64::from_be_bytes(*newest), batch))
}
