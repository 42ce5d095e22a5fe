//! The record format: CloudEvents' Kafka binding, and the headers that say where a record belongs. All headers are
//! text, so that any Kafka tool shows them.
//!
//! header | on | holds
//! --- | --- | ---
//! `ce_specversion`, `ce_type`, `ce_source`, `ce_time` | all | CloudEvents 1.0: `1.0`, the Avro record's full name, `/daybook/<service>`, RFC 3339
//! `ce_id` | all | `<command id>/<i>`; on a claim or a proof, its nonce
//! `ce_subject` | events | the aggregate's id, which is the record's key
//! `run`, `at` | events, proofs | the claim's offset, and the offset that the writer expects the record to get
//! `group` | events, proofs | `i/n`: which record of its command this is; `1/1` on a proof
//! `version` | events | the aggregate's version after the event
//! `fingerprint` | events | of the command, so that an owner which replays knows a key that was used for another command
//! `actor`, `correlation-id` | events | who asked; what belongs together
//! `causation-id`, `traceparent` | events, where known | the event that led here; W3C trace context

use crate::{Cause, Counted, Position, recorded::Recorded, run::Mark, run::Place};
use domain::Timestamp;
use std::{fmt::Write, sync::Arc};
use uuid::Uuid;

/// The Avro record, and so the `ce_type`, of a claim.
pub(crate) const CLAIM_TYPE: &str = "daybook.log.PartitionClaimed";
/// The `ce_type` of a proof: a record by which an owner shows that it is one still. It stands in the run like an event, and nobody folds it.
pub(crate) const PROOF_TYPE: &str = "daybook.log.OwnerConfirmed";

/// A record as a log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// Where it stands.
    pub offset: i64,
    /// The key's bytes.
    pub key: Vec<u8>,
    /// The framed event.
    pub payload: Vec<u8>,
    /// The headers, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// A record on its way to a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The record's key: an aggregate's id.
    pub key: String,
    /// The framed event.
    pub payload: Vec<u8>,
    /// The headers, in their order.
    pub headers: Vec<(&'static str, String)>,
}

/// What a record is, once its headers are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A claim of the partition.
    Claim {
        /// Names the claim: its `ce_id`.
        nonce: String,
    },
    /// An event that counts if the run rule says so.
    Event(Box<EventEntry>),
    /// A proof that an owner was one still.
    Proof(Place),
    /// Not of our making, or broken: the header that is missing or wrong.
    Foreign(&'static str),
}

/// An event of the log that may count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventEntry {
    /// Where its writer meant it to stand.
    pub place: Place,
    /// Of its command.
    pub fingerprint: u64,
    /// The command that made it.
    pub command_id: Uuid,
    /// The event, not decoded yet, and its circumstances.
    pub record: Counted,
}

impl Entry {
    /// What the run rule needs to know of it.
    pub fn mark(&self) -> Mark {
        match self {
            Self::Claim { .. } => Mark::Claim,
            Self::Event(event) => Mark::Event(event.place),
            Self::Proof(place) => Mark::Event(*place),
            Self::Foreign(_) => Mark::Foreign,
        }
    }

    /// Reads a record's headers.
    pub fn read(service: &Arc<str>, partition: i32, raw: RawRecord) -> Self {
        let headers = Headers(&raw.headers);
        if headers.text("ce_type") == Some(CLAIM_TYPE) {
            return headers.text("ce_id").map_or(Self::Foreign("ce_id"), |nonce| Self::Claim { nonce: nonce.to_owned() });
        }
        if headers.text("ce_type") == Some(PROOF_TYPE) {
            return headers.proof().map_or_else(Self::Foreign, Self::Proof);
        }
        match headers.event(service, partition, raw.offset) {
            Ok((place, fingerprint, command_id, record)) => {
                Self::Event(Box::new(EventEntry { place, fingerprint, command_id, record: record.with(raw.payload) }))
            }
            Err(header) => Self::Foreign(header),
        }
    }
}

struct Headers<'a>(&'a [(String, Vec<u8>)]);

