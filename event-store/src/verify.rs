//! Verifying a partition from its raw records: which of them count, and whether these keep the store's promises.

use crate::{
    PartitionId, RawRecord,
    envelope::{Entry, EventEntry},
    host::partition_of,
    run::{Mark, RunRule, Verdict},
};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

/// How many records that did not count, and how many broken promises, are kept one by one; all are counted.
const EXAMPLES: usize = 1_000;

/// A remark on the record at an offset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// The offset.
    pub offset: i64,
    /// For a person.
    pub what: String,
}

/// The findings in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Records that were read.
    pub records: u64,
    /// Claims, each of which begins a run.
    pub runs: u64,
    /// Proofs that count.
    pub proofs: u64,
    /// Events that count.
    pub counted: u64,
    /// Commands that count.
    pub commands: u64,
    /// Aggregates with events that count.
    pub aggregates: u64,
    /// Records that do not count, by reason. That is no fault: it is how a lost race looks.
    pub uncounted: BTreeMap<&'static str, u64>,
    /// The first of them.
    pub uncounted_records: Vec<Remark>,
    /// Promises that are broken; there must be none.
    pub violations: u64,
    /// The first of them.
    pub broken: Vec<Remark>,
}

/// Reads a partition from offset 0, record by record.
pub struct Verifier {
    source: PartitionId,
    partitions: i32,
    rule: RunRule,
    next: i64,
    held: Vec<EventEntry>,
    versions: HashMap<Uuid, u64>,
    commands: HashSet<Uuid>,
    findings: Findings,
}

impl Verifier {
    /// Begins at offset 0 of a partition of a log with so many.
    pub fn new(source: PartitionId, partitions: i32) -> Self {
        let (rule, findings) = (RunRule::default(), Findings::default());
        Self { source, partitions, rule, next: 0, held: Vec::new(), versions: HashMap::new(), commands: HashSet::new(), findings }
    }

    /// Takes the next record. `decodable` says why its bytes are no event, where they are none; claims and proofs are not checked for that.
    /// `states` is the number of partitions that it states, where it is a claim that states one.
    pub fn check(&mut self, raw: RawRecord, decodable: Result<(), String>, states: Option<i32>) {
        self.findings.records += 1;
        let (offset, key) = (raw.offset, raw.key.clone());
        if offset != self.next {
            self.breaks(offset, format!("a hole in the log: offset {} was due", self.next));
        }
        self.next = offset + 1;
        if let Some(stated) = states.filter(|stated| *stated != self.partitions) {
            self.breaks(offset, format!("a claim says that the log has {stated} partitions; it has {}", self.partitions));
        }
        let entry = Entry::read(&self.source.service, self.source.partition, &raw);
        let before = self.rule;
        match (self.rule.step(offset, entry.mark()), entry) {
            (Verdict::Held, Entry::Event(event)) => self.hold(*event, &key, decodable),
            (Verdict::Counts, Entry::Event(event)) => {
                self.hold(*event, &key, decodable);
                self.count();
            }
            (Verdict::Counts, _proof) => self.findings.proofs += 1,
            (verdict, entry) => {
                self.cut_off();
                match verdict {
                    Verdict::Begins => self.findings.runs += 1,
                    Verdict::Ends | Verdict::Held | Verdict::Counts => self.leave_out(offset, &entry, before),
                }
            }
        }
    }

    /// The findings. A group that is open at the end is not whole, and does not count.
    pub fn finish(mut self) -> Findings {
        self.cut_off();
        self.findings.aggregates = self.versions.len() as u64;
        self.findings
    }

    fn hold(&mut self, event: EventEntry, key: &[u8], decodable: Result<(), String>) {
        let (offset, id) = (event.record.position.offset, event.record.aggregate_id);
        if key != id.to_string().as_bytes() {
            self.breaks(offset, format!("its key is {}, its aggregate {id}", String::from_utf8_lossy(key)));
        }
        if partition_of(id.to_string().as_bytes(), self.partitions) != self.source.partition {
            self.breaks(offset, format!("aggregate {id} is not at home in this partition of {}", self.partitions));
        }
        if event.record.event_id != format!("{}/{}", event.command_id, event.place.index) {
            self.breaks(offset, format!("its id {} is not its command's and its place in the group", event.record.event_id));
        }
        if let Err(why) = decodable {
            self.breaks(offset, format!("it cannot be decoded: {why}"));
        }
        self.held.push(event);
    }

