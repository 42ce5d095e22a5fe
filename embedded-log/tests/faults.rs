//! Disks that fail: nothing that was acknowledged is lost, and nothing is made up.

mod common;

use common::{
    disk::{Disk, on, try_on, wait, with_topic},
    one, partition, read,
};
use embedded_log::{AppendError, OpenError, ReadError, StorageFailed, Store};

/// Numbers from a seed, for which writes reach the disk.
fn coin(seed: u64) -> impl FnMut() -> bool {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.is_multiple_of(3)
    }
}

/// Appends rounds of batches until the power fails, or they are all appended; returns how many were acknowledged.
fn append_until_power_fails(store: &Store) -> Vec<(i64, String)> {
    let mut acknowledged = Vec::new();
    let Some(orders) = store.catalog().partition("orders", 0).cloned() else { return acknowledged };
    for round in 0..6 {
        let names: Vec<String> = (0..=round).map(|index| format!("{round}/{index}")).collect();
        let appends: Vec<_> = names.iter().map(|name| store.append(orders.key(), one(name))).collect();
        for (name, append) in names.into_iter().zip(appends) {
            match wait(append) {
                Ok(appended) => acknowledged.push((appended.base, name)),
                Err(_) => return acknowledged,
            }
        }
    }
    acknowledged
}

#[test]
fn a_loss_of_power_at_any_moment_loses_nothing_acknowledged_and_invents_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let base = with_topic(directory.path());
    let whole = Disk::holding(base.bytes());
    let store = on(&whole, directory.path());
    let sent = append_until_power_fails(&store);
    drop(store);
    assert_eq!(sent.len(), 21);
    for moment in 0..whole.done() {
        let disk = Disk::holding(base.bytes());
        disk.fail_after(moment);
        let acknowledged = match try_on(&disk, directory.path()) {
            Ok(store) => append_until_power_fails(&store),
            Err(_) => Vec::new(),
        };
        for seed in 0..3 {
            let after = disk.after_power_loss(coin(seed * 1_000 + moment as u64));
            let store = on(&after, directory.path());
            let found = read(&store, &partition(&store, "orders"), 0).expect("it can be read");
            assert!(found.len() >= acknowledged.len(), "moment {moment}: {acknowledged:?} were acknowledged, {found:?} are there");
            assert_eq!(found, sent[..found.len()], "moment {moment}: the log is a part of what was sent, in its order");
            let next = wait(store.append(partition(&store, "orders").key(), one("next"))).expect("appended");
            assert_eq!(next.base, found.len() as i64);
        }
    }
}

#[test]
fn a_full_disk_refuses_and_takes_again_when_there_is_room() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = with_topic(directory.path());
    let store = on(&disk, directory.path());
    let orders = partition(&store, "orders");
    let large = "x".repeat(50_000);
    wait(store.append(orders.key(), one("before"))).expect("appended");
    disk.set_capacity(Some(disk.bytes().len() + 100_000));
    let mut taken = 1;
    let refused = loop {
        match wait(store.append(orders.key(), one(&large))) {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, AppendError::Storage(StorageFailed));
    // While it is full: more is refused, what is there is read, nothing refused is seen.
    assert!(wait(store.append(orders.key(), one(&large))).is_err());
    let found = read(&store, &orders, 0).expect("it can be read");
    assert_eq!((found.len(), orders.end()), (taken, taken as i64));
    // There is room again.
    disk.set_capacity(None);
    assert_eq!(wait(store.append(orders.key(), one("after"))).expect("appended").base, taken as i64);
    assert_eq!(read(&store, &orders, taken as i64), Ok(vec![(taken as i64, "after".to_owned())]));
    drop(store);
    let store = on(&Disk::holding(disk.bytes()), directory.path());
    assert_eq!(partition(&store, "orders").end(), taken as i64 + 1);
}

#[test]
fn a_disk_that_takes_no_write_at_all_comes_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = with_topic(directory.path());
    let store = on(&disk, directory.path());
    let orders = partition(&store, "orders");
    wait(store.append(orders.key(), one("before"))).expect("appended");
    disk.set_capacity(Some(0));
    for _ in 0..3 {
        assert!(wait(store.append(orders.key(), one("refused"))).is_err());
        // Whether it can be read depends on what the database must write to open the file; what is read is right.
        match read(&store, &orders, 0) {
            Ok(found) => assert_eq!(found, [(0, "before".to_owned())]),
            Err(refused) => assert_eq!(refused, ReadError::Storage(StorageFailed)),
        }
    }
    disk.set_capacity(None);
    assert_eq!(read(&store, &orders, 0), Ok(vec![(0, "before".to_owned())]));
    assert_eq!(wait(store.append(orders.key(), one("after"))).expect("appended").base, 1);
}