impl Headers<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    fn need(&self, name: &'static str) -> Result<&str, &'static str> {
        self.text(name).ok_or(name)
    }

    fn number<N: std::str::FromStr>(&self, name: &'static str) -> Result<N, &'static str> {
        self.need(name)?.parse().map_err(|_| name)
    }

    fn place(&self) -> Result<Place, &'static str> {
        let (index, of) = self.need("group")?.split_once('/').ok_or("group")?;
        let (index, of) = (index.parse().map_err(|_| "group")?, of.parse().map_err(|_| "group")?);
        Ok(Place { run: self.number("run")?, at: self.number("at")?, index, of })
    }

    /// A proof is a group of its own: nobody holds one back, so a reader could not resume in the middle of its group.
    fn proof(&self) -> Result<Place, &'static str> {
        self.place().and_then(|place| if (place.index, place.of) == (1, 1) { Ok(place) } else { Err("group") })
    }

    fn event(&self, service: &Arc<str>, partition: i32, offset: i64) -> Result<(Place, u64, Uuid, Recorded<()>), &'static str> {
        let event_id = self.need("ce_id")?;
        let (command, _) = event_id.split_once('/').ok_or("ce_id")?;
        let command_id = Uuid::parse_str(command).map_err(|_| "ce_id")?;
        let fingerprint = u64::from_str_radix(self.need("fingerprint")?, 16).map_err(|_| "fingerprint")?;
        let time: jiff::Timestamp = self.number("ce_time")?;
        let record = Recorded {
            position: Position { service: service.clone(), partition, offset },
            aggregate_id: Uuid::parse_str(self.need("ce_subject")?).map_err(|_| "ce_subject")?,
            version: self.number("version")?,
            event_id: event_id.to_owned(),
            type_name: self.need("ce_type")?.into(),
            time: Timestamp(time.as_millisecond()),
            cause: self.cause()?,
            event: (),
        };
        Ok((self.place()?, fingerprint, command_id, record))
    }

    fn cause(&self) -> Result<Cause, &'static str> {
        Ok(Cause {
            actor: self.need("actor")?.to_owned(),
            correlation_id: self.need("correlation-id")?.to_owned(),
            causation_id: self.text("causation-id").map(str::to_owned),
            traceparent: self.text("traceparent").map(str::to_owned),
        })
    }
}

/// What all records of one command share, and its number in the group.
pub struct EventHeaders<'a> {
    /// The service's name: `orders`.
    pub service: &'a str,
    /// The Avro record's full name.
    pub type_name: &'a str,
    /// Whose event it is.
    pub aggregate_id: Uuid,
    /// The command that made it.
    pub command_id: Uuid,
    /// Where it is meant to stand.
    pub place: Place,
    /// The aggregate's version after the event.
    pub version: u64,
    /// Of the command.
    pub fingerprint: u64,
    /// When the command was taken.
    pub time: Timestamp,
    /// Who and why.
    pub cause: &'a Cause,
}

impl EventHeaders<'_> {
    /// The record of an event, ready to be appended.
    pub fn append(&self, payload: Vec<u8>) -> Append {
        let Place { run, at, index, of } = self.place;
        let key = self.aggregate_id.to_string();
        let mut headers = vec![
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", format!("{}/{index}", self.command_id)),
            ("ce_type", self.type_name.to_owned()),
            ("ce_source", format!("/daybook/{}", self.service)),
            ("ce_subject", key.clone()),
            ("ce_time", rfc3339(self.time)),
            ("run", run.to_string()),
            ("at", at.to_string()),
            ("group", format!("{index}/{of}")),
            ("version", self.version.to_string()),
            ("fingerprint", format!("{:016x}", self.fingerprint)),
            ("actor", self.cause.actor.clone()),
            ("correlation-id", self.cause.correlation_id.clone()),
        ];
        headers.extend(self.cause.causation_id.clone().map(|id| ("causation-id", id)));
        headers.extend(self.cause.traceparent.clone().map(|trace| ("traceparent", trace)));
        Append { key, payload, headers }
    }
}

/// The record of a claim.
pub fn claim(service: &str, nonce: &str, time: Timestamp, payload: Vec<u8>) -> Append {
    Append { key: "claim".to_owned(), payload, headers: of_the_log(CLAIM_TYPE, service, nonce, time) }
}

/// The record of a proof, where it is meant to stand.
pub fn proof(service: &str, nonce: &str, time: Timestamp, (run, at): (i64, i64), payload: Vec<u8>) -> Append {
    let mut headers = of_the_log(PROOF_TYPE, service, nonce, time);
    headers.extend([("run", run.to_string()), ("at", at.to_string()), ("group", "1/1".to_owned())]);
    Append { key: "owner".to_owned(), payload, headers }
}

fn of_the_log(type_name: &str, service: &str, nonce: &str, time: Timestamp) -> Vec<(&'static str, String)> {
    vec![
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", nonce.to_owned()),
        ("ce_type", type_name.to_owned()),
        ("ce_source", format!("/daybook/{service}")),
        ("ce_time", rfc3339(time)),
    ]
}

/// A moment as text; the smallest moment stands in for one that no calendar holds.
fn rfc3339(time: Timestamp) -> String {
    let mut text = String::with_capacity(24);
    let moment = jiff::Timestamp::from_millisecond(time.0).unwrap_or(jiff::Timestamp::MIN);
    write!(text, "{moment:.3}").expect("writing to a string cannot fail");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(append: Append) -> Entry {
        let headers = append.headers.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes())).collect();
        Entry::read(&"accounts".into(), 0, RawRecord { offset: 1, key: append.key.into_bytes(), payload: append.payload, headers })
    }

    #[test]
    fn a_proof_stands_alone() {
        let written = proof("accounts", "n", Timestamp(1), (0, 1), Vec::new());
        assert_eq!(read(written.clone()), Entry::Proof(Place { run: 0, at: 1, index: 1, of: 1 }));
        for group in ["1/2", "2/2", "0/1", "1/0"] {
            let mut forged = written.clone();
            forged.headers.iter_mut().filter(|(name, _)| *name == "group").for_each(|header| header.1 = group.to_owned());
            assert_eq!(read(forged), Entry::Foreign("group"), "{group}");
        }
    }
}
