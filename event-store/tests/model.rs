//! The write protocol as a model, checked exhaustively to small bounds with `stateright`, around the real
//! [`event_store::run::RunRule`].
//!
//! One partition, two writers, one aggregate whose version counts its events. A writer claims, folds the log up to its own claim (at once,
//! since what lies below a claim no longer changes), and then takes its requests in order. Each command is decided on the records that the
//! writer has sent before, makes one or two records, or rests: a refusal, and the repeat of a command that is known, leave no record and
//! are answered behind the read barrier. The same command may be asked of both writers, or of one twice, as a client does that got no
//! answer.
//!
//! Between writer and log, records wait in no order: any may overtake any, land behind a successor's claim, or wait for ever (which is how
//! one is lost). Faults beyond that are counted: a record is doubled, the copy landing whenever it likes; an acknowledgement is lost;
//! somebody else writes. At any time a writer may stop, for doubt or by a crash: it forgets everything, its records under way may still
//! land, and it claims again and decides its unanswered requests again, under the same command ids.
//!
//! Bounds, in each test: two or three requests in all, of one or two records each; two to four claims; none to two faults. Each weakened
//! rule, and each weakened barrier, must fail in the same model: so the model shows why each part is needed.

mod model {
    pub mod protocol;
    pub mod reader;
}

use model::protocol::{Barrier, COMMANDS, FIRST, LATER, OTHER_PAIR, PAIR, Protocol, SINGLE, Said, Step, World};
use model::reader::{Event, Record, Rule, counted, resumes};
use stateright::{Checker, Model, Property};

const EXACTLY_ONCE: &str = "what is acknowledged counts exactly once";
const WHOLE_OR_NOT: &str = "a command counts whole and once, or not at all";
const NO_GAP: &str = "versions have no gap";
const ALLOWED: &str = "what counts was allowed where it stands";
const RESUMES: &str = "a reader that resumes counts what a reader from the beginning counts";
const RIGHTLY_REFUSED: &str = "a refusal was right at some moment between decision and answer";
const REFUSED_IS_NOT_THERE: &str = "what was asked once and refused does not count";

impl Model for Protocol {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![self.begin()]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        self.steps(world, steps);
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        self.take(&mut world, step);
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(EXACTLY_ONCE, |model: &Protocol, world: &World| {
                let events = counted(model.rule, &world.log);
                acknowledged(world).all(|(_, command)| count(&events, command) == COMMANDS[command as usize].events as usize)
            }),
            Property::always(WHOLE_OR_NOT, |model: &Protocol, world: &World| {
                let events = counted(model.rule, &world.log);
                (0_u8..).zip(&COMMANDS).all(|(id, command)| [0, command.events as usize].contains(&count(&events, id)))
            }),
            Property::always(NO_GAP, |model: &Protocol, world: &World| {
                counted(model.rule, &world.log).iter().zip(1..).all(|(event, due)| event.version == due)
            }),
            Property::always(ALLOWED, |model: &Protocol, world: &World| {
                let events = counted(model.rule, &world.log);
                events.iter().zip(0..).all(|(event, before)| event.place.index > 1 || (COMMANDS[event.command as usize].allowed)(before))
            }),
            Property::always(RESUMES, |model: &Protocol, world: &World| resumes(model.rule, &world.log)),
            Property::always(RIGHTLY_REFUSED, |_: &Protocol, world: &World| {
                world.answers.iter().all(|(_, _, said)| *said != Said::Refused { right: false })
            }),
            Property::always(REFUSED_IS_NOT_THERE, |model: &Protocol, world: &World| {
                let events = counted(model.rule, &world.log);
                let asked_once = |command: &u8| model.asked.iter().flat_map(|asked| *asked).filter(|asked| *asked == command).count() == 1;
                let refused = world.answers.iter().filter(|(_, command, said)| matches!(said, Said::Refused { .. }) && asked_once(command));
                refused.into_iter().all(|(_, command, _)| count(&events, *command) == 0)
            }),
            Property::sometimes("every request is answered", |_: &Protocol, world: &World| {
                world.writers.iter().all(|writer| writer.open.is_empty())
            }),
            Property::sometimes("both writers have acknowledged", |_: &Protocol, world: &World| {
                [0, 1].iter().all(|writer| acknowledged(world).any(|(by, _)| by == *writer))
            }),
            Property::sometimes("a zombie's record lands behind its successor's claim", |_: &Protocol, world: &World| zombie(&world.log)),
            Property::sometimes(
                "a command is found in the log: where each is asked once, it was in doubt",
                |_: &Protocol, world: &World| world.answers.iter().any(|(_, _, said)| *said == Said::Found),
            ),
        ];
        if self.asked.iter().flat_map(|asked| *asked).any(|command| [FIRST, LATER].contains(command)) {
            properties.push(Property::sometimes("a command is refused", |_: &Protocol, world: &World| {
                world.answers.iter().any(|(_, _, said)| matches!(said, Said::Refused { .. }))
            }));
        }
        properties
    }
}

