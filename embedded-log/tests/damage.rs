//! A disk that turns bytes over: nothing is made up, whichever byte it is. A test binary of its own, since a process that is started holds the
//! locks of others for a moment.

mod common;

use common::{
    disk::{Disk, on, try_on, wait, with_topic},
    one, partition, read,
};
use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus, Stdio},
};

/// Tells a process of its own which part of the bytes to turn over, and the file that holds them.
const DAMAGE: &str = "EMBEDDED_LOG_TEST_DAMAGE";
/// So many processes share the bytes.
const PARTS: usize = 20;
/// How a process ends that aborts.
const SIGABRT: i32 = 6;

/// Where its own pages are damaged, the database may abort the process: it panics while it cleans up after a panic. So processes of their own
/// try, and what counts is that none of them reads a record that was not appended.
#[test]
fn no_damaged_byte_makes_up_a_record() {
    if let Ok(told) = std::env::var(DAMAGE) {
        let (part, file) = told.split_once(' ').expect("two words");
        return turn_over(part.parse().expect("a number"), &std::fs::read(file).expect("bytes"));
    }
    let directory = tempfile::tempdir().expect("a directory");
    let disk = with_topic(directory.path());
    let store = on(&disk, directory.path());
    for number in 0..40 {
        wait(store.append(partition(&store, "orders").key(), one(&number.to_string()))).expect("appended");
    }
    drop(store);
    let file = directory.path().join("bytes");
    std::fs::write(&file, disk.bytes()).expect("a file");
    let ends: Vec<ExitStatus> = (0..PARTS)
        .map(|part| {
            let mut tried = Command::new(std::env::current_exe().expect("this program"));
            tried.args(["--exact", "no_damaged_byte_makes_up_a_record"]).env(DAMAGE, format!("{part} {}", file.display()));
            tried.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it runs")
        })
        .collect();
    assert!(ends.iter().all(|end| end.success() || end.signal() == Some(SIGABRT)), "{ends:?}");
    assert!(ends.iter().filter(|end| end.success()).count() > PARTS / 2, "{ends:?}");
}

/// Turns over some of the bytes, one at a time, and reads, appends and closes each time.
fn turn_over(part: usize, bytes: &[u8]) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = on(&Disk::holding(bytes.to_vec()), directory.path());
    let sent = read(&store, &partition(&store, "orders"), 0).expect("it is whole");
    drop(store);
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let step = (used.len() / 400).max(1);
    let (mut opened, mut whole) = (0, 0);
    for at in used.into_iter().step_by(step).skip(part).step_by(PARTS) {
        let damaged = Disk::holding(bytes.to_vec());
        damaged.flip(at);
        let Ok(store) = try_on(&damaged, directory.path()) else { continue };
        opened += 1;
        let Some(orders) = store.catalog().partition("orders", 0).cloned() else { continue };
        for from in 0..sent.len() as i64 {
            for (offset, value) in read(&store, &orders, from).unwrap_or_default() {
                assert_eq!(sent[offset as usize], (offset, value), "byte {at} was turned over");
            }
        }
        whole += usize::from(read(&store, &orders, 0).is_ok_and(|found| found == sent));
        if let Ok(appended) = wait(store.append(orders.key(), one("next"))) {
            assert_eq!(appended.base, sent.len() as i64, "byte {at} was turned over");
        }
    }
    assert!(opened > 2 && whole > 2, "{opened} were opened, {whole} of them whole");
}
