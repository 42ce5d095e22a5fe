//! An owner answers the same, whether it has few aggregates in memory or all of them.

use super::{
    Do, meta,
    snapshots::{begin, heard, memory, state, tight},
};
use event_store::{CommandMeta, WriterConfig};
use proptest::prelude::*;
use std::path::Path;

#[derive(Clone, Debug)]
enum Step {
    /// On an account, a command with a new id or one used before, with an expected version or without.
    Ask {
        on: u128,
        command: Do,
        id: u128,
        expected: Option<u64>,
    },
    Stop,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let command = prop_oneof![
        (0..20_i64).prop_map(Do::Deposit),
        (0..30_i64).prop_map(Do::Withdraw),
        prop::collection::vec(0..9_i64, 1..4).prop_map(Do::DepositAll),
        (0..40_i64).prop_map(Do::Settle),
    ];
    let expected = prop_oneof![4 => Just(None), 1 => (0..4_u64).prop_map(Some)];
    let ask = (0..8_u128, command, 0..60_u128, expected);
    prop_oneof![
        20 => ask.prop_map(|(on, command, id, expected)| Step::Ask { on, command, id, expected }),
        1 => Just(Step::Stop),
        1 => Just(Step::Kill),
    ]
}

/// The answers to all steps, and the state of every account at the end.
async fn told(steps: &[Step], directory: Option<&Path>, config: WriterConfig) -> Vec<String> {
    let log = memory();
    let (mut owner, mut told) = (begin(&log, directory, config).await, Vec::new());
    for (step, number) in steps.iter().zip(1_000..) {
        match step.clone() {
            Step::Ask { on, command, id, expected } => {
                // A command that had nothing to do leaves no record: whether it is remembered after a restart depends on the snapshots.
                let id = if matches!(command, Do::Settle(_)) { number } else { id };
                let meta = CommandMeta { expected_version: expected, ..meta(id) };
                told.push(format!("{:?}", heard(&owner, on, command, meta).await));
                continue;
            }
            Step::Stop => owner.drain().await,
            Step::Kill => owner.abort(),
        }
        owner = begin(&log, directory, config).await;
    }
    for on in 0..8 {
        told.push(format!("{on} {:?}", state(&owner, on).await));
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bounded_memory_answers_as_unbounded_memory_does(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let directory = tempfile::tempdir().expect("a directory");
            let (bounded, unbounded) =
                tokio::join!(told(&steps, Some(directory.path()), tight()), told(&steps, None, WriterConfig::default()));
            assert_eq!(bounded, unbounded);
        });
    }
}
