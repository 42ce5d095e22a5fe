//! The write protocol as a model, checked exhaustively to small bounds with `stateright`, around the real
//! [`event_store::run::RunRule`].
//!
//! One partition, two writers, one aggregate. A writer claims, folds the log up to its own claim (atomically: what lies below
//! a claim no longer changes), then pipelines commands of one or two events, each decided on what it has sent before. Between
//! writer and log, records wait in any order: one may be lost, doubled, or land after a successor's claim; an acknowledgement
//! may be lost; a writer may give up waiting (doubt) or crash, and what it has sent may still land. In doubt a writer claims
//! again and settles each of its commands from the log: it is there, or it is sent again under the same id.
//!
//! Bounds: up to two commands a writer, two or three claims in all, and a budget of faults. Each weakened rule must fail in the same model,
//! which shows that the model can see what the rule is for.

use event_store::run::{Mark, Place, RunRule, Verdict};
use stateright::{Checker, Model, Property};

/// Which rule readers and writers go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Real,
    /// A record counts if it carries the current run, wherever it stands; a writer takes any offset for an answer.
    NoAt,
    /// A record that does not fit is passed over, and the run goes on.
    NoUnbrokenRun,
    /// Each record counts by itself.
    NoGroup,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Record {
    Claim(u8),
    Event { command: u8, version: u8, place: Place },
}

/// Sent, and not yet in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Sent {
    writer: u8,
    epoch: u8,
    record: Record,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Down,
    Claiming,
    Writing { run: i64, next: i64, acked: i64, version: u8, flying: Vec<(u8, i64)> },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Writer {
    epoch: u8,
    phase: Phase,
    /// Commands of this writer that nobody has an answer for.
    wanted: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    log: Vec<Record>,
    sent: Vec<Sent>,
    writers: [Writer; 2],
    claims: u8,
    faults: u8,
    acknowledged: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Claim(u8),
    Send(u8, u8),
    Land(usize),
    LandUnheard(usize),
    LandTwice(usize),
    Lose(usize),
    Doubt(u8),
    Crash(u8),
}

/// A rule, and the bounds within which it is checked.
struct Protocol {
    rule: Rule,
    claims: u8,
    faults: u8,
    /// The commands of each writer.
    wanted: [&'static [u8]; 2],
}

/// How many events a command makes.
fn size(command: u8) -> u32 {
    if command.is_multiple_of(2) { 2 } else { 1 }
}

impl Protocol {
    /// The events that count, in order.
    fn counted(&self, log: &[Record]) -> Vec<(u8, u8)> {
        let (mut rule, mut run, mut held, mut counted) = (RunRule::default(), None, Vec::new(), Vec::new());
        for (offset, record) in (0_i64..).zip(log) {
            match (*record, self.rule) {
                (Record::Claim(_), _) => {
                    run = Some(offset);
                    held.clear();
                    rule.step(offset, Mark::Claim);
                }
                (Record::Event { command, version, place }, Rule::Real) => match rule.step(offset, Mark::Event(place)) {
                    Verdict::Held => held.push((command, version)),
                    Verdict::Counts => {
                        counted.append(&mut held);
                        counted.push((command, version));
                    }
                    Verdict::Begins | Verdict::Ends => held.clear(),
                },
                (Record::Event { command, version, place }, Rule::NoGroup) => {
                    let alone = Place { index: 1, of: 1, ..place };
                    if rule.step(offset, Mark::Event(alone)) == Verdict::Counts {
                        counted.push((command, version));
                    }
                }
                (Record::Event { command, version, place }, weak) => {
                    let fits = run == Some(place.run) && (weak == Rule::NoAt || place.at == offset);
                    if fits {
                        held.push((command, version));
                        if place.index == place.of {
                            counted.append(&mut held);
                        }
                    }
                }
            }
        }
        counted
    }

    /// The writer's claim stands at the log's end: it folds what counts, and settles what it was in doubt of.
    fn enter(&self, world: &mut World, writer: u8) {
        let run = world.log.len() as i64 - 1;
        let counted = self.counted(&world.log);
        let wanted = &mut world.writers[writer as usize].wanted;
        let there = |command: &u8| counted.iter().any(|(known, _)| known == command);
        world.acknowledged.extend(wanted.iter().copied().filter(there));
        wanted.retain(|command| !there(command));
        let version = counted.len() as u8;
        world.writers[writer as usize].phase = Phase::Writing { run, next: run + 1, acked: run + 1, version, flying: Vec::new() };
    }

