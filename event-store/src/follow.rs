//! Reading a partition with the run rule's verdict on each record: for people who look at the log.

use crate::{
    Counted, Log, LogError, PartitionId, RawRecord,
    envelope::Entry,
    log::Cursor,
    run::{RunRule, Verdict},
};
use bytes::Bytes;
use std::sync::Arc;

/// A record and the run rule's verdict on it.
#[derive(Clone, Debug)]
pub struct Followed {
    /// Where it stands.
    pub offset: i64,
    /// The rule's verdict. A `Held` record counts once its group is whole.
    pub verdict: Verdict,
    /// The event, where the record is one of ours.
    pub event: Option<Counted>,
    /// The nonce, where the record is a claim.
    pub claim: Option<String>,
    /// The header that is missing or wrong, where the record is not of our making.
    pub foreign: Option<&'static str>,
    /// The record's value, as it is.
    pub payload: Bytes,
}

/// Follows one partition from its beginning, so that the run is always known.
pub struct Follower {
    source: PartitionId,
    rule: RunRule,
    cursor: Box<dyn Cursor>,
}

impl Follower {
    /// Begins at offset 0.
    pub async fn start(log: &Arc<dyn Log>, source: PartitionId) -> Result<Self, LogError> {
        let cursor = log.read(source.partition, 0).await?;
        Ok(Self { source, rule: RunRule::default(), cursor })
    }

    /// The next records; waits until there are some.
    pub async fn next(&mut self) -> Result<Vec<Followed>, LogError> {
        let records = self.cursor.next().await?;
        Ok(records.into_iter().map(|raw| self.judge(raw)).collect())
    }

    fn judge(&mut self, raw: RawRecord) -> Followed {
        let RawRecord { offset, ref payload, .. } = raw;
        let entry = Entry::read(&self.source.service, self.source.partition, &raw);
        let verdict = self.rule.step(offset, entry.mark());
        let (mut event, mut claim, mut foreign) = (None, None, None);
        match entry {
            Entry::Claim { nonce } => claim = Some(nonce),
            Entry::Event(entry) => event = Some(entry.record),
            Entry::Proof(_) => {}
            Entry::Foreign(header) => foreign = Some(header),
        }
        Followed { offset, verdict, event, claim, foreign, payload: payload.clone() }
    }
}
