//! The file by itself.

use super::*;
use crate::{WriterConfig, account::Account, remembered::CommandMemory};

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
    let aggregates = numbers.clone().map(|number| (Uuid::from_u128(number), Arc::new(folded(number)))).collect();
    let commands = numbers.clone().map(|number| (Uuid::from_u128(number), remembered(number as i64))).collect();
    Save { stand: stand(numbers.end as i64), aggregates, commands, bounds: CommandMemory::new(&config).bounds() }
}

fn aggregate(snapshots: &Snapshots, number: u128) -> Result<Option<Folded<Account>>, SnapshotError> {
    snapshots.aggregate(Uuid::from_u128(number))
}

#[test]
fn what_is_saved_is_there_when_it_is_opened_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.redb");
    let (snapshots, nothing) = Snapshots::open(&path, 7).expect("it opens");
    assert!(nothing.is_none() && aggregate(&snapshots, 1).expect("it reads").is_none());
    snapshots.save(save(0..100, 1_000)).expect("it saves");
    drop(snapshots);
    let (snapshots, found) = Snapshots::open(&path, 7).expect("it opens");
    assert_eq!(found, Some(stand(100)));
    assert_eq!(aggregate(&snapshots, 42).expect("it reads"), Some(folded(42)));
    assert_eq!(snapshots.command(Uuid::from_u128(42)).expect("it reads"), Some(remembered(42)));
    assert!(aggregate(&snapshots, 100).expect("it reads").is_none());
}

#[test]
fn the_oldest_commands_are_forgotten_here_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let (snapshots, _) = Snapshots::open(&directory.path().join("a.redb"), 7).expect("it opens");
    snapshots.save(save(0..100, 10)).expect("it saves");
    let known = (0..100).filter(|number| snapshots.command(Uuid::from_u128(*number)).expect("it reads").is_some());
    assert_eq!(known.collect::<Vec<_>>(), (90..100).collect::<Vec<_>>());
}

#[test]
fn a_file_in_use_is_locked() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.redb");
    let _open = Snapshots::open(&path, 7).expect("it opens");
    assert!(matches!(Snapshots::open(&path, 7), Err(SnapshotError::Locked)));
}

#[test]
fn a_value_that_stands_in_the_place_of_another_is_not_taken_for_it() {
    let bytes = sealed(1, &folded(1)).expect("it has a form");
    assert_eq!(unsealed::<Folded<Account>>(1, &bytes).expect("it is whole"), folded(1));
    assert!(matches!(unsealed::<Folded<Account>>(2, &bytes), Err(SnapshotError::Rotten)));
    for index in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[index / 8] ^= 1 << (index % 8);
        assert!(matches!(unsealed::<Folded<Account>>(1, &flipped), Err(SnapshotError::Rotten)), "bit {index}");
    }
}

/// Whatever becomes of a byte, and whatever is cut off: the file is refused, or it is an earlier or the last whole save.
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

/// None when it is refused.
fn is_right(path: &Path) -> Option<bool> {
    let (snapshots, stand) = Snapshots::open(path, 7).ok()?;
    let Some(stand) = stand else { return Some(aggregate(&snapshots, 1).is_ok_and(|found| found.is_none())) };
    let there = |number: u128| aggregate(&snapshots, number).expect("it reads") == Some(folded(number));
    Some([50, 100].contains(&stand.next) && (0..stand.next as u128).all(there))
}