    /// Counts the held group, which is whole, and checks it.
    fn count(&mut self) {
        let group = std::mem::take(&mut self.held);
        self.findings.commands += 1;
        self.findings.counted += group.len() as u64;
        let Some(first) = group.first() else { return };
        let (offset, command) = (first.record.position.offset, first.command_id);
        if group.iter().any(|event| event.command_id != command || event.place.of != first.place.of) {
            self.breaks(offset, "a group mixes commands".to_owned());
        }
        if group.iter().any(|event| event.record.aggregate_id != first.record.aggregate_id) {
            self.breaks(offset, "a group mixes aggregates".to_owned());
        }
        if group.iter().any(|event| event.fingerprint != first.fingerprint) {
            self.breaks(offset, "the events of a group have different fingerprints".to_owned());
        }
        if !self.commands.insert(command) {
            self.breaks(offset, format!("command {command} counts a second time"));
        }
        for event in group {
            let version = self.versions.entry(event.record.aggregate_id).or_default();
            *version += 1;
            let (due, is) = (*version, event.record.version);
            if due != is {
                *version = is;
                let id = event.record.aggregate_id;
                self.breaks(event.record.position.offset, format!("aggregate {id} goes on at version {is}, {due} was due"));
            }
        }
    }

    /// Notes the held records as cut off: their group will never be whole.
    fn cut_off(&mut self) {
        for event in std::mem::take(&mut self.held) {
            let place = event.place;
            let why = format!("{} of {} of a command that was cut off", place.index, place.of);
            self.note(event.record.position.offset, "group cut off", why);
        }
    }

    fn leave_out(&mut self, offset: i64, entry: &Entry, rule: RunRule) {
        let run = rule.run().map_or("none".to_owned(), |run| format!("that of {}", run.claim));
        match entry.mark() {
            Mark::Event(place) if rule.run().is_none_or(|run| run.claim != place.run) => {
                self.note(offset, "other run", format!("written in run {}, the current one is {run}", place.run))
            }
            Mark::Event(place) if place.at != offset => {
                self.note(offset, "other place", format!("meant for offset {}: a record before it was lost, doubled or foreign", place.at));
            }
            Mark::Event(place) => {
                self.note(offset, "group broken", format!("{} of {} where {} was due", place.index, place.of, rule.held() + 1));
            }
            Mark::Foreign | Mark::Claim => {
                let header = if let Entry::Foreign(header) = entry { *header } else { "" };
                self.note(offset, "foreign", format!("header {header} is missing or malformed"));
            }
        }
    }

    fn note(&mut self, offset: i64, reason: &'static str, what: String) {
        *self.findings.uncounted.entry(reason).or_default() += 1;
        if self.findings.uncounted_records.len() < EXAMPLES {
            self.findings.uncounted_records.push(Remark { offset, what });
        }
    }