    /// The writer hears that a record of its own stands at an offset.
    fn heard(&self, world: &mut World, sent: Sent, offset: i64) {
        let writer = &mut world.writers[sent.writer as usize];
        if writer.epoch != sent.epoch {
            return;
        }
        match (&mut writer.phase, sent.record) {
            (Phase::Claiming, Record::Claim(_)) => self.enter(world, sent.writer),
            (Phase::Writing { acked, flying, .. }, Record::Event { place, .. })
                if self.rule == Rule::NoAt || (offset == place.at && offset == *acked) =>
            {
                *acked += 1;
                let known = *acked;
                let done: Vec<u8> = flying.iter().filter(|(_, last)| *last < known).map(|(command, _)| *command).collect();
                flying.retain(|(_, last)| *last >= known);
                writer.wanted.retain(|command| !done.contains(command));
                world.acknowledged.extend(done);
            }
            (Phase::Down | Phase::Claiming | Phase::Writing { .. }, _) => doubt(writer),
        }
    }

    fn send(world: &mut World, writer: u8, command: u8) {
        let epoch = world.writers[writer as usize].epoch;
        let Phase::Writing { run, next, version, flying, .. } = &mut world.writers[writer as usize].phase else { return };
        for index in 1..=size(command) {
            *version += 1;
            let place = Place { run: *run, at: *next, index, of: size(command) };
            world.sent.push(Sent { writer, epoch, record: Record::Event { command, version: *version, place } });
            *next += 1;
        }
        flying.push((command, *next - 1));
    }
}

fn key(sent: &Sent) -> (u8, u8, i64, u32) {
    match sent.record {
        Record::Claim(_) => (sent.writer, sent.epoch, -1, 0),
        Record::Event { place, .. } => (sent.writer, sent.epoch, place.at, place.index),
    }
}

fn doubt(writer: &mut Writer) {
    writer.epoch += 1;
    writer.phase = Phase::Down;
}

impl Model for Protocol {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let writer = |wanted: &[u8]| Writer { epoch: 0, phase: Phase::Down, wanted: wanted.to_vec() };
        let writers = self.wanted.map(writer);
        vec![World { log: Vec::new(), sent: Vec::new(), writers, claims: self.claims, faults: self.faults, acknowledged: Vec::new() }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for (index, writer) in (0_u8..).zip(&world.writers) {
            match &writer.phase {
                Phase::Down if world.claims > 0 => steps.push(Step::Claim(index)),
                Phase::Down => {}
                Phase::Claiming => steps.push(Step::Doubt(index)),
                Phase::Writing { flying, .. } => {
                    let fresh = writer.wanted.iter().find(|command| !flying.iter().any(|(known, _)| known == *command));
                    steps.extend(fresh.map(|command| Step::Send(index, *command)));
                    if !flying.is_empty() {
                        steps.push(Step::Doubt(index));
                    }
                    if world.faults > 0 {
                        steps.push(Step::Crash(index));
                    }
                }
            }
        }
        for index in 0..world.sent.len() {
            steps.push(Step::Land(index));
            if world.faults > 0 {
                steps.extend([Step::LandUnheard(index), Step::LandTwice(index), Step::Lose(index)]);
            }
        }
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        match step {
            Step::Claim(writer) => {
                world.claims -= 1;
                world.writers[writer as usize].phase = Phase::Claiming;
                let epoch = world.writers[writer as usize].epoch;
                world.sent.push(Sent { writer, epoch, record: Record::Claim(writer) });
            }
            Step::Send(writer, command) => Self::send(&mut world, writer, command),
            Step::Land(index) | Step::LandUnheard(index) | Step::LandTwice(index) => {
                let sent = world.sent.remove(index);
                let offset = world.log.len() as i64;
                world.log.push(sent.record);
                if let Step::LandTwice(_) = step {
                    world.log.push(sent.record);
                }
                match step {
                    Step::Land(_) => self.heard(&mut world, sent, offset),
                    Step::LandTwice(_) => {
                        world.faults -= 1;
                        // A claim that lands twice is heard at its last place, as the later of the two is the current run.
                        let heard = if matches!(sent.record, Record::Claim(_)) { offset + 1 } else { offset };
                        self.heard(&mut world, sent, heard);
                    }
                    _ => world.faults -= 1,
                }
            }
            Step::Lose(index) => {
                world.faults -= 1;
                world.sent.remove(index);
            }
            Step::Doubt(writer) => doubt(&mut world.writers[writer as usize]),
            Step::Crash(writer) => {
                world.faults -= 1;
                doubt(&mut world.writers[writer as usize]);
            }
        }
        // What is under way has no order: two worlds that differ in it only are one.
        world.sent.sort_unstable_by_key(key);
        world.acknowledged.sort_unstable();
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("what is acknowledged counts exactly once", |model: &Protocol, world: &World| {
                let counted = model.counted(&world.log);
                world
                    .acknowledged
                    .iter()
                    .all(|command| counted.iter().filter(|(known, _)| known == command).count() == size(*command) as usize)
            }),
            Property::always("a command counts whole and once, or not at all", |model: &Protocol, world: &World| {
                let counted = model.counted(&world.log);
                (0..4).all(|command| [0, size(command) as usize].contains(&counted.iter().filter(|(known, _)| *known == command).count()))
            }),
            Property::always("versions have no gap", |model: &Protocol, world: &World| {
                model.counted(&world.log).iter().zip(1..).all(|((_, version), due)| *version == due)
            }),
            Property::always("a reader that resumes sees what a reader from the beginning sees", |model: &Protocol, world: &World| {
                model.rule != Rule::Real || resumes(&world.log)
            }),
            Property::sometimes("everything is acknowledged", |model: &Protocol, world: &World| {
                world.acknowledged.len() == model.wanted.iter().map(|commands| commands.len()).sum::<usize>()
            }),
            Property::sometimes("a zombie's record lands behind its successor's claim", |_: &Protocol, world: &World| {
                let claims: Vec<i64> =
                    (0_i64..).zip(&world.log).filter(|(_, record)| matches!(record, Record::Claim(_))).map(|(offset, _)| offset).collect();
                claims.last().is_some_and(|last| {
                    (0_i64..)
                        .zip(&world.log)
                        .any(|(offset, record)| matches!(record, Record::Event { place, .. } if place.run < *last && offset > *last))
                })
            }),
        ]
    }
}

