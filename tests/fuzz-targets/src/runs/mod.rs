//! The run rule: every reader counts the same records of a topic, however the topic is cut into batches and wherever the reader resumes. If
//! writers keep to the protocol, their records count once and in order, whatever happens to them on the way.
//!
//! The input is a program for writers, the network and strangers; see [`topic`].

mod topic;

use arbitrary::Unstructured;
use event_store::{Batch, Checkpoint, Counted, PartitionId, RawRecord, RunReader, verify::Verifier};
use std::collections::{BTreeMap, BTreeSet};
use topic::Topic;
use uuid::Uuid;

/// Plays the program, and reads the topic that it made in several ways.
pub fn check(bytes: &[u8]) -> bool {
    let mut program = Unstructured::new(bytes);
    let forgers = program.arbitrary::<u8>().unwrap_or_default() % 2 == 1;
    let topic = Topic::play(&mut program, forgers);
    let records = topic.records();
    let whole = read(Checkpoint::default(), vec![records.clone()]);
    assert_eq!(offsets(&whole.counted), topic::counted(topic.slots()), "the rule counts other records than its words: {:?}", topic.slots());
    is_the_same_in_batches(&whole, &records, bytes);
    let findings = verify(&records);
    assert_eq!(findings.counted, whole.counted.len() as u64, "readers and the proof of a partition count differently");
    if !forgers {
        assert_eq!(findings.violations, 0, "{:?}\n{:?}", findings.broken, topic.slots());
        is_once_and_in_order(&whole.counted);
    }
    !whole.counted.is_empty()
}

fn source() -> PartitionId {
    PartitionId { service: "orders".into(), partition: 0 }
}

/// What one reader made of a topic.
struct Read {
    counted: Vec<Counted>,
    end: Checkpoint,
    batches: Vec<Batch>,
}

fn read(from: Checkpoint, chunks: Vec<Vec<RawRecord>>) -> Read {
    let (mut reading, source) = (RunReader::at(from), source());
    let batches: Vec<Batch> = chunks.into_iter().filter_map(|chunk| reading.read(&source, chunk)).collect();
    Read { counted: batches.iter().flat_map(|batch| batch.records.clone()).collect(), end: reading.checkpoint(), batches }
}

fn offsets(counted: &[Counted]) -> Vec<i64> {
    counted.iter().map(|record| record.position.offset).collect()
}

/// Cut anywhere, and resumed at any checkpoint on the way, a reader gets the same records and stands at the same place.
fn is_the_same_in_batches(whole: &Read, records: &[RawRecord], cuts: &[u8]) {
    let cut = read(Checkpoint::default(), chunks(records, cuts));
    assert_eq!((&cut.counted, cut.end), (&whole.counted, whole.end), "batches change what counts");
    let mut before = 0;
    for batch in &cut.batches {
        before += batch.records.len();
        let rest = records[usize::try_from(batch.to.next).expect("it is an offset")..].to_vec();
        let resumed = read(batch.to, vec![rest]);
        assert_eq!((&resumed.counted[..], resumed.end), (&whole.counted[before..], whole.end), "resumed at {:?}", batch.to);
    }
}

/// Chunks of one to four records, as the input's bytes have it.
fn chunks(records: &[RawRecord], cuts: &[u8]) -> Vec<Vec<RawRecord>> {
    let (mut chunks, mut rest) = (Vec::new(), records);
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at(rest.len().min(usize::from(cut % 4) + 1));
        chunks.push(chunk.to_vec());
        rest = after;
    }
    chunks
}

fn verify(records: &[RawRecord]) -> event_store::verify::Findings {
    let mut verifier = Verifier::new(source(), 1);
    records.iter().for_each(|record| verifier.check(record.clone(), Ok(()), None));
    verifier.finish()
}

/// Checks without the verifier's code: no id twice, no version left out, commands whole.
fn is_once_and_in_order(counted: &[Counted]) {
    let ids: BTreeSet<&str> = counted.iter().map(|record| record.event_id.as_str()).collect();
    assert_eq!(ids.len(), counted.len(), "an id counts twice");
    let mut versions: BTreeMap<Uuid, u64> = BTreeMap::new();
    for record in counted {
        let version = versions.entry(record.aggregate_id).or_default();
        *version += 1;
        assert_eq!(record.version, *version, "a gap in the versions of {}", record.aggregate_id);
    }
}
