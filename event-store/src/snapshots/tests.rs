//! The snapshot file by itself, without an owner.

use super::*;
use crate::{WriterConfig, account::Account, remembered::CommandMemory};
use event_sourcing::Timestamp;
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

fn stand(next: i64) -> Stand {
    Stand { fingerprint: 7, next, claim: Some(0), anchor: format!("record {next}"), unreadable: false }
}

fn folded(number: u128) -> Folded<Account> {
    Folded { state: Account { balance: number as i64, entries: vec![number as i64] }, version: 1, unreadable: None }
}

fn remembered(offset: i64) -> Remembered {
    Remembered { fingerprint: 1, version: 1, offset, events: 1, time: Timestamp(offset) }
}

fn save(numbers: std::ops::Range<u128>, most: usize) -> Save<Account> {
    let config = WriterConfig { remembered_commands: most, ..WriterConfig::default() };
    let aggregates = Arc::new(numbers.clone().map(|number| (Uuid::from_u128(number), Box::new(folded(number)))).collect());
    let commands = numbers.clone().map(|number| (Uuid::from_u128(number), remembered(number as i64))).collect();
    Save { stand: stand(numbers.end as i64), aggregates, commands, bounds: CommandMemory::new(&config).bounds() }
}

fn aggregate(snapshots: &Snapshots, number: u128) -> Result<Option<Folded<Account>>, SnapshotError> {
    snapshots.aggregate(Uuid::from_u128(number))
}

fn open(path: &Path) -> Result<(Snapshots, Option<Stand>), SnapshotError> {
    Snapshots::open(path, 7)
}

#[test]
fn what_is_saved_is_there_when_it_is_opened_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let (snapshots, nothing) = open(&directory.path().join("a.redb")).expect("it opens");
    assert!(nothing.is_none() && aggregate(&snapshots, 1).expect("it reads").is_none());
    snapshots.save(save(0..100, 1_000)).expect("it saves");
    drop(snapshots);
    let (snapshots, found) = open(&directory.path().join("a.redb")).expect("it opens");
    assert_eq!(found, Some(stand(100)));
    assert_eq!(aggregate(&snapshots, 42).expect("it reads"), Some(folded(42)));
    assert_eq!(snapshots.command(Uuid::from_u128(42)).expect("it reads"), Some(remembered(42)));
    assert!(aggregate(&snapshots, 100).expect("it reads").is_none());
}

fn known(snapshots: &Snapshots, numbers: std::ops::Range<u128>) -> Vec<u128> {
    numbers.filter(|number| snapshots.command(Uuid::from_u128(*number)).expect("it reads").is_some()).collect()
}

#[test]
fn the_oldest_commands_are_forgotten_here_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let (snapshots, _) = open(&directory.path().join("a.redb")).expect("it opens");
    for number in 0..20 {
        snapshots.save(save(number * 10..(number + 1) * 10, 100)).expect("it saves");
    }
    assert_eq!(known(&snapshots, 0..200), (100..200).collect::<Vec<_>>());
    // One of the oldest is used again, so that its first use is forgotten and not its last.
    let mut again = save(200..209, 100);
    again.commands.push((Uuid::from_u128(105), remembered(300)));
    snapshots.save(again).expect("it saves");
    assert_eq!(known(&snapshots, 0..210), [105].into_iter().chain(110..209).collect::<Vec<_>>());
}

#[test]
fn many_saves_make_few_segments() {
    let directory = tempfile::tempdir().expect("a directory");
    let (snapshots, _) = open(&directory.path().join("a.redb")).expect("it opens");
    for number in 0..100 {
        snapshots.save(save(number * 10..(number + 1) * 10, 100_000)).expect("it saves");
    }
    // Three tables are no segments; each segment has at least about twice as many values as the next newer one.
    let tables = snapshots.database.begin_read().expect("it reads").list_tables().expect("tables").count();
    assert!(tables <= 3 + 2 * 8, "{tables}");
    assert!((0..1_000).all(|number| aggregate(&snapshots, number).expect("it reads") == Some(folded(number))));
}

#[test]
fn a_snapshot_in_use_is_locked() {
    let directory = tempfile::tempdir().expect("a directory");
    let used = open(&directory.path().join("a.redb")).expect("it opens");
    assert!(matches!(open(&directory.path().join("a.redb")), Err(SnapshotError::Locked)));
    drop(used);
    assert!(open(&directory.path().join("a.redb")).is_ok());
}

