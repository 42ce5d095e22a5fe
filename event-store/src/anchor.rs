//! Whether a log still holds what somebody has read of it.
//!
//! A log can lose its last records (power loss with one copy, an unclean election) and go on with others at the same offsets. Whoever holds
//! something that was made of it (a fold, a view, a reactor's place) remembers the record before the next that it is to read, and compares:
//! two writers never put the same record of the same run at the same offset.

use crate::{Checkpoint, LogError, PartitionId, RawRecord, envelope::SharedRecord, log::Log};
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};

/// How long a record that is there may take to come.
const WITHIN: Duration = Duration::from_secs(10);

/// Tells one record from another at the same offset: 64 bits of SHA-256 over its id, its run, and, where it has no id, its key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Anchor(i64);

impl Anchor {
    /// That of a record.
    pub fn of(raw: &RawRecord) -> Self {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(raw.headers.get("run").unwrap_or_default());
        match raw.headers.get("ce_id") {
            Some(id) => part(id),
            None => [&raw.key, &raw.payload].into_iter().for_each(|bytes| part(bytes)),
        }
        let mut first = [0; 8];
        first.copy_from_slice(&hash.finalize()[..8]);
        Self(i64::from_be_bytes(first))
    }

    /// The one that was stored as these bits.
    pub fn from_bits(bits: i64) -> Self {
        Self(bits)
    }

    /// As a store keeps it.
    pub fn bits(self) -> i64 {
        self.0
    }
}

/// The records that were read between two checkpoints, whether they count or not, in the log's order.
#[derive(Clone, Debug, Default)]
pub struct Passed(Vec<Arc<SharedRecord>>);

impl Passed {
    pub(crate) fn add(&mut self, records: &[Arc<SharedRecord>]) {
        self.0.extend_from_slice(records);
    }

    /// Takes those before an offset out.
    pub(crate) fn take_before(&mut self, next: i64) -> Self {
        let rest = self.0.split_off(self.0.partition_point(|record| record.raw.offset < next));
        Self(std::mem::replace(&mut self.0, rest))
    }

    /// That of the record before `next`, where it is among them.
    pub(crate) fn anchor(&self, next: i64) -> Option<Anchor> {
        let at = self.0.binary_search_by_key(&(next - 1), |record| record.raw.offset).ok()?;
        Some(Anchor::of(&self.0[at].raw))
    }
}

/// The record at an offset; none where the log ends before it.
///
/// # Errors
/// The log does not answer.
pub(crate) async fn record_at(log: &dyn Log, partition: i32, offset: i64) -> Result<Option<RawRecord>, LogError> {
    if log.end(partition).await? <= offset {
        return Ok(None);
    }
    let mut cursor = log.read(partition, offset).await?;
    let late = |_| LogError(format!("the record at offset {offset} of partition {partition} does not come"));
    let records = tokio::time::timeout(WITHIN, cursor.next()).await.map_err(late)??;
    Ok(records.into_iter().next().filter(|record| record.offset == offset))
}

/// Whether the log still holds all that a reader has read that stands at this checkpoint. Of one without an anchor (it was stored by an
/// earlier version, or nothing was read) only the length can be compared.
///
/// # Errors
/// The log does not answer.
pub async fn is_anchored(log: &dyn Log, partition: i32, checkpoint: Checkpoint) -> Result<bool, LogError> {
    match checkpoint {
        Checkpoint { next: ..=0, .. } => Ok(true),
        Checkpoint { next, anchor: None, .. } => Ok(log.end(partition).await? >= next),
        Checkpoint { next, anchor: Some(anchor), .. } => {
            Ok(record_at(log, partition, next - 1).await?.is_some_and(|record| Anchor::of(&record) == anchor))
        }
    }
}

/// The furthest of these checkpoints that the log still holds; its beginning, where it holds none.
///
/// # Errors
/// The log does not answer.
pub async fn furthest_anchored(log: &dyn Log, source: &PartitionId, mut checkpoints: Vec<Checkpoint>) -> Result<Checkpoint, LogError> {
    checkpoints.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.next));
    for checkpoint in checkpoints {
        if is_anchored(log, source.partition, checkpoint).await? {
            return Ok(checkpoint);
        }
    }
    Ok(Checkpoint::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Append, Headers, MemoryLog, log::Tag};

    fn record(id: &str, run: i64) -> Append {
        let mut headers = Headers::default();
        headers.push("ce_id", id.as_bytes());
        headers.push("run", run.to_string().as_bytes());
        Append { key: "a".into(), payload: b"{}".to_vec(), headers }
    }

    fn append(log: &MemoryLog, record: Append) {
        let (acks, _) = tokio::sync::mpsc::unbounded_channel();
        log.append(0, record, Tag { epoch: 1, at: 0 }, &acks).expect("it is queued");
    }

    fn at(log: &MemoryLog, next: i64) -> Checkpoint {
        Checkpoint { anchor: Some(Anchor::of(&log.records(0)[next as usize - 1])), ..Checkpoint::new(next, Some(0)) }
    }

    #[tokio::test]
    async fn a_log_that_lost_its_tail_and_went_on_is_told_from_the_one_that_was_read() {
        let source = PartitionId { service: "accounts".into(), partition: 0 };
        let log = MemoryLog::new(1);
        ["a", "b", "c"].into_iter().for_each(|id| append(&log, record(id, 0)));
        let (two, three) = (at(&log, 2), at(&log, 3));
        assert!(is_anchored(&log, 0, three).await.unwrap());
        log.lose(0, 2);
        assert!(!is_anchored(&log, 0, three).await.unwrap(), "it is shorter");
        append(&log, record("c", 2));
        assert!(!is_anchored(&log, 0, three).await.unwrap(), "the same command was written again, in another run");
        assert!(is_anchored(&log, 0, two).await.unwrap(), "what was not lost is the same");
        assert!(is_anchored(&log, 0, Checkpoint::new(3, None)).await.unwrap(), "of an old checkpoint only the length is known");
        assert_eq!(furthest_anchored(&log, &source, vec![two, at(&log, 1), three]).await.unwrap(), two);
        assert_eq!(furthest_anchored(&log, &source, vec![three]).await.unwrap(), Checkpoint::default());
    }
}
