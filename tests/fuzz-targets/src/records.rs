//! Records: whatever a topic holds is read without a panic, and what can be read is written again to what reads equal.
//!
//! The input is a record as text: `header: value` lines, an empty line, the payload.

use codec::{Codecs, PartitionClaimed, to_json};
use domain::{notification::NotificationEvent, order::OrderEvent, payment::PaymentEvent, product::ProductEvent, user::UserEvent};
use event_sourcing::{AnyEvent, Event, Timestamp, from_json};
use event_store::{
    Append, Context, RawRecord, Recorded,
    envelope::{Entry, EventEntry, EventHeaders, claim, proof},
};
use std::sync::{Arc, LazyLock};

/// The headers for whose sake a record may be called foreign.
const NEEDED: [&str; 12] = [
    "ce_id",
    "ce_type",
    "ce_subject",
    "ce_time",
    "run",
    "at",
    "group",
    "version",
    "fingerprint",
    "actor",
    "correlation-id",
    "causation-id",
];
const OFFSET: i64 = 7;

static CODECS: LazyLock<Codecs> = LazyLock::new(|| schemas::codecs(schemas::bundled()));

/// For each service, what must hold of an event, if it is one of that service.
const AGAIN: [fn(&AnyEvent) -> bool; 5] =
    [again::<UserEvent>, again::<ProductEvent>, again::<OrderEvent>, again::<PaymentEvent>, again::<NotificationEvent>];

/// Reads the record, its headers and its payload by themselves.
pub fn check(bytes: &[u8]) -> bool {
    let raw = raw_of(bytes);
    let known = payload(&raw.payload);
    headers(&raw) && known
}

/// Answers whether the headers are those of a record of ours.
fn headers(raw: &RawRecord) -> bool {
    let service = service_of(raw);
    match Entry::read(&service, 0, raw) {
        Entry::Foreign(header) => {
            assert!(NEEDED.contains(&header), "{header} is none of the headers that are needed");
            return false;
        }
        Entry::Claim { nonce } => assert_eq!(read(&service, claim(&service, &nonce, Timestamp(0), Vec::new())), Entry::Claim { nonce }),
        Entry::Proof(place) => {
            let again = proof(&service, "n", Timestamp(0), (place.run, place.at), Vec::new());
            assert_eq!(read(&service, again), Entry::Proof(place));
        }
        Entry::Event(event) => event_again(&service, raw, *event),
    }
    true
}

/// The record that the input spells.
fn raw_of(bytes: &[u8]) -> RawRecord {
    let (head, payload) = match bytes.windows(2).position(|pair| pair == b"\n\n") {
        Some(end) => (&bytes[..end], bytes[end + 2..].to_vec()),
        None => (bytes, Vec::new()),
    };
    RawRecord {
        offset: OFFSET,
        key: Default::default(),
        payload: payload.into(),
        headers: head.split(|byte| *byte == b'\n').filter_map(header).collect(),
    }
}

fn header(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let value = line[colon + 1..].strip_prefix(b" ").unwrap_or(&line[colon + 1..]);
    Some((String::from_utf8_lossy(&line[..colon]).into_owned(), value.to_vec()))
}

fn service_of(raw: &RawRecord) -> Arc<str> {
    let source = raw.headers.get("ce_source").map(String::from_utf8_lossy);
    source.as_deref().and_then(|source| source.strip_prefix("/daybook/")).unwrap_or("orders").into()
}

fn read(service: &Arc<str>, append: Append) -> Entry {
    Entry::read(service, 0, &append.at(OFFSET))
}

/// Writes an event again. Its id is spelled in our one way then, whatever the spelling that was read.
fn event_again(service: &Arc<str>, raw: &RawRecord, mut event: EventEntry) {
    assert_eq!((event.record.position.offset, &event.record.event), (OFFSET, &raw.payload), "place and payload are the record's");
    let headers = EventHeaders {
        service,
        type_name: &event.record.type_name,
        aggregate_id: event.record.aggregate_id,
        command_id: event.command_id,
        place: event.place,
        version: event.record.version,
        fingerprint: event.fingerprint,
        time: event.record.time,
        cause: &event.record.cause,
    };
    let again = read(service, headers.append(event.record.event.to_vec()));
    let event_id = format!("{}/{}", event.command_id, event.place.index);
    event.record = Recorded::new(Context { event_id, ..(*event.record.context).clone() }, event.record.event);
    assert_eq!(again, Entry::Event(Box::new(event)));
}

/// A payload is an event of one service at most, and then it is written again to what reads equal. Answers whether a schema knows it.
fn payload(bytes: &[u8]) -> bool {
    let schemas = CODECS.schemas();
    let decoded: Vec<AnyEvent> = CODECS.services().filter_map(|service| CODECS.decode(service, bytes).ok()).collect();
    assert!(decoded.len() <= 1, "an event of several services: {decoded:?}");
    for event in decoded {
        assert_eq!(AGAIN.iter().filter(|again| again(&event)).count(), 1, "an event of no service, or of several: {event:?}");
        to_json(bytes, schemas).expect("what is an event has a JSON form");
    }
    if let Ok(claim) = PartitionClaimed::decode(bytes, schemas) {
        let bytes = claim.encode(schemas).expect("what was read can be written");
        assert_eq!(PartitionClaimed::decode(&bytes, schemas).expect("what was written can be read"), claim);
    }
    // No event, perhaps, but people may look at it.
    to_json(bytes, schemas).is_ok()
}

/// As bytes and as JSON, what was read is written to what reads equal. Answers whether it is an event of these.
fn again<E: Event + PartialEq>(event: &AnyEvent) -> bool {
    let Some(event) = event.downcast::<E>() else { return false };
    let schemas = CODECS.schemas();
    let bytes = schemas.encode(event).expect("what was read can be written");
    assert_eq!(&schemas.decode::<E>(&bytes).expect("what was written can be read"), event);
    let json = to_json(&bytes, schemas).expect("what is an event has a JSON form");
    assert_eq!(&from_json::<E>(event.type_name(), json).expect("the JSON form can be read"), event);
    let own_json = event_sourcing::to_json(event);
    assert_eq!(&from_json::<E>(event.type_name(), own_json).expect("its own JSON form can be read"), event);
    true
}