    fn breaks(&mut self, offset: i64, what: String) {
        self.findings.violations += 1;
        if self.findings.broken.len() < EXAMPLES {
            self.findings.broken.push(Remark { offset, what });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Append, Cause, Headers,
        envelope::{EventHeaders, claim},
        run::Place,
    };
    use event_sourcing::Timestamp;

    /// An event of aggregate 1 at version `version`, in the run of claim 0 at `at`, of command `command`.
    fn event(at: i64, group: (u32, u32), version: u64, command: u128) -> Append {
        let cause = Cause { actor: "a".into(), correlation_id: "c".into(), causation_id: None, traceparent: None };
        let headers = EventHeaders {
            service: "accounts",
            type_name: "t",
            aggregate_id: Uuid::from_u128(1),
            command_id: Uuid::from_u128(command),
            place: Place { run: 0, at, index: group.0, of: group.1 },
            version,
            fingerprint: 0,
            time: Timestamp(1),
            cause: &cause,
        };
        headers.append(b"fine".to_vec())
    }

    fn a_claim() -> Append {
        claim("accounts", "n", Timestamp(1), Vec::new())
    }

    fn verify(records: Vec<Append>) -> Findings {
        let mut verifier = Verifier::new(PartitionId { service: "accounts".into(), partition: 0 }, 1);
        for (offset, record) in (0..).zip(records) {
            let decodable = if record.payload == b"fine" { Ok(()) } else { Err("not fine".into()) };
            verifier.check(record.at(offset), decodable, None);
        }
        verifier.finish()
    }

    #[test]
    fn an_event_that_is_not_at_home_and_a_claim_of_another_count_are_found() {
        let mut verifier = Verifier::new(PartitionId { service: "accounts".into(), partition: 0 }, 8);
        let home = partition_of(Uuid::from_u128(1).to_string().as_bytes(), 8);
        assert_ne!(home, 0, "the aggregate lives elsewhere");
        verifier.check(a_claim().at(0), Ok(()), Some(4));
        verifier.check(event(1, (1, 1), 1, 1).at(1), Ok(()), None);
        verifier.check(a_claim().at(2), Ok(()), Some(8));
        let broken: Vec<String> = verifier.finish().broken.into_iter().map(|remark| remark.what).collect();
        assert_eq!(broken.len(), 2, "{broken:?}");
        assert!(broken[0].contains("a claim says that the log has 4 partitions; it has 8"), "{broken:?}");
        assert!(broken[1].contains("is not at home in this partition of 8"), "{broken:?}");
    }

    fn broken(records: Vec<Append>) -> Vec<String> {
        verify(records).broken.into_iter().map(|remark| remark.what).collect()
    }

    #[test]
    fn a_log_that_keeps_its_promises_has_no_violation_and_says_what_does_not_count() {
        let stranger = Append { key: "x".into(), payload: Vec::new(), headers: Headers::default() };
        let findings = verify(vec![
            a_claim(),
            event(1, (1, 1), 1, 1),
            event(2, (1, 2), 2, 2),
            event(3, (2, 2), 3, 2),
            event(9, (1, 1), 4, 3),
            stranger,
        ]);
        assert_eq!((findings.records, findings.runs, findings.commands, findings.counted, findings.aggregates), (6, 1, 2, 3, 1));
        assert_eq!(findings.uncounted, BTreeMap::from([("foreign", 1), ("other place", 1)]));
        assert_eq!((findings.violations, findings.uncounted_records[0].offset), (0, 4));
    }

    #[test]
    fn a_group_that_is_cut_off_and_a_zombies_record_do_not_count() {
        let zombie = event(3, (1, 1), 1, 2);
        let findings = verify(vec![a_claim(), event(1, (1, 2), 1, 1), a_claim(), zombie]);
        assert_eq!(findings.uncounted, BTreeMap::from([("group cut off", 1), ("other run", 1)]));
        assert_eq!((findings.counted, findings.violations), (0, 0));
    }

    #[test]
    fn each_broken_promise_is_named() {
        let gap = broken(vec![a_claim(), event(1, (1, 1), 1, 1), event(2, (1, 1), 3, 2)]);
        assert!(gap[0].contains("version 3, 2 was due"), "{gap:?}");
        let twice = broken(vec![a_claim(), event(1, (1, 1), 1, 1), event(2, (1, 1), 2, 1)]);
        assert!(twice[0].contains("a second time"), "{twice:?}");
        let mixed = broken(vec![a_claim(), event(1, (1, 2), 1, 1), event(2, (2, 2), 2, 2)]);
        assert!(mixed[0].contains("mixes commands"), "{mixed:?}");
        let aggregates = |id: u128| {
            let mut other = event(2, (2, 2), 1, 1);
            other.headers.set("ce_subject", Uuid::from_u128(id).to_string());
            Append { key: Uuid::from_u128(id).to_string(), ..other }
        };
        let mixed = broken(vec![a_claim(), event(1, (1, 2), 1, 1), aggregates(2)]);
        assert!(mixed[0].contains("mixes aggregates"), "{mixed:?}");
        let mut forged = event(2, (2, 2), 2, 1);
        forged.headers.set("fingerprint", "00000000000000ff");
        let forged = broken(vec![a_claim(), event(1, (1, 2), 1, 1), forged]);
        assert!(forged[0].contains("different fingerprints"), "{forged:?}");
        let undecodable = broken(vec![a_claim(), Append { payload: vec![7], ..event(1, (1, 1), 1, 1) }]);
        assert!(undecodable[0].contains("not fine"), "{undecodable:?}");
        let foreign_key = broken(vec![a_claim(), Append { key: "other".into(), ..event(1, (1, 1), 1, 1) }]);
        assert!(foreign_key[0].contains("its key is other"), "{foreign_key:?}");
    }
}
