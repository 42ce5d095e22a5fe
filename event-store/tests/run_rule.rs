//! Laws of the run rule, on any log whatever: well formed, broken, forged.

use event_store::run::{Mark, Place, RunRule, Verdict};
use proptest::prelude::*;
use std::ops::RangeInclusive;

/// Records as a writer would write them, disturbed now and then: most of them fit.
#[derive(Clone, Debug)]
enum Written {
    Claim,
    Foreign,
    /// A group of `of` records, of which those in `there` are in the log, each with an `at` that is wrong by `shift`, under the run of
    /// `claims_ago` claims before.
    Group {
        of: u32,
        there: RangeInclusive<u32>,
        shift: i64,
        claims_ago: usize,
    },
}

fn written() -> impl Strategy<Value = Written> {
    let there = |of: u32| prop_oneof![8 => Just(1..=of), 1 => Just(2..=of), 1 => Just(1..=of - 1)];
    let part = (1_u32..4).prop_flat_map(move |of| (Just(of), there(of)));
    let shift = prop_oneof![8 => Just(0_i64), 1 => -2_i64..3];
    let claims_ago = prop_oneof![8 => Just(0_usize), 1 => 1_usize..3];
    let group = (part, shift, claims_ago);
    let group = group.prop_map(|((of, there), shift, claims_ago)| Written::Group { of, there, shift, claims_ago });
    prop_oneof![1 => Just(Written::Claim), 1 => Just(Written::Foreign), 8 => group]
}

/// The log that results, cut anywhere.
fn log() -> impl Strategy<Value = Vec<Mark>> {
    (prop::collection::vec(written(), 0..24), 0_usize..80).prop_map(|(written, length)| {
        let (mut log, mut claims) = (Vec::new(), Vec::new());
        for record in written {
            match record {
                Written::Claim => {
                    claims.push(log.len() as i64);
                    log.push(Mark::Claim);
                }
                Written::Foreign => log.push(Mark::Foreign),
                Written::Group { of, there, shift, claims_ago } => {
                    let run = claims.iter().rev().nth(claims_ago).copied().unwrap_or(-1);
                    for index in there {
                        log.push(Mark::Event(Place { run, at: log.len() as i64 + shift, index, of }));
                    }
                }
            }
        }
        log.truncate(length);
        log
    })
}

fn verdicts(mut rule: RunRule, from: usize, log: &[Mark]) -> Vec<Verdict> {
    (from..log.len()).map(|at| rule.step(at as i64, log[at])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A reader that resumes at a place where nothing is held judges as one that read from the beginning.
    #[test]
    fn resuming_changes_nothing(log in log()) {
        let mut rule = RunRule::default();
        for at in 0..log.len() {
            if rule.held() == 0 {
                let resumed = RunRule::resume(rule.run().map(|run| run.claim), at as i64);
                prop_assert_eq!(verdicts(resumed, at, &log), verdicts(rule, at, &log));
            }
            rule.step(at as i64, log[at]);
        }
    }

    /// Whether a record counts is decided by the log up to it: more records change nothing of it.
    #[test]
    fn what_counts_is_decided_below(log in log(), cut in 0_usize..80) {
        let cut = cut.min(log.len());
        let whole = verdicts(RunRule::default(), 0, &log);
        prop_assert_eq!(&verdicts(RunRule::default(), 0, &log[..cut])[..], &whole[..cut]);
    }

    /// After a foreign record nothing counts until the next claim.
    #[test]
    fn a_foreign_record_ends_the_run(mut log in log(), place in 0_usize..80) {
        let place = place.min(log.len());
        log.insert(place, Mark::Foreign);
        let after = verdicts(RunRule::default(), 0, &log);
        let next_claim = (place..log.len()).find(|at| log[*at] == Mark::Claim).unwrap_or(log.len());
        prop_assert!(after[place..next_claim].iter().all(|verdict| *verdict == Verdict::Ends));
    }

    /// A record that counts carries the run of the newest claim below it, and stands where it says.
    #[test]
    fn only_the_newest_run_counts(log in log()) {
        for (at, verdict) in verdicts(RunRule::default(), 0, &log).into_iter().enumerate() {
            if let (Verdict::Held | Verdict::Counts, Mark::Event(place)) = (verdict, log[at]) {
                let newest = (0..at).rev().find(|below| log[*below] == Mark::Claim);
                prop_assert_eq!((Some(place.run), place.at), (newest.map(|claim| claim as i64), at as i64));
            }
        }
    }

    /// A group counts whole: its last record counts only where all that precede it are held, side by side.
    #[test]
    fn what_counts_is_whole(log in log()) {
        let verdicts = verdicts(RunRule::default(), 0, &log);
        for (at, verdict) in verdicts.iter().enumerate() {
            if let (Verdict::Counts, Mark::Event(place)) = (*verdict, log[at]) {
                let first = at + 1 - place.of as usize;
                prop_assert!(verdicts[first..at].iter().all(|verdict| *verdict == Verdict::Held));
                let indexes: Vec<u32> = log[first..=at].iter().filter_map(|mark| match mark {
                    Mark::Event(place) => Some(place.index),
                    Mark::Claim | Mark::Foreign => None,
                }).collect();
                prop_assert_eq!(indexes, (1..=place.of).collect::<Vec<_>>());
            }
        }
    }

    /// An undisturbed run counts to its last group, whatever lies below its claim.
    #[test]
    fn an_undisturbed_run_counts_whole(mut log in log(), groups in prop::collection::vec(1_u32..4, 1..8)) {
        let run = log.len() as i64;
        log.push(Mark::Claim);
        for of in &groups {
            for index in 1..=*of {
                log.push(Mark::Event(Place { run, at: log.len() as i64, index, of: *of }));
            }
        }
        let verdicts = verdicts(RunRule::default(), 0, &log);
        prop_assert!(verdicts[run as usize..].iter().all(|verdict| *verdict != Verdict::Ends));
        prop_assert_eq!(verdicts[run as usize..].iter().filter(|verdict| **verdict == Verdict::Counts).count(), groups.len());
    }

    /// Where offsets are missing, the run has ended: the missing records cannot be known.
    #[test]
    fn a_hole_ends_the_run(log in log(), place in 0_usize..80, hole in 1_i64..4) {
        let place = place.min(log.len());
        let mut rule = RunRule::default();
        log[..place].iter().zip(0..).for_each(|(mark, at)| { rule.step(at, *mark); });
        let after = log[place..].iter().take_while(|mark| **mark != Mark::Claim);
        for (mark, offset) in after.zip(place as i64 + hole..) {
            let there = match *mark {
                Mark::Event(place) => Mark::Event(Place { at: offset, ..place }),
                Mark::Claim | Mark::Foreign => *mark,
            };
            prop_assert_eq!(rule.step(offset, there), Verdict::Ends);
        }
    }
}
