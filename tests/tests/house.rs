//! The rules of the house, so that they cannot rot: who may know whom, and what never stands where.

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a crate may depend on of the workspace: the arrows of the house.
const MAY_KNOW: [(&str, &[&str]); 8] = [
    ("domain", &[]),
    ("schemas", &["domain"]),
    ("event-store", &["domain", "schemas"]),
    ("command-api", &["domain", "schemas", "event-store"]),
    ("projections", &["domain", "schemas", "event-store"]),
    ("consumers", &["domain", "schemas", "event-store"]),
    ("embedded-broker", &[]),
    ("daybook", &["domain", "schemas", "event-store", "command-api", "projections", "consumers"]),
];

fn dependencies(of: &str) -> BTreeSet<String> {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().expect("cargo metadata");
    let package = metadata.packages.iter().find(|package| package.name == of).unwrap_or_else(|| panic!("there is no {of}"));
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == DependencyKind::Normal)
        .map(|dependency| dependency.name.to_string())
        .collect()
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let (mut open, mut found) = (vec![root().join(folder)], Vec::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(path.read_dir().expect("it can be listed").map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push((path.clone(), std::fs::read_to_string(&path).expect("it is text")));
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources: the rule would hold of nothing");
    found
}

/// The lines of code (no comments) of a folder that break a rule, with their places.
fn offending(folder: &str, breaks: impl Fn(&Path, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources(folder) {
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.split("//").next().unwrap_or_default();
            if breaks(&path, code) {
                found.push(format!("{}:{number}: {}", path.display(), code.trim()));
            }
        }
    }
    found
}

const ROOMS: [&str; 8] = [
    "domain/src",
    "schemas/src",
    "event-store/src",
    "command-api/src",
    "projections/src",
    "consumers/src",
    "embedded-broker/src",
    "daybook/src",
];

#[test]
fn dependencies_point_one_way() {
    let rooms: Vec<&str> = MAY_KNOW.iter().map(|(name, _)| *name).collect();
    for (name, may) in MAY_KNOW {
        let knows: Vec<String> =
            dependencies(name).into_iter().filter(|known| rooms.contains(&known.as_str()) && !may.contains(&known.as_str())).collect();
        assert!(knows.is_empty(), "{name} must not know {knows:?}");
    }
}

#[test]
fn only_the_event_store_names_rdkafka() {
    for (name, _) in MAY_KNOW.into_iter().filter(|(name, _)| *name != "event-store") {
        assert!(!dependencies(name).contains("rdkafka"), "{name} depends on rdkafka");
    }
    for room in ROOMS.into_iter().filter(|room| *room != "event-store/src") {
        assert_eq!(offending(room, |_, line| line.contains("rdkafka")), Vec::<String>::new());
    }
}

#[test]
fn the_domain_is_pure() {
    let allowed = ["serde", "thiserror", "uuid"];
    let others: Vec<String> = dependencies("domain").into_iter().filter(|name| !allowed.contains(&name.as_str())).collect();
    assert!(others.is_empty(), "domain depends on {others:?}");
    let impure = ["tokio", "sqlx", "SystemTime", "Instant::", "rand::", "std::fs", "std::net", "async fn", "println!", "now_v7", "new_v4"];
    assert_eq!(offending("domain/src", |_, line| impure.iter().any(|word| line.contains(word))), Vec::<String>::new());
}

#[test]
fn the_engine_knows_nothing_of_commerce() {
    let commerce = [
        "OrderEvent",
        "ProductEvent",
        "PaymentEvent",
        "UserEvent",
        "domain::order",
        "domain::product",
        "domain::payment",
        "domain::user",
        "\"orders\"",
    ];
    assert_eq!(offending("event-store/src", |_, line| commerce.iter().any(|word| line.contains(word))), Vec::<String>::new());
}

#[test]
fn every_event_is_decided_about_by_name() {
    for room in ["projections/src/views", "consumers/src/reactors"] {
        let caught = offending(room, |path, line| line.trim_start().starts_with("_ =>") && !path.ends_with("reactors/mod.rs"));
        assert_eq!(caught, Vec::<String>::new(), "a new event would be passed over in silence");
    }
}

#[test]
fn a_service_reads_its_own_database_only() {
    let opened = offending("projections/src", |_, line| line.contains("Database::open("));
    let elsewhere: Vec<String> = opened.into_iter().filter(|line| !line.contains("/database/") && !line.contains("test")).collect();
    assert_eq!(elsewhere, Vec::<String>::new(), "views are given their database, they never open one");
    for room in ["command-api/src", "event-store/src", "consumers/src", "domain/src"] {
        assert_eq!(offending(room, |_, line| line.contains("sqlx")), Vec::<String>::new(), "SQL belongs to projections");
    }
}

#[test]
fn no_file_is_longer_than_a_sitting() {
    let long: Vec<String> = ROOMS
        .iter()
        .flat_map(|room| sources(room))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > 400)
        .map(|(path, lines)| format!("{}: {lines}", path.display()))
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn nothing_is_left_open() {
    let marks = [concat!("to", "do!("), concat!("unimplemen", "ted!("), concat!("#[ig", "nore"), concat!("db", "g!(")];
    for room in ROOMS.iter().copied().chain(["event-store/tests", "tests/tests", "schemas/tests"]) {
        assert_eq!(offending(room, |_, line| marks.iter().any(|mark| line.contains(mark))), Vec::<String>::new());
    }
}

#[test]
fn nothing_is_called_by_a_name_that_says_nothing() {
    let names = ["Manager", "Helper", "Util"];
    for room in ROOMS {
        let named = |line: &str| {
            ["struct ", "enum ", "trait ", "mod "].iter().any(|kind| line.contains(kind)) && names.iter().any(|name| line.contains(name))
        };
        assert_eq!(offending(room, |_, line| named(line)), Vec::<String>::new());
    }
}
