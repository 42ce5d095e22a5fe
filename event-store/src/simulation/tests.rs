//! Every schedule keeps every promise; where one part of the protocol is left out, some schedule does not.

use super::{
    Figures, Violation, Weakness,
    promises::KINDS,
    schedule, told,
    weakness::Blindness::{Breaks, Groups, Places},
};
use std::time::Instant;

/// The schedules of every run of the tests: always the same.
const SCHEDULES: u64 = 5_000;

/// Each weakness is found within this many schedules.
const FOUND_WITHIN: u64 = 500;

const SEED: &str = "DAYBOOK_SIMULATION_SEED";
const COUNT: &str = "DAYBOOK_SIMULATION_SCHEDULES";

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

fn hold(seeds: std::ops::Range<u64>) -> Figures {
    let begun = Instant::now();
    let (mut all, count) = (Figures::default(), seeds.end - seeds.start);
    for seed in seeds {
        let figures = schedule(seed, Weakness::None).unwrap_or_else(|violation| panic!("{}", how_it_came(seed, &violation)));
        add(&mut all, figures);
    }
    println!("{count} schedules in {:?}: {all:?}, where calm is the longest", begun.elapsed());
    all
}

fn how_it_came(seed: u64, violation: &Violation) -> String {
    let again = format!("{SEED}={seed} cargo test -p event-store --lib a_seed_of_your_own -- --nocapture");
    format!("{}\n\n{violation:?}\n\nto see it again: {again}", told(seed, Weakness::None))
}

fn add(all: &mut Figures, one: Figures) {
    all.steps += one.steps;
    all.calm = all.calm.max(one.calm);
    all.records += one.records;
    all.counted += one.counted;
    one.answers.into_iter().for_each(|(kind, count)| *all.answers.entry(kind).or_default() += count);
}

#[test]
fn every_schedule_keeps_every_promise() {
    let figures = hold(0..SCHEDULES);
    assert!(figures.answers.keys().eq(&KINDS), "every kind of answer is tried: {:?}", figures.answers);
}

/// The schedule of `DAYBOOK_SIMULATION_SEED` with its whole history, or `DAYBOOK_SIMULATION_SCHEDULES` schedules from that seed on.
#[test]
fn a_seed_of_your_own() {
    let Some(seed) = number(SEED) else { return };
    let count = number(COUNT).unwrap_or(1);
    if count == 1 {
        println!("{}", told(seed, Weakness::None));
    }
    hold(seed..seed + count);
}

#[test]
fn a_seed_is_a_schedule() {
    assert_eq!(told(7, Weakness::None), told(7, Weakness::None));
}

fn is_missed(weakness: Weakness) {
    let found = (0..FOUND_WITHIN).find_map(|seed| schedule(seed, weakness).err().map(|violation| (seed + 1, violation)));
    let (after, violation) = found.unwrap_or_else(|| panic!("{weakness:?} goes unnoticed in {FOUND_WITHIN} schedules"));
    println!("{weakness:?} is found after {after} schedules: {violation:?}");
}

macro_rules! weaknesses {
    ($($test:ident: $weakness:expr;)*) => { $(#[test] fn $test() { is_missed($weakness); })* };
}

weaknesses! {
    views_blind_to_places_are_found: Weakness::OfViews(Places);
    views_blind_to_breaks_are_found: Weakness::OfViews(Breaks);
    views_blind_to_groups_are_found: Weakness::OfViews(Groups);
    a_rule_without_places_is_found: Weakness::OfAll(Places);
    a_rule_without_breaks_is_found: Weakness::OfAll(Breaks);
    a_rule_without_groups_is_found: Weakness::OfAll(Groups);
    a_refusal_without_the_barrier_is_found: Weakness::NoBarrier;
    an_acknowledgement_at_any_offset_is_found: Weakness::AnyOffset;
    a_forgotten_command_is_found: Weakness::Forgetful;
    a_checkpoint_without_a_guard_is_found: Weakness::NoGuard;
    a_reader_that_does_not_look_at_its_anchor_is_found: Weakness::NoAnchor;
}