fn acknowledged(world: &World) -> impl Iterator<Item = (usize, u8)> {
    let positive = |said: &Said| matches!(said, Said::Written | Said::Found);
    world.answers.iter().filter(move |(_, _, said)| positive(said)).map(|(writer, command, _)| (*writer, *command))
}

fn count(events: &[Event], command: u8) -> usize {
    events.iter().filter(|event| event.command == command).count()
}

fn zombie(log: &[Record]) -> bool {
    let newest = log.iter().rposition(|record| *record == Record::Claim);
    newest
        .is_some_and(|newest| log[newest..].iter().any(|record| matches!(record, Record::Event(event) if event.place.run < newest as i64)))
}

fn check(protocol: Protocol) -> impl Checker<Protocol> {
    let begun = std::time::Instant::now();
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    let found: Vec<&str> = checker.discoveries().keys().copied().collect();
    println!("{protocol:?}: {} states in {:.1?}; examples of {found:?}", checker.unique_state_count(), begun.elapsed());
    checker
}

/// Checks that the model has a schedule against each of these properties.
fn fails(protocol: Protocol, properties: &[&'static str]) {
    let checker = check(protocol);
    properties.iter().for_each(|property| {
        checker.assert_any_discovery(property);
    });
}

/// The real rule and the whole barrier, within these bounds.
fn real(claims: u8, faults: u8, asked: [&'static [u8]; 2]) -> Protocol {
    Protocol { rule: Rule::Real, barrier: Barrier::Whole, claims, faults, asked }
}

#[test]
fn it_holds_in_every_schedule_of_two_runs() {
    check(real(2, 1, [&[PAIR, SINGLE], &[OTHER_PAIR]])).assert_properties();
}

#[test]
fn it_holds_in_every_schedule_of_two_runs_with_two_faults() {
    check(real(2, 2, [&[PAIR], &[OTHER_PAIR]])).assert_properties();
}

#[test]
fn it_holds_in_every_schedule_of_three_runs() {
    check(real(3, 1, [&[PAIR], &[SINGLE]])).assert_properties();
}

#[test]
fn it_holds_in_every_schedule_of_four_runs_without_faults() {
    check(real(4, 0, [&[PAIR], &[SINGLE]])).assert_properties();
}

#[test]
fn it_holds_when_both_writers_are_asked_the_same() {
    check(real(3, 1, [&[PAIR], &[PAIR]])).assert_properties();
}

#[test]
fn it_holds_when_a_writer_is_asked_twice() {
    check(real(3, 1, [&[PAIR, PAIR], &[SINGLE]])).assert_properties();
}

#[test]
fn it_holds_where_commands_are_refused() {
    check(real(3, 2, [&[SINGLE, FIRST], &[LATER]])).assert_properties();
}

/// Two runs, no fault but the network's order.
const FAULTLESS: Protocol =
    Protocol { rule: Rule::Real, barrier: Barrier::Whole, claims: 2, faults: 0, asked: [&[PAIR, SINGLE], &[OTHER_PAIR]] };

/// The tests below fail because of the part that they leave out: with all its parts, the protocol holds within the same bounds.
#[test]
fn with_all_its_parts_it_holds_there() {
    check(FAULTLESS).assert_properties();
    check(Protocol { asked: [&[SINGLE], &[LATER]], ..FAULTLESS }).assert_properties();
    check(Protocol { asked: [&[SINGLE, FIRST], &[LATER]], ..FAULTLESS }).assert_properties();
}

#[test]
fn without_at_it_fails() {
    fails(Protocol { rule: Rule::NoAt, ..FAULTLESS }, &[NO_GAP, EXACTLY_ONCE]);
}

#[test]
fn without_the_unbroken_run_it_fails() {
    fails(Protocol { rule: Rule::NoUnbrokenRun, ..FAULTLESS }, &[NO_GAP, EXACTLY_ONCE]);
}

#[test]
fn without_groups_it_fails() {
    fails(Protocol { rule: Rule::NoGroup, ..FAULTLESS }, &[WHOLE_OR_NOT]);
}

#[test]
fn without_the_logs_end_a_paused_writer_refuses_from_the_past() {
    fails(Protocol { barrier: Barrier::NoEnd, asked: [&[SINGLE], &[LATER]], ..FAULTLESS }, &[RIGHTLY_REFUSED]);
}

#[test]
fn without_confirmation_a_refusal_rests_on_nothing() {
    fails(Protocol { barrier: Barrier::NoConfirmation, asked: [&[SINGLE, FIRST], &[LATER]], ..FAULTLESS }, &[RIGHTLY_REFUSED]);
}
