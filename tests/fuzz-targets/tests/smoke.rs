//! Runs every target for a few seconds, always on the same inputs: the seeds of its corpus, and mutations of them, by flipped bits, cut-off
//! ends and swapped parts.

use fuzz_targets::{TARGETS, Target, frames};
use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
};

/// Mutations of each target's seeds; chosen so that an unoptimised build takes two to three seconds for the slowest.
const MUTATIONS: u64 = 4_000;
/// Fewer, since each meets a log of its own.
const CONNECTIONS: u64 = 1_500;
const LONGEST: usize = 4_096;
/// Bytes that mean something in one of the forms that are read.
const TELLING: &[u8] = b"\0\xff\n\r\"',:/0-9{}[]";

/// The committed seeds by name, which is the order that the mutations depend on.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus")).join(target);
    let found = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names = found.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".seed")).collect();
    names.sort();
    assert!(!names.is_empty(), "{} has no seeds: nothing would be tried", folder.display());
    names.into_iter().map(|name| (name.clone(), std::fs::read(folder.join(name)).expect("it can be read"))).collect()
}

/// SplitMix64: a sequence that is the same on every machine.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let begin = self.below(length + 1);
        begin..begin + self.below((length - begin).min(64) + 1)
    }

    fn mutate(&mut self, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
        for _ in 0..=self.below(4) {
            let (at, part, length) = (self.below(bytes.len()), self.range(other.len()), bytes.len());
            match self.below(7) {
                _ if bytes.is_empty() => bytes.extend(&other[part]),
                0 | 1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes[at] = TELLING[self.below(TELLING.len())],
                3 => bytes.truncate(at),
                4 => drop(bytes.splice(self.range(length), other[part].to_vec())),
                5 => drop(bytes.splice(at..at, other[part].to_vec())),
                _ => drop(bytes.drain(self.range(length))),
            }
        }
        bytes.truncate(LONGEST);
        bytes
    }
}

/// Fails with the input at hand, as a file that `cargo fuzz run` takes. Answers whether the input was taken.
fn try_out((target, check): Target, bytes: &[u8], origin: &str) -> bool {
    catch_unwind(AssertUnwindSafe(|| check(bytes))).unwrap_or_else(|_| {
        let kept = std::env::temp_dir().join(format!("daybook-fuzz-{target}.crash"));
        std::fs::write(&kept, bytes).expect("there is a place for it");
        panic!("{target} is broken by {origin}, kept as {}:\n{}", kept.display(), bytes.escape_ascii());
    })
}

fn smoke(target: &str, mutations: u64) {
    let target = TARGETS.into_iter().find(|(name, _)| *name == target).expect("it is a target");
    let seeds = seeds(target.0);
    for (name, bytes) in &seeds {
        assert_eq!(try_out(target, bytes, name), !name.starts_with("refused-"), "{name} is not what it was");
    }
    let taken = (0..mutations).filter(|number| {
        let mut chance = Chance(*number);
        let (name, bytes) = &seeds[chance.below(seeds.len())];
        let (_, other) = &seeds[chance.below(seeds.len())];
        let mutated = chance.mutate(bytes.clone(), other);
        try_out(target, &mutated, &format!("mutation {number}, of {name}"))
    });
    let taken = taken.count() as u64;
    println!("{}: {mutations} mutations, {taken} taken", target.0);
    assert!((mutations / 50..mutations).contains(&taken), "{taken} of {mutations} mutations were taken: what lies behind is hardly tried");
}

#[test]
fn records_are_read_whatever_they_hold() {
    smoke("records", MUTATIONS);
}

#[test]
fn topics_are_read_alike_whatever_they_hold() {
    smoke("runs", MUTATIONS);
}

#[test]
fn files_are_planned_whatever_they_hold() {
    smoke("import", MUTATIONS);
}

#[test]
fn requests_are_answered_whatever_they_hold() {
    smoke("commands", MUTATIONS);
}

#[test]
fn a_connection_is_served_or_closed_whatever_it_sends() {
    let tried: BTreeSet<i16> = seeds("frames").iter().flat_map(|(_, bytes)| frames::keys(bytes)).collect();
    let offered = frames::offered();
    assert!(offered.len() > 20 && offered.is_subset(&tried), "{offered:?} are offered, {tried:?} are tried");
    smoke("frames", CONNECTIONS);
    // Memory is bounded by what was sent, not by what it announces: a list of billions of elements would ask for more than this at once.
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).expect("a process has memory");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("kilobytes");
    assert!(peak < 4 << 20, "{peak} kB");
}
