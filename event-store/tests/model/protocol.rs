//! The world of the model, and the steps that it can take.

use super::reader::{Event, Record, Rule, counted};
use event_store::run::Place;

/// How many events a command makes, and when it is allowed.
pub struct Command {
    pub events: u32,
    /// Whether it is allowed on an aggregate of this version; it is refused otherwise.
    pub allowed: fn(u8) -> bool,
}

/// Two events, always.
pub const PAIR: u8 = 0;
/// One event, always.
pub const SINGLE: u8 = 1;
/// Two events, always; another command than [`PAIR`].
pub const OTHER_PAIR: u8 = 2;
/// One event, allowed only as the aggregate's first.
pub const FIRST: u8 = 3;
/// One event, allowed only when the aggregate has events.
pub const LATER: u8 = 4;

/// The commands by their ids.
pub const COMMANDS: [Command; 5] = [
    Command { events: 2, allowed: |_| true },
    Command { events: 1, allowed: |_| true },
    Command { events: 2, allowed: |_| true },
    Command { events: 1, allowed: |version| version == 0 },
    Command { events: 1, allowed: |version| version > 0 },
];

/// The conditions for which an answer that leaves no record waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// The writer asks for the log's end after the decision, and waits until all below it, and all that the answer rests on, is confirmed
    /// as its own.
    Whole,
    /// The records that the answer rests on are confirmed; the writer does not ask for the log's end.
    NoEnd,
    /// The log ends where the writer expects; the writer does not wait until the records are confirmed as its own.
    NoConfirmation,
}

/// A record under way to the log, and the writer that hears its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sent {
    pub record: Record,
    pub heard_by: Option<usize>,
}

/// A request that was decided, and whose records end at `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flight {
    request: u8,
    last: i64,
}

/// An answer that leaves no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resting {
    request: u8,
    refuses: bool,
    rests_on: i64,
    /// The answer is given once everything below is confirmed; none before the log's end was asked for.
    until: Option<i64>,
    /// Whether a refusal was right, by the events that count, at some moment since it was decided.
    right: bool,
}

