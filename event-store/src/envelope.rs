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

use crate::{Cause, Context, Counted, Headers, PartitionId, Position, Recorded, run::Mark, run::Place};
use bytes::Bytes;
use event_sourcing::Timestamp;
use std::sync::{Arc, OnceLock};
use uuid::Uuid;

/// The Avro record, and so the `ce_type`, of a claim.
pub(crate) const CLAIM_TYPE: &str = "daybook.log.PartitionClaimed";
/// The `ce_type` of a proof: a record by which an owner shows that it still is one. It stands in the run like an event; nobody folds it.
pub(crate) const PROOF_TYPE: &str = "daybook.log.OwnerConfirmed";

/// As many bytes as the headers of most records take.
const BYTES: usize = 512;

/// A record as a log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// Where it stands.
    pub offset: i64,
    /// The key's bytes.
    pub key: Bytes,
    /// The framed event.
    pub payload: Bytes,
    /// The headers.
    pub headers: Headers,
}

/// A record on its way to a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The record's key: an aggregate's id.
    pub key: String,
    /// The framed event.
    pub payload: Vec<u8>,
    /// The headers.
    pub headers: Headers,
}

impl Append {
    /// The record where a log has put it.
    pub fn at(self, offset: i64) -> RawRecord {
        RawRecord { offset, key: self.key.into(), payload: self.payload.into(), headers: self.headers }
    }
}

/// The kind of a record, and the contents of its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A claim of the partition.
    Claim {
        /// Names the claim: its `ce_id`.
        nonce: String,
    },
    /// An event that counts if the run rule says so.
    Event(Box<EventEntry>),
    /// A proof that its writer was still the owner.
    Proof(Place),
    /// Not of our making, or broken: the header that is missing or wrong.
    Foreign(&'static str),
}

/// A record that several readers share: the first reader that needs its headers parses them for all.
#[derive(Debug)]
pub(crate) struct SharedRecord {
    pub raw: RawRecord,
    entry: OnceLock<Entry>,
}

impl SharedRecord {
    pub fn new(raw: RawRecord) -> Self {
        Self { raw, entry: OnceLock::new() }
    }

    /// Its kind and headers; `source` is its partition.
    pub fn entry(&self, source: &PartitionId) -> &Entry {
        self.entry.get_or_init(|| Entry::read(&source.service, source.partition, &self.raw))
    }
}

/// An event of the log that may count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventEntry {
    /// The place that its writer meant it to get.
    pub place: Place,
    /// Of its command.
    pub fingerprint: u64,
    /// The command that made it.
    pub command_id: Uuid,
    /// The event, not decoded yet, and its circumstances.
    pub record: Counted,
}

impl Entry {
    /// The part of it that the run rule judges.
    pub fn mark(&self) -> Mark {
        match self {
            Self::Claim { .. } => Mark::Claim,
            Self::Event(event) => Mark::Event(event.place),
            Self::Proof(place) => Mark::Event(*place),
            Self::Foreign(_) => Mark::Foreign,
        }
    }

    /// Reads a record's headers.
    pub fn read(service: &Arc<str>, partition: i32, raw: &RawRecord) -> Self {
        let found = Found::among(&raw.headers);
        match found.ce_type.0 {
            Some(name) if name == CLAIM_TYPE.as_bytes() => {
                found.ce_id.text().map_or(Self::Foreign("ce_id"), |nonce| Self::Claim { nonce: nonce.to_owned() })
            }
            Some(name) if name == PROOF_TYPE.as_bytes() => found.proof().map_or_else(Self::Foreign, Self::Proof),
            _ => {
                let position = Position { service: service.clone(), partition, offset: raw.offset };
                found.event(position, raw.payload.clone()).map_or_else(Self::Foreign, |event| Self::Event(Box::new(event)))
            }
        }
    }
}

/// The value of the first header of a name.
#[derive(Clone, Copy, Default)]
struct Value<'a>(Option<&'a [u8]>);

impl<'a> Value<'a> {
    fn text(self) -> Option<&'a str> {
        self.0.and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// The headers that this crate reads, found in one pass.
macro_rules! found {
    ($($field:ident $name:literal)*) => {
        #[derive(Default)]
        struct Found<'a> {
            $($field: Value<'a>,)*
        }

        impl<'a> Found<'a> {
            fn among(headers: &'a Headers) -> Self {
                let mut found = Self::default();
                for (name, value) in headers.parts() {
                    let place = match name {
                        $($name => &mut found.$field,)*
                        _ => continue,
                    };
                    place.0 = place.0.or(Some(value));
                }
                found
            }
        }
    };
}

found! {
    ce_id b"ce_id"
    ce_type b"ce_type"
    ce_subject b"ce_subject"
    ce_time b"ce_time"
    run b"run"
    at b"at"
    group b"group"
    version b"version"
    fingerprint b"fingerprint"
    actor b"actor"
    correlation_id b"correlation-id"
    causation_id b"causation-id"
    traceparent b"traceparent"
}

/// A header's value, parsed; the header's name where it is missing or does not parse.
fn parsed<N: std::str::FromStr>(value: Value<'_>, name: &'static str) -> Result<N, &'static str> {
    value.text().and_then(|text| text.parse().ok()).ok_or(name)
}

