//! The rules of the house, so that they cannot rot: who may know whom, and what never stands where.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a room of the house").to_owned()
}

/// What a crate may depend on of the workspace: the arrows of the house.
const MAY_KNOW: [(&str, &[&str]); 12] = [
    ("domain", &[]),
    ("schemas", &["domain"]),
    ("event-store", &["domain", "schemas"]),
    ("command-api", &["domain", "schemas", "event-store"]),
    ("projections", &["domain", "schemas", "event-store"]),
    // Projections' store keeps the reactors' checkpoints.
    ("consumers", &["domain", "schemas", "event-store", "projections"]),
    ("invoices", &["domain"]),
    ("embedded-broker", &[]),
    ("daybook", &["domain", "schemas", "event-store", "command-api", "projections", "consumers", "invoices"]),
    ("fuzz-targets", &["domain", "schemas", "event-store", "command-api", "invoices"]),
    // It measures them; nobody knows it.
    ("hot-paths", &["domain", "schemas", "event-store", "projections"]),
    ("bench", &["domain", "schemas", "event-store", "command-api", "projections"]),
];

fn workspace() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().expect("cargo metadata")
}

fn dependencies(of: &str) -> BTreeSet<String> {
    let metadata = workspace();
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
            let text = std::fs::read_to_string(&path).expect("it is text");
            // Without the place of the checkout, whose name must not make a rule pass.
            found.push((path.strip_prefix(root()).expect("it stands in the house").to_owned(), text));
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

const ROOMS: [&str; 12] = [
    "domain/src",
    "schemas/src",
    "event-store/src",
    "command-api/src",
    "projections/src",
    "consumers/src",
    "invoices/src",
    "embedded-broker/src",
    "daybook/src",
    "fuzz-targets/src",
    "benchmark/src",
    "hot-paths/src",
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
fn every_crate_has_its_place() {
    let placed: BTreeSet<String> = MAY_KNOW.iter().map(|(name, _)| *name).chain(["system-tests"]).map(str::to_owned).collect();
    let members: BTreeSet<String> = workspace().packages.iter().map(|package| package.name.to_string()).collect();
    assert_eq!(members, placed, "a crate without a place is held to no rule");
}

#[test]
fn only_the_event_store_names_rdkafka() {
    let knows = |package: &Package| package.dependencies.iter().any(|dependency| dependency.name == "rdkafka");
    let metadata = workspace();
    let named = metadata.packages.iter().filter(|package| knows(package)).map(|package| package.name.to_string());
    // `bench` measures the engine against the bare client, which it must name.
    let others: Vec<String> = named.filter(|name| !["event-store", "system-tests", "bench"].contains(&name.as_str())).collect();
    assert!(others.is_empty(), "{others:?} depend on rdkafka");
    let rooms = ROOMS.iter().map(|room| (*room).to_owned()).chain(test_rooms());
    for room in rooms.filter(|room| !room.starts_with("event-store/") && !["tests/tests", "benchmark/src"].contains(&room.as_str())) {
        assert_eq!(offending(&room, |_, line| line.contains("rdkafka")), Vec::<String>::new());
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
    for room in ["domain/src", "projections/src/views", "consumers/src/reactors"] {
        // The reactors' registry matches names of services, of which there is no enum.
        let caught = offending(room, |path, line| catches_all(line) && !path.ends_with("reactors/mod.rs"));
        assert_eq!(caught, Vec::<String>::new(), "a new event would be passed over in silence");
    }
}

/// Whether a line has a match arm that takes anything: `_ =>`, also as an alternative or under a condition.
fn catches_all(line: &str) -> bool {
    let arm = line.split("=>").next().filter(|arm| arm.len() < line.len());
    arm.is_some_and(|arm| arm.split(" if ").next().unwrap_or_default().split(['|', '{', ',']).any(|pattern| pattern.trim() == "_"))
}

#[test]
fn a_catch_all_is_known_by_sight() {
    for arm in ["_ => {}", "    _ if late => {}", "OrderEvent::Placed(_) | _ => {}", "match event { _ => {} }"] {
        assert!(catches_all(arm), "{arm}");
    }
    for other in ["OrderEvent::Placed(_) => {}", "Some(_) => 1,", "let _ = 1;", "OrderEvent::Placed(_) | OrderEvent::Expired(_) => {}"] {
        assert!(!catches_all(other), "{other}");
    }
}

#[test]
fn a_service_reads_its_own_database_only() {
    let opened =
        offending("projections/src", |path, line| line.contains("Database::open(") && !path.starts_with("projections/src/database"));
    assert_eq!(opened, Vec::<String>::new(), "views are given their database, they never open one");
    for room in ["command-api/src", "event-store/src", "consumers/src", "domain/src"] {
        assert_eq!(offending(room, |_, line| line.contains("sqlx")), Vec::<String>::new(), "SQL belongs to projections");
    }
}

/// Where the crates keep their tests.
fn test_rooms() -> Vec<String> {
    let rooms = ROOMS.iter().map(|room| room.replace("/src", "/tests")).chain(["tests/tests".to_owned()]);
    rooms.filter(|room| root().join(room).is_dir()).collect()
}

fn longer_than(limit: usize, room: &str) -> Vec<String> {
    let lengths = sources(room).into_iter().map(|(path, text)| (path, text.lines().count()));
    lengths
        .filter(|(_, lines)| *lines > limit)
        .map(|(path, lines)| format!("{}:{lines}: more than {limit} lines", path.display()))
        .collect()
}

#[test]
fn no_file_is_longer_than_a_sitting() {
    let code = ROOMS.iter().flat_map(|room| longer_than(400, room));
    let tests = test_rooms();
    let long: Vec<String> = code.chain(tests.iter().flat_map(|room| longer_than(600, room))).collect();
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn nothing_is_left_open() {
    let marks = [concat!("to", "do!("), concat!("unimplemen", "ted!("), concat!("#[ig", "nore"), concat!("db", "g!(")];
    for room in ROOMS.iter().map(|room| (*room).to_owned()).chain(test_rooms()) {
        assert_eq!(offending(&room, |_, line| marks.iter().any(|mark| line.contains(mark))), Vec::<String>::new());
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
