//! Laws of the run rule, on any log whatever: well formed, broken, forged.

use event_store::run::{Mark, Place, RunRule, Verdict};
use proptest::prelude::*;

/// A record that is likely to fit: what a writer would write, disturbed now and then.
#[derive(Clone, Debug)]
enum Written {
    Claim,
    Foreign,
    /// A group of so many, each shifted by so much from its right place, under the run of so many claims ago.
    Group {
        of: u32,
        shift: i64,
        claims_ago: usize,
    },
}

fn written() -> impl Strategy<Value = Written> {
    let group = (1_u32..4, prop_oneof![8 => Just(0_i64), 1 => -2_i64..3], prop_oneof![8 => Just(0_usize), 1 => 1_usize..3]);
    prop_oneof![1 => Just(Written::Claim), 1 => Just(Written::Foreign), 8 => group.prop_map(|(of, shift, claims_ago)| Written::Group { of, shift, claims_ago })]
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
                Written::Group { of, shift, claims_ago } => {
                    let run = claims.iter().rev().nth(claims_ago).copied().unwrap_or(-1);
                    for index in 1..=of {
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
    #![proptest_config(ProptestConfig::with_cases(2_000))]

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

    /// What counts of a log is decided by what lies below: more records change nothing of it.
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

    /// What counts carries the run of the newest claim below it, and stands where it says.
    #[test]
    fn only_the_newest_run_counts(log in log()) {
        for (at, verdict) in verdicts(RunRule::default(), 0, &log).into_iter().enumerate() {
            if let (Verdict::Held | Verdict::Counts, Mark::Event(place)) = (verdict, log[at]) {
                let newest = (0..at).rev().find(|below| log[*below] == Mark::Claim);
                prop_assert_eq!((Some(place.run), place.at), (newest.map(|claim| claim as i64), at as i64));
            }
        }
    }
}