impl Found<'_> {
    fn place(&self) -> Result<Place, &'static str> {
        let (index, of) = self.group.text().and_then(|group| group.split_once('/')).ok_or("group")?;
        let (index, of) = (index.parse().map_err(|_| "group")?, of.parse().map_err(|_| "group")?);
        Ok(Place { run: parsed(self.run, "run")?, at: parsed(self.at, "at")?, index, of })
    }

    /// A proof must be a group of its own: readers do not hold proofs back, so they could not resume in the middle of its group.
    fn proof(&self) -> Result<Place, &'static str> {
        self.place().and_then(|place| if (place.index, place.of) == (1, 1) { Ok(place) } else { Err("group") })
    }

    fn event(&self, position: Position, payload: Bytes) -> Result<EventEntry, &'static str> {
        let event_id = self.ce_id.text().ok_or("ce_id")?;
        let (command, _) = event_id.split_once('/').ok_or("ce_id")?;
        let command_id = Uuid::parse_str(command).map_err(|_| "ce_id")?;
        let fingerprint = self.fingerprint.text().and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or("fingerprint")?;
        let time: jiff::Timestamp = parsed(self.ce_time, "ce_time")?;
        let context = Context {
            position,
            aggregate_id: self.ce_subject.text().and_then(|text| Uuid::parse_str(text).ok()).ok_or("ce_subject")?,
            version: parsed(self.version, "version")?,
            event_id: event_id.to_owned(),
            type_name: self.ce_type.text().ok_or("ce_type")?.into(),
            time: Timestamp(time.as_millisecond()),
            cause: self.cause()?,
        };
        Ok(EventEntry { place: self.place()?, fingerprint, command_id, record: Recorded::new(context, payload) })
    }

    fn cause(&self) -> Result<Cause, &'static str> {
        Ok(Cause {
            actor: self.actor.text().ok_or("actor")?.to_owned(),
            correlation_id: self.correlation_id.text().ok_or("correlation-id")?.to_owned(),
            causation_id: self.causation_id.text().map(str::to_owned),
            traceparent: self.traceparent.text().map(str::to_owned),
        })
    }
}

/// The contents of an event's headers.
pub struct EventHeaders<'a> {
    /// The service's name: `orders`.
    pub service: &'a str,
    /// The Avro record's full name.
    pub type_name: &'a str,
    /// Whose event it is.
    pub aggregate_id: Uuid,
    /// The command that made it.
    pub command_id: Uuid,
    /// The place that the writer means it to get.
    pub place: Place,
    /// The aggregate's version after the event.
    pub version: u64,
    /// Of the command.
    pub fingerprint: u64,
    /// When the command was taken.
    pub time: Timestamp,
    /// Who asked, and why.
    pub cause: &'a Cause,
}

impl EventHeaders<'_> {
    /// The record of an event, ready to be appended.
    pub fn append(&self, payload: Vec<u8>) -> Append {
        let Place { run, at, index, of } = self.place;
        let (key, cause) = (self.aggregate_id.to_string(), self.cause);
        let mut headers = Headers::with_capacity(15, BYTES);
        headers.push("ce_specversion", "1.0");
        headers.push_shown("ce_id", format_args!("{}/{index}", self.command_id));
        headers.push("ce_type", self.type_name);
        headers.push_shown("ce_source", format_args!("/daybook/{}", self.service));
        headers.push("ce_subject", &key);
        headers.push_shown("ce_time", moment(self.time));
        headers.push_shown("run", run);
        headers.push_shown("at", at);
        headers.push_shown("group", format_args!("{index}/{of}"));
        headers.push_shown("version", self.version);
        headers.push_shown("fingerprint", format_args!("{:016x}", self.fingerprint));
        headers.push("actor", &cause.actor);
        headers.push("correlation-id", &cause.correlation_id);
        cause.causation_id.iter().for_each(|id| headers.push("causation-id", id));
        cause.traceparent.iter().for_each(|trace| headers.push("traceparent", trace));
        Append { key, payload, headers }
    }
}

/// The record of a claim.
pub fn claim(service: &str, nonce: &str, time: Timestamp, payload: Vec<u8>) -> Append {
    Append { key: "claim".to_owned(), payload, headers: of_the_log(CLAIM_TYPE, service, nonce, time) }
}

/// The record of a proof in run `run`, meant to get the offset `at`.
pub fn proof(service: &str, nonce: &str, time: Timestamp, (run, at): (i64, i64), payload: Vec<u8>) -> Append {
    let mut headers = of_the_log(PROOF_TYPE, service, nonce, time);
    headers.push_shown("run", run);
    headers.push_shown("at", at);
    headers.push("group", "1/1");
    Append { key: "owner".to_owned(), payload, headers }
}

fn of_the_log(type_name: &str, service: &str, nonce: &str, time: Timestamp) -> Headers {
    let mut headers = Headers::with_capacity(8, BYTES);
    headers.push("ce_specversion", "1.0");
    headers.push("ce_id", nonce);
    headers.push("ce_type", type_name);
    headers.push_shown("ce_source", format_args!("/daybook/{service}"));
    headers.push_shown("ce_time", moment(time));
    headers
}

/// A moment as RFC 3339 writes it; the smallest moment stands in for one that no calendar holds.
fn moment(time: Timestamp) -> impl std::fmt::Display {
    struct Millis(jiff::Timestamp);
    impl std::fmt::Display for Millis {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{:.3}", self.0)
        }
    }
    Millis(jiff::Timestamp::from_millisecond(time.0).unwrap_or(jiff::Timestamp::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(append: Append) -> Entry {
        Entry::read(&"accounts".into(), 0, &append.at(1))
    }

    #[test]
    fn a_proof_stands_alone() {
        let written = proof("accounts", "n", Timestamp(1), (0, 1), Vec::new());
        assert_eq!(read(written.clone()), Entry::Proof(Place { run: 0, at: 1, index: 1, of: 1 }));
        for group in ["1/2", "2/2", "0/1", "1/0"] {
            let mut forged = written.clone();
            forged.headers.set("group", group);
            assert_eq!(read(forged), Entry::Foreign("group"), "{group}");
        }
    }
}