#[test]
fn bytes_that_stand_in_the_place_of_others_are_not_taken_for_them() {
    let bytes = sealed(1, vec![7; 20]);
    assert_eq!(unsealed(1, &bytes).expect("it is whole"), [7; 20]);
    assert!(matches!(unsealed(2, &bytes), Err(SnapshotError::Rotten)));
    for index in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[index / 8] ^= 1 << (index % 8);
        assert!(matches!(unsealed(1, &flipped), Err(SnapshotError::Rotten)), "bit {index}");
    }
}

/// Whatever byte is changed, and wherever the file is cut off: it is refused, or it is an earlier or the last whole save.
#[test]
fn a_damaged_file_is_refused_or_right() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.redb");
    let (snapshots, _) = Snapshots::open(&path, 7).expect("it opens");
    snapshots.save(save(0..50, 1_000)).expect("it saves");
    snapshots.save(save(0..100, 1_000)).expect("it saves");
    drop(snapshots);
    let whole = std::fs::read(&path).expect("it is a file");
    let header = (0..512).map(|index| (index, 1 << (index % 8)));
    let spread = (512..whole.len()).step_by(whole.len() / 400).map(|index| (index, 0x40));
    let (mut refused, mut right) = (0, 0);
    for (index, flip) in header.chain(spread) {
        let mut damaged = whole.clone();
        damaged[index] ^= flip;
        std::fs::write(&path, &damaged).expect("it is written");
        match is_right(&path) {
            None => refused += 1,
            Some(is_right) => {
                assert!(is_right, "byte {index}");
                right += 1;
            }
        }
    }
    assert!(refused > 50 && right > 50, "{refused} refused, {right} right");
    for length in [1, 100, 320, 4096, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).expect("it is written");
        assert_ne!(is_right(&path), Some(false), "{length} bytes");
    }
}

/// Whether the file holds a whole save; none when it is refused.
fn is_right(path: &Path) -> Option<bool> {
    let (snapshots, stand) = Snapshots::open(path, 7).ok()?;
    let Some(stand) = stand else { return Some(aggregate(&snapshots, 1).is_ok_and(|found| found.is_none())) };
    let there = |number: u128| aggregate(&snapshots, number).expect("it reads") == Some(folded(number));
    Some([50, 100].contains(&stand.next) && (0..stand.next as u128).all(there))
}

#[derive(Clone, Debug)]
enum Step {
    Save { aggregates: Vec<u8>, commands: Vec<u8> },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let few = || proptest::collection::vec(any::<u8>(), 0..12);
    prop_oneof![9 => (few(), few()).prop_map(|(aggregates, commands)| Step::Save { aggregates, commands }), 1 => Just(Step::Reopen)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// It answers as a map does, through all merges; of the command ids it has at least the newest, and not many more.
    #[test]
    fn a_snapshot_is_a_map(steps in proptest::collection::vec(step(), 50..150)) {
        const MOST: usize = 60;
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.redb");
        let (mut snapshots, _) = open(&path).expect("it opens");
        let (mut aggregates, mut commands, mut next) = (BTreeMap::new(), BTreeMap::new(), 0);
        for step in steps {
            let Step::Save { aggregates: changed, commands: added } = step else {
                drop(snapshots);
                snapshots = open(&path).expect("it opens").0;
                continue;
            };
            let mut save = save(0..0, MOST);
            for number in BTreeSet::from_iter(changed) {
                next += 1;
                aggregates.insert(number, folded(next));
                Arc::make_mut(&mut save.aggregates).insert(Uuid::from_u128(number.into()), Box::new(folded(next)));
            }
            for number in BTreeSet::from_iter(added) {
                next += 1;
                commands.insert(number, remembered(next as i64));
                save.commands.push((Uuid::from_u128(number.into()), remembered(next as i64)));
            }
            snapshots.save(save).expect("it saves");
        }
        let mut newest: Vec<i64> = commands.values().map(|command| command.offset).collect();
        newest.sort_unstable();
        // An id that was used again counts twice until its first use is forgotten.
        let surely = newest.len().saturating_sub(MOST / 2);
        let surely = newest.get(surely).copied().unwrap_or(0);
        let mut known = 0;
        for number in 0..=u8::MAX {
            prop_assert_eq!(&aggregate(&snapshots, number.into()).expect("it reads"), &aggregates.get(&number).cloned());
            let found = snapshots.command(Uuid::from_u128(number.into())).expect("it reads");
            known += usize::from(found.is_some());
            let wanted = commands.get(&number).copied();
            prop_assert!(found == wanted || found.is_none() && wanted.is_some_and(|wanted| wanted.offset < surely), "{number}: {found:?}, {wanted:?}");
        }
        prop_assert!(known <= MOST + 24, "{known}");
    }
}
