//! How many partitions a log has. An aggregate's partition is worked out from that number, so an owner that goes by another one decides
//! about aggregates whose events stand elsewhere. The first claim that states a number fixes it for the log's life.

use crate::{
    PartitionId, Position, RawRecord,
    envelope::{Entry, EventEntry},
    host::partition_of,
    log::{Log, LogError},
};
use codec::{PartitionClaimed, Schemas};
use std::time::Duration;

/// How long the beginning of a partition may take to come.
const WITHIN: Duration = Duration::from_secs(10);

/// Why a log's number of partitions is not the one that this node goes by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A claim states another number.
    #[error("the claim at {at} says that the log has {stated} partitions, and this node counts {counted}")]
    Claimed {
        /// The claim.
        at: Position,
        /// Its number.
        stated: i32,
        /// This node's.
        counted: i32,
    },
    /// An aggregate's event stands where it would not be by that number.
    #[error("the event at {at} is of an aggregate that lives in partition {home} of the {counted} that this node counts")]
    Stranger {
        /// The event.
        at: Position,
        /// Where it should stand.
        home: i32,
        /// This node's number of partitions.
        counted: i32,
    },
}

/// What a fold has learned of the number of partitions.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    source: PartitionId,
    /// The number that this node goes by; where there is none, nothing is compared.
    counted: Option<i32>,
    stated: Option<i32>,
    misfit: Option<Misfit>,
    told: bool,
}

impl Layout {
    pub fn new(source: PartitionId, counted: Option<i32>) -> Self {
        Self { source, counted, stated: None, misfit: None, told: false }
    }

    /// What was folded so far was folded by an owner that goes by the same number.
    pub fn is_settled(&mut self) {
        self.stated = self.stated.or(self.counted);
    }

    /// Notes the number that a claim states, where it is the first that states one.
    pub fn claimed(&mut self, raw: &RawRecord, schemas: &Schemas) {
        if self.stated.is_some() {
            return;
        }
        self.stated = PartitionClaimed::decode(&raw.payload, schemas).ok().and_then(|claim| claim.partitions);
        if let (Some(stated), Some(counted)) = (self.stated, self.counted)
            && stated != counted
        {
            self.misfit = Some(Misfit::Claimed { at: self.position(raw.offset), stated, counted });
        }
    }

    /// Tells once of an event that is not at home here: its aggregate is never asked for in this partition.
    pub fn counts(&mut self, event: &EventEntry) {
        if self.told {
            return;
        }
        if let Some(stranger) = stranger(event, self.source.partition, self.counted) {
            self.told = true;
            tracing::warn!(aggregate = %event.record.aggregate_id, "{stranger}: `daybook verify` lists all such events");
        }
    }

    /// Why this node must not own the partition.
    pub fn misfit(&self) -> Option<&Misfit> {
        self.misfit.as_ref()
    }

    fn position(&self, offset: i64) -> Position {
        Position { service: self.source.service.clone(), partition: self.source.partition, offset }
    }
}

fn stranger(event: &EventEntry, partition: i32, counted: Option<i32>) -> Option<Misfit> {
    let home = partition_of(event.record.aggregate_id.to_string().as_bytes(), counted?);
    (home != partition).then(|| Misfit::Stranger { at: event.record.position.clone(), home, counted: counted.unwrap_or_default() })
}

/// Looks at the first records of a partition: whether its first claim states another number than `counted`, or an event is not at home.
///
/// # Errors
/// The log does not answer.
pub async fn misfit(log: &dyn Log, source: &PartitionId, counted: i32, schemas: &Schemas) -> Result<Option<Misfit>, LogError> {
    if log.end(source.partition).await? == 0 {
        return Ok(None);
    }
    let mut cursor = log.read(source.partition, 0).await?;
    let late = |_| LogError(format!("the first records of {source} do not come"));
    let records = tokio::time::timeout(WITHIN, cursor.next()).await.map_err(late)??;
    let mut layout = Layout::new(source.clone(), Some(counted));
    for raw in &records {
        match Entry::read(&source.service, source.partition, raw) {
            Entry::Claim { .. } => layout.claimed(raw, schemas),
            Entry::Event(event) => {
                if let Some(stranger) = stranger(&event, source.partition, Some(counted)) {
                    return Ok(Some(stranger));
                }
            }
            Entry::Proof(_) | Entry::Foreign(_) => {}
        }
        if let Some(misfit) = layout.misfit() {
            return Ok(Some(misfit.clone()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Append, Cause, MemoryLog,
        envelope::{EventHeaders, claim},
        log::Tag,
        run::Place,
    };
    use codec::RecordSet;
    use event_sourcing::Timestamp;
    use uuid::Uuid;

    fn schemas() -> Schemas {
        Schemas::bundled(&RecordSet::parse(&[]))
    }

    fn source() -> PartitionId {
        PartitionId { service: "accounts".into(), partition: 0 }
    }

    fn a_claim(partitions: Option<i32>) -> Append {
        let claimed = PartitionClaimed { owner: "a".into(), address: "a:1".into(), nonce: "n".into(), partitions };
        claim("accounts", "n", Timestamp(1), claimed.encode(&schemas()).expect("it fits"))
    }

    /// An event of an aggregate that lives in partition `home` of 8.
    fn event(at: i64, home: i32) -> Append {
        let cause = Cause { actor: "a".into(), correlation_id: "c".into(), causation_id: None, traceparent: None };
        let lives = |number: &u128| partition_of(Uuid::from_u128(*number).to_string().as_bytes(), 8) == home;
        let headers = EventHeaders {
            service: "accounts",
            type_name: "t",
            aggregate_id: Uuid::from_u128((1..).find(lives).expect("one lives there")),
            command_id: Uuid::from_u128(1),
            place: Place { run: 0, at, index: 1, of: 1 },
            version: 1,
            fingerprint: 0,
            time: Timestamp(1),
            cause: &cause,
        };
        headers.append(Vec::new())
    }

    async fn found(records: Vec<Append>, counted: i32) -> Option<Misfit> {
        let log = MemoryLog::new(1);
        let (acks, _heard) = tokio::sync::mpsc::unbounded_channel();
        records.into_iter().for_each(|record| log.append(0, record, Tag { epoch: 0, at: -1 }, &acks).expect("there is room"));
        misfit(&log, &source(), counted, &schemas()).await.expect("it answers")
    }

    fn at(offset: i64) -> Position {
        Position { service: "accounts".into(), partition: 0, offset }
    }

    #[tokio::test]
    async fn the_first_claim_that_states_a_number_fixes_it() {
        let log = || vec![a_claim(None), a_claim(Some(4)), a_claim(Some(8))];
        assert_eq!(found(Vec::new(), 8).await, None, "an empty log fits any number");
        assert_eq!(found(log(), 4).await, None, "what a later claim says does not matter");
        assert_eq!(found(log(), 8).await, Some(Misfit::Claimed { at: at(1), stated: 4, counted: 8 }));
    }

    #[tokio::test]
    async fn an_event_that_is_not_at_home_shows_in_a_log_whose_claims_say_nothing() {
        let log = || vec![a_claim(None), event(1, 0), event(2, 4)];
        assert_eq!(found(log(), 4).await, None, "partition 4 of 8 is partition 0 of 4");
        assert_eq!(found(log(), 8).await, Some(Misfit::Stranger { at: at(2), home: 4, counted: 8 }));
    }
}