#[test]
fn a_batch_that_was_acknowledged_before_a_failure_is_a_duplicate_after_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = with_topic(directory.path());
    let store = on(&disk, directory.path());
    let orders = partition(&store, "orders");
    let producer = wait(store.new_producer()).expect("an id");
    let sent = |sequence| common::batch(&[b"a"], Some((producer, 0, sequence)));
    wait(store.append(orders.key(), sent(0))).expect("appended");
    disk.set_capacity(Some(0));
    assert!(wait(store.append(orders.key(), sent(1))).is_err());
    disk.set_capacity(None);
    let again = wait(store.append(orders.key(), sent(0))).expect("it is there");
    assert_eq!((again.base, again.is_duplicate), (0, true));
    assert_eq!(wait(store.append(orders.key(), sent(1))).expect("appended").base, 1);
}

/// What a power loss at this moment leaves, of all that was not synced nothing.
fn after_power_loss(disk: &Disk) -> Vec<(i64, String)> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = on(&disk.after_power_loss(|| false), directory.path());
    read(&store, &partition(&store, "orders"), 0).expect("it can be read")
}

#[test]
fn what_a_failed_sync_left_is_neither_shown_nor_acknowledged_before_a_sync_has_succeeded() {
    let mut refused = 0;
    for syncs in 0..4 {
        let directory = tempfile::tempdir().expect("a directory");
        let disk = with_topic(directory.path());
        let store = on(&disk, directory.path());
        let orders = partition(&store, "orders");
        let producer = wait(store.new_producer()).expect("an id");
        let sent = |sequence| common::batch(&[b"a"], Some((producer, 0, sequence)));
        wait(store.append(orders.key(), sent(0))).expect("appended");
        disk.fail_a_sync_after(syncs);
        refused += usize::from(wait(store.append(orders.key(), sent(1))).is_err());
        // A reader has the database opened again, which finds the batch or does not.
        let seen = read(&store, &orders, 0).map_or(0, |found| found.len());
        assert!(after_power_loss(&disk).len() >= seen.max(orders.end() as usize), "sync {syncs}: more was shown than is on the disk");
        let again = wait(store.append(orders.key(), sent(1))).expect("appended, or there");
        assert_eq!((again.base, after_power_loss(&disk).len()), (1, 2), "sync {syncs}: it was acknowledged and is not on the disk");
    }
    assert!(refused >= 2, "a transaction has two phases: {refused}");
}

#[test]
fn a_damaged_batch_is_named_and_the_others_are_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = with_topic(directory.path());
    let store = on(&disk, directory.path());
    let orders = partition(&store, "orders");
    for value in ["first", "second", "third"] {
        wait(store.append(orders.key(), one(&value.repeat(1_000)))).expect("appended");
    }
    drop(store);
    let bytes = disk.bytes();
    // Old copies of a page may hold it, too; the first append after opening does not reuse them.
    let needle = "second".repeat(1_000).into_bytes();
    let places: Vec<usize> = (0..bytes.len() - needle.len()).filter(|at| bytes[*at..].starts_with(&needle)).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| disk.flip(at + 3_000));

    let store = on(&disk, directory.path());
    let orders = partition(&store, "orders");
    let first = read(&store, &orders, 0).expect("the first batch is sound");
    assert_eq!(first.len(), 1, "what stands before the damage is read");
    assert_eq!(read(&store, &orders, 1), Err(ReadError::Damaged(1)));
    assert_eq!(read(&store, &orders, 2).expect("the third batch is sound").len(), 1);
    assert_eq!(wait(store.append(orders.key(), one("fourth"))).expect("appended").base, 3);
}

#[test]
fn a_partition_whose_end_was_moved_is_not_opened() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = with_topic(directory.path());
    let store = on(&disk, directory.path());
    let sent = append_until_power_fails(&store);
    drop(store);
    // The end and the newest time, as they stand side by side; an append behind a wrong end would write over a batch.
    let row = [(sent.len() as i64).to_le_bytes(), 1_000_i64.to_le_bytes()].concat();
    let bytes = disk.bytes();
    let places: Vec<usize> = (0..bytes.len() - row.len()).filter(|at| bytes[*at..].starts_with(&row)).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| disk.flip(*at));
    let refused = try_on(&disk, directory.path()).expect_err("it is damaged");
    assert!(matches!(&refused, OpenError::Damaged { topic, partition: 0, .. } if topic == "orders"), "{refused}");
}