/// Whether, from every checkpoint at which nothing is held, the rest is judged as from the beginning.
fn resumes(log: &[Record]) -> bool {
    let mark = |record: &Record| match record {
        Record::Claim(_) => Mark::Claim,
        Record::Event { place, .. } => Mark::Event(*place),
    };
    let mut rule = RunRule::default();
    (0..log.len()).all(|begin| {
        let resumed = (rule.held() == 0).then(|| RunRule::resume(rule.run().map(|run| run.claim), begin as i64));
        let same = resumed.is_none_or(|resumed| {
            let (mut whole, mut part) = (rule, resumed);
            (begin..log.len()).all(|at| whole.step(at as i64, mark(&log[at])) == part.step(at as i64, mark(&log[at])))
        });
        rule.step(begin as i64, mark(&log[begin]));
        same
    })
}

fn check(model: Protocol) -> impl Checker<Protocol> {
    let Protocol { rule, claims, faults, wanted } = &model;
    let bounds = format!("{rule:?}, {claims} claims, {faults} faults, commands {wanted:?}");
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!("{bounds}: {} states", checker.unique_state_count());
    checker
}

#[test]
fn the_rule_holds_in_every_schedule_of_two_runs() {
    check(Protocol { rule: Rule::Real, claims: 2, faults: 1, wanted: [&[0, 1], &[3]] }).assert_properties();
}

#[test]
fn the_rule_holds_in_every_schedule_of_three_runs() {
    check(Protocol { rule: Rule::Real, claims: 3, faults: 1, wanted: [&[0], &[3]] }).assert_properties();
}

#[test]
fn without_at_it_fails() {
    check(Protocol { rule: Rule::NoAt, claims: 2, faults: 0, wanted: [&[0, 1], &[3]] }).assert_any_discovery("versions have no gap");
}

#[test]
fn without_the_unbroken_run_it_fails() {
    check(Protocol { rule: Rule::NoUnbrokenRun, claims: 2, faults: 0, wanted: [&[0, 1], &[3]] })
        .assert_any_discovery("versions have no gap");
}

#[test]
fn without_groups_it_fails() {
    check(Protocol { rule: Rule::NoGroup, claims: 2, faults: 0, wanted: [&[0, 1], &[3]] })
        .assert_any_discovery("a command counts whole and once, or not at all");
}
