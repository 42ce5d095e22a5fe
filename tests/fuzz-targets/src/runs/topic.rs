//! A topic that a program of bytes makes: writers that keep to the protocol, a network that loses, doubles, delays and reorders
//! what they send, and strangers; where it says so, forgers as well, who write any place into their headers.

use super::source;
use arbitrary::{Result, Unstructured};
use event_sourcing::Timestamp;
use event_store::{
    Append, Cause, Headers, RawRecord,
    envelope::{EventHeaders, claim, proof},
    run::Place,
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The longest topic: each check reads it once for each checkpoint on the way.
const LONGEST: usize = 120;

/// What a record says.
#[derive(Clone, Debug)]
pub enum Slot {
    Claim,
    Proof(Place),
    Event {
        place: Place,
        command: u8,
        aggregate: u8,
        version: u64,
    },
    Foreign,
    /// An event of a forger's, perhaps with a header that is no text.
    Forged {
        place: Place,
        broken: Option<&'static str>,
    },
}

/// What a writer knows: the fold of what counts below its claim, and what it has sent since.
#[derive(Clone)]
struct Writer {
    run: i64,
    next: i64,
    versions: BTreeMap<u8, u64>,
    commands: BTreeSet<u8>,
}

/// The log, and what is on its way there.
#[derive(Default)]
pub struct Topic {
    slots: Vec<Slot>,
    flying: Vec<Slot>,
    writers: [Option<Writer>; 3],
}

impl Topic {
    /// Plays a program to its end.
    pub fn play(program: &mut Unstructured, forgers: bool) -> Self {
        let mut topic = Self::default();
        while !program.is_empty() && topic.slots.len() < LONGEST && topic.step(program, forgers).is_ok() {}
        topic
    }

    /// What the log holds, in its order.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The log as a reader gets it.
    pub fn records(&self) -> Vec<RawRecord> {
        (0..).zip(&self.slots).map(|(offset, slot)| record(offset, slot)).collect()
    }

    fn step(&mut self, program: &mut Unstructured, forgers: bool) -> Result<()> {
        let (step, which) = (program.arbitrary::<u8>()?, usize::from(program.arbitrary::<u8>()?));
        match step % 16 {
            0 => self.claim(which % 3),
            1..=4 => self.command(which % 3, program)?,
            5 => self.prove(which % 3),
            6..=10 => self.land(which, true),
            11 => drop(self.pick(which, true)),
            12 => self.land(which, false),
            13 => self.slots.extend(nth(&self.slots, which)),
            14 if forgers => self.slots.push(forged(self.slots.len(), program)?),
            _ => self.slots.push(Slot::Foreign),
        }
        Ok(())
    }

    /// A writer claims, learns where its claim stands, and reads all below. What lies below a claim does not change.
    fn claim(&mut self, writer: usize) {
        let mut fold = Writer {
            run: self.slots.len() as i64,
            next: self.slots.len() as i64 + 1,
            versions: BTreeMap::new(),
            commands: BTreeSet::new(),
        };
        for offset in counted(&self.slots) {
            if let Slot::Event { command, aggregate, version, .. } = &self.slots[offset as usize] {
                fold.commands.insert(*command);
                fold.versions.insert(*aggregate, *version);
            }
        }
        self.slots.push(Slot::Claim);
        self.writers[writer] = Some(fold);
    }

    /// A writer sends the records of a command that it does not know.
    fn command(&mut self, writer: usize, program: &mut Unstructured) -> Result<()> {
        let (command, shape) = (program.arbitrary::<u8>()?, program.arbitrary::<u8>()?);
        let (aggregate, of) = (shape % 3, u32::from(shape / 3 % 3) + 1);
        let Some(writer) = &mut self.writers[writer] else { return Ok(()) };
        if !writer.commands.insert(command) {
            return Ok(());
        }
        for index in 1..=of {
            let version = writer.versions.entry(aggregate).or_default();
            *version += 1;
            let place = Place { run: writer.run, at: writer.next, index, of };
            writer.next += 1;
            self.flying.push(Slot::Event { place, command, aggregate, version: *version });
        }
        Ok(())
    }

    fn prove(&mut self, writer: usize) {
        if let Some(writer) = &mut self.writers[writer] {
            self.flying.push(Slot::Proof(Place { run: writer.run, at: writer.next, index: 1, of: 1 }));
            writer.next += 1;
        }
    }

    /// Picks the oldest record on its way, as a rule, or one that overtakes it.
    fn pick(&mut self, which: usize, gone: bool) -> Option<Slot> {
        let at = if which < 128 { 0 } else { which % self.flying.len().max(1) };
        let found = self.flying.get(at).cloned();
        if gone && found.is_some() {
            self.flying.remove(at);
        }
        found
    }

    fn land(&mut self, which: usize, gone: bool) {
        let landed = self.pick(which, gone);
        self.slots.extend(landed);
    }
}

fn nth(slots: &[Slot], which: usize) -> Option<Slot> {
    slots.get(which % slots.len().max(1)).cloned()
}

/// A place that is nearly right, and at times a header that is not.
fn forged(offset: usize, program: &mut Unstructured) -> Result<Slot> {
    let near = |program: &mut Unstructured| Ok(offset as i64 - i64::from(program.arbitrary::<u8>()? % 8));
    let (index, of) = (u32::from(program.arbitrary::<u8>()? % 4), u32::from(program.arbitrary::<u8>()? % 4));
    let place = Place { run: near(program)?, at: offset as i64 - i64::from(program.arbitrary::<u8>()? % 8 / 7), index, of };
    if program.arbitrary::<u8>()? % 4 == 0 {
        return Ok(Slot::Proof(place));
    }
    let header = ["run", "at", "group", "version", "ce_id", "ce_type"].get(usize::from(program.arbitrary::<u8>()? % 16));
    Ok(Slot::Forged { place, broken: header.copied() })
}

/// The offsets of the records that count, by the words of the rule and not by its code: in each stretch from one claim to the next, the
/// unbroken records that stand where they were meant to stand, up to the last whole group.
pub fn counted(slots: &[Slot]) -> Vec<i64> {
    let claims = (0..slots.len()).filter(|at| matches!(slots[*at], Slot::Claim));
    claims.flat_map(|claim| counted_of(claim, &slots[claim + 1..])).collect()
}

fn counted_of(claim: usize, behind: &[Slot]) -> Vec<i64> {
    let (mut whole, mut open) = (Vec::new(), Vec::new());
    for (at, slot) in (claim as i64 + 1..).zip(behind) {
        let Some(place) = place_of(slot).filter(|place| place.run == claim as i64 && place.at == at) else { break };
        if place.index != open.len() as u32 + 1 || place.index > place.of {
            break;
        }
        // Nobody counts a proof, though it stands in the run.
        open.push(Some(at).filter(|_| !matches!(slot, Slot::Proof(_))));
        if place.index == place.of {
            whole.extend(open.drain(..).flatten());
        }
    }
    whole
}

/// The place that a record states, where it states one. A proof is a group of its own.
fn place_of(slot: &Slot) -> Option<Place> {
    match slot {
        Slot::Event { place, .. } => Some(*place),
        Slot::Proof(place) => Some(*place).filter(|place| (place.index, place.of) == (1, 1)),
        Slot::Forged { place, broken: None } => Some(*place),
        Slot::Forged { broken: Some(_), .. } | Slot::Claim | Slot::Foreign => None,
    }
}

fn record(offset: i64, slot: &Slot) -> RawRecord {
    match slot {
        Slot::Claim => raw(offset, claim("orders", &format!("n{offset}"), Timestamp(1), Vec::new())),
        Slot::Proof(place) => {
            let mut raw = raw(offset, proof("orders", "n", Timestamp(1), (place.run, place.at), Vec::new()));
            set(&mut raw, "group", format!("{}/{}", place.index, place.of).into_bytes());
            raw
        }
        Slot::Event { place, command, aggregate, version } => raw(offset, event(*place, *command, *aggregate, *version)),
        Slot::Foreign => raw(offset, Append { key: "x".into(), payload: Vec::new(), headers: Headers::default() }),
        Slot::Forged { place, broken } => {
            let mut raw = raw(offset, event(*place, 0, 0, 1));
            broken.iter().for_each(|header| set(&mut raw, header, vec![0xff]));
            raw
        }
    }
}

fn event(place: Place, command: u8, aggregate: u8, version: u64) -> Append {
    let cause = Cause { actor: "a".into(), correlation_id: "c".into(), causation_id: None, traceparent: None };
    let headers = EventHeaders {
        service: &source().service,
        type_name: "daybook.order.OrderExpired",
        aggregate_id: Uuid::from_u128(u128::from(aggregate) + 1),
        command_id: Uuid::from_u128(u128::from(command) + 1),
        place,
        version,
        fingerprint: 0,
        time: Timestamp(1),
        cause: &cause,
    };
    headers.append(Vec::new())
}

fn raw(offset: i64, append: Append) -> RawRecord {
    append.at(offset)
}

fn set(raw: &mut RawRecord, name: &str, value: Vec<u8>) {
    raw.headers.set(name, value);
}