/// The state of a writer that believes itself the owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    claim: i64,
    next: i64,
    acked: i64,
    version: u8,
    flights: Vec<Flight>,
    resting: Vec<Resting>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    Down,
    Claiming,
    Writing(Owner),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Writer {
    pub phase: Phase,
    /// The requests that it has not answered, by their place among all that it is asked.
    pub open: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Said {
    /// Acknowledged when its records were.
    Written,
    /// Acknowledged because the log has it.
    Found,
    /// Refused; whether that was right at some moment since the decision.
    Refused { right: bool },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub log: Vec<Record>,
    pub sent: Vec<Sent>,
    pub writers: [Writer; 2],
    pub claims: u8,
    pub faults: u8,
    /// The writer, the command and the answer, of each answer.
    pub answers: Vec<(usize, u8, Said)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Claim(usize),
    Decide(usize),
    AskEnd(usize),
    /// The writer waited too long, was told of an error, or crashed: it forgets everything, and hears nothing of the records that it sent.
    Stop(usize),
    Land(usize),
    LandUnheard(usize),
    Double(usize),
    /// Somebody else writes to the topic.
    Intrude,
}

/// A protocol, and the bounds within which it is checked.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    pub rule: Rule,
    pub barrier: Barrier,
    /// How many claims there may be in all.
    pub claims: u8,
    /// How many records may be doubled, be foreign, or have their acknowledgement lost, in all.
    pub faults: u8,
    /// The commands that each writer is asked, in order.
    pub asked: [&'static [u8]; 2],
}

impl Protocol {
    pub fn begin(&self) -> World {
        let writer = |asked: &[u8]| Writer { phase: Phase::Down, open: (0..asked.len() as u8).collect() };
        let writers = self.asked.map(writer);
        World { log: Vec::new(), sent: Vec::new(), writers, claims: self.claims, faults: self.faults, answers: Vec::new() }
    }

    pub fn steps(&self, world: &World, steps: &mut Vec<Step>) {
        for (index, writer) in world.writers.iter().enumerate() {
            match &writer.phase {
                Phase::Down if world.claims > 0 => steps.push(Step::Claim(index)),
                Phase::Down => {}
                Phase::Claiming => steps.push(Step::Stop(index)),
                Phase::Writing(owner) => {
                    steps.push(Step::Stop(index));
                    steps.extend(undecided(writer, owner).map(|_| Step::Decide(index)));
                    steps.extend(owner.resting.iter().any(|resting| resting.until.is_none()).then_some(Step::AskEnd(index)));
                }
            }
        }
        for (index, sent) in world.sent.iter().enumerate() {
            steps.push(Step::Land(index));
            if world.faults > 0 && sent.heard_by.is_some() {
                steps.extend([Step::LandUnheard(index), Step::Double(index)]);
            }
        }
        if world.faults > 0 {
            steps.push(Step::Intrude);
        }
    }

    pub fn take(&self, world: &mut World, step: Step) {
        match step {
            Step::Claim(writer) => claim(world, writer),
            Step::Decide(writer) => self.decide(world, writer),
            Step::AskEnd(writer) => self.ask_end(world, writer),
            Step::Stop(writer) => stop(world, writer),
            Step::Land(index) => {
                let sent = world.sent.remove(index);
                self.land(world, sent);
            }
            Step::LandUnheard(index) => {
                world.faults -= 1;
                let sent = world.sent.remove(index);
                self.land(world, Sent { heard_by: None, ..sent });
            }
            Step::Double(index) => {
                world.faults -= 1;
                world.sent.push(Sent { heard_by: None, ..world.sent[index] });
            }
            Step::Intrude => {
                world.faults -= 1;
                self.land(world, Sent { record: Record::Foreign, heard_by: None });
            }
        }
        // Records under way have no order: sorting them makes worlds that differ only in it one state.
        world.sent.sort_unstable_by_key(key);
        world.answers.sort_unstable();
    }

    fn decide(&self, world: &mut World, index: usize) {
        let World { log, sent, writers, .. } = world;
        let Writer { phase: Phase::Writing(owner), .. } = &writers[index] else { return };
        let Some(request) = undecided(&writers[index], owner) else { return };
        let command = self.asked[index][request as usize];
        let known = counted(self.rule, &log[..owner.claim as usize]).iter().any(|event| event.command == command)
            || owner.flights.iter().any(|flight| self.asked[index][flight.request as usize] == command);
        let refuses = !known && !(COMMANDS[command as usize].allowed)(owner.version);
        let right = !refuses || self.refused_by_readers(log, command);
        let Phase::Writing(owner) = &mut writers[index].phase else { return };
        if known || refuses {
            let until = (self.barrier == Barrier::NoEnd).then_some(owner.next);
            owner.resting.push(Resting { request, refuses, rests_on: owner.next, until, right });
            self.settle(world, index);
        } else {
            sent.extend(owner.write(request, command).map(|record| Sent { record, heard_by: Some(index) }));
        }
    }

    fn refused_by_readers(&self, log: &[Record], command: u8) -> bool {
        !(COMMANDS[command as usize].allowed)(counted(self.rule, log).len() as u8)
    }

    fn ask_end(&self, world: &mut World, index: usize) {
        let end = world.log.len() as i64;
        let Phase::Writing(owner) = &mut world.writers[index].phase else { return };
        let next = owner.next;
        for resting in owner.resting.iter_mut().filter(|resting| resting.until.is_none()) {
            resting.until = match self.barrier {
                Barrier::Whole | Barrier::NoEnd => Some(resting.rests_on.max(end)),
                Barrier::NoConfirmation => (end == next).then_some(0),
            };
        }
        self.settle(world, index);
    }

    fn land(&self, world: &mut World, sent: Sent) {
        let offset = world.log.len() as i64;
        world.log.push(sent.record);
        self.note_what_readers_see(world);
        let Some(index) = sent.heard_by else { return };
        match (&mut world.writers[index].phase, sent.record) {
            (phase @ Phase::Claiming, Record::Claim) => {
                let version = counted(self.rule, &world.log).len() as u8;
                let (next, acked) = (offset + 1, offset + 1);
                *phase = Phase::Writing(Owner { claim: offset, next, acked, version, flights: Vec::new(), resting: Vec::new() });
            }
            (Phase::Writing(owner), Record::Event(Event { place, .. }))
                if self.rule == Rule::NoAt || (offset == place.at && offset == owner.acked) =>
            {
                owner.acked += 1;
                self.settle(world, index);
            }
            (Phase::Down | Phase::Claiming | Phase::Writing(_), _) => stop(world, index),
        }
    }

    /// Keeps, for each refusal that rests, whether it was right at some moment.
    fn note_what_readers_see(&self, world: &mut World) {
        let World { log, writers, .. } = world;
        for (index, writer) in writers.iter_mut().enumerate() {
            let Phase::Writing(owner) = &mut writer.phase else { continue };
            for resting in owner.resting.iter_mut().filter(|resting| !resting.right) {
                resting.right = self.refused_by_readers(log, self.asked[index][resting.request as usize]);
            }
        }
    }

    /// Gives the answers that are due.
    fn settle(&self, world: &mut World, index: usize) {
        let Writer { phase: Phase::Writing(owner), open } = &mut world.writers[index] else { return };
        let acked = owner.acked;
        let written = owner.flights.iter().filter(|flight| flight.last < acked).map(|flight| (flight.request, Said::Written));
        let proved = owner.resting.iter().filter(|resting| resting.until.is_some_and(|until| until <= acked));
        let rested =
            proved.map(|resting| (resting.request, if resting.refuses { Said::Refused { right: resting.right } } else { Said::Found }));
        let due: Vec<(u8, Said)> = written.chain(rested).filter(|(request, _)| open.contains(request)).collect();
        open.retain(|request| due.iter().all(|(answered, _)| answered != request));
        owner.resting.retain(|resting| open.contains(&resting.request));
        world.answers.extend(due.into_iter().map(|(request, said)| (index, self.asked[index][request as usize], said)));
    }
}

impl Owner {
    /// The records of a command, each at the next place, on the speculative version.
    fn write(&mut self, request: u8, command: u8) -> impl Iterator<Item = Record> + use<> {
        let (run, next, version, of) = (self.claim, self.next, self.version, COMMANDS[command as usize].events);
        self.next += i64::from(of);
        self.version += of as u8;
        self.flights.push(Flight { request, last: self.next - 1 });
        (1..=of).map(move |index| {
            let place = Place { run, at: next + i64::from(index) - 1, index, of };
            Record::Event(Event { command, version: version + index as u8, place })
        })
    }
}

/// The next request that is open and was not decided in this run.
fn undecided(writer: &Writer, owner: &Owner) -> Option<u8> {
    let decided = |request: u8| {
        owner.flights.iter().any(|flight| flight.request == request) || owner.resting.iter().any(|resting| resting.request == request)
    };
    writer.open.iter().copied().find(|request| !decided(*request))
}

fn claim(world: &mut World, writer: usize) {
    world.claims -= 1;
    world.writers[writer].phase = Phase::Claiming;
    world.sent.push(Sent { record: Record::Claim, heard_by: Some(writer) });
}

fn stop(world: &mut World, writer: usize) {
    world.writers[writer].phase = Phase::Down;
    for sent in world.sent.iter_mut().filter(|sent| sent.heard_by == Some(writer)) {
        sent.heard_by = None;
    }
}

fn key(sent: &Sent) -> (Option<usize>, Option<(i64, i64)>) {
    let place = match sent.record {
        Record::Claim | Record::Foreign => None,
        Record::Event(Event { place, .. }) => Some((place.run, place.at)),
    };
    (sent.heard_by, place)
}
