//! Tests of the rules of the house: which crate may depend on which, and what no file may hold.

use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand, Package};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// A crate, and what it may depend on of the workspace, be it to run, to be built or to be tested.
type Arrows = (&'static str, &'static [&'static str]);

/// The engine: it knows nothing of what is built on it. Views and reactors do not know each other either; `system` brings them together.
const ENGINE: [Arrows; 9] = [
    ("access", &[]),
    ("embedded-log", &[]),
    ("event-sourcing", &[]),
    ("codec", &["event-sourcing"]),
    ("event-store", &["embedded-log", "event-sourcing", "codec"]),
    ("projections", &["access", "event-sourcing", "codec", "event-store"]),
    ("consumers", &["event-sourcing", "codec", "event-store"]),
    ("command-api", &["access", "event-sourcing", "codec", "event-store"]),
    ("system", &["access", "embedded-log", "event-sourcing", "codec", "event-store", "projections", "consumers", "command-api"]),
];

/// What is built on the engine: the shop with its binary, and a second domain, which knows of the shop as little as the engine does.
const TENANTS: [Arrows; 6] = [
    ("domain", &["event-sourcing"]),
    ("schemas", &["event-sourcing", "codec", "domain"]),
    ("invoices", &["domain"]),
    (
        "shop",
        &[
            "access",
            "event-sourcing",
            "codec",
            "event-store",
            "projections",
            "consumers",
            "command-api",
            "system",
            "domain",
            "schemas",
            "invoices",
        ],
    ),
    ("daybook", &["system", "shop"]),
    ("lending-library", &["event-sourcing", "codec", "event-store", "projections", "consumers", "command-api", "system", "system-tests"]),
];

/// The crates that test and measure both.
const BESIDE: [Arrows; 4] = [
    ("system-tests", &["access", "embedded-log", "event-store", "shop"]),
    ("fuzz-targets", &["embedded-log", "event-sourcing", "codec", "event-store", "command-api", "domain", "schemas", "invoices", "shop"]),
    ("hot-paths", &["event-sourcing", "codec", "event-store", "projections", "domain", "schemas", "shop"]),
    ("bench", &["event-sourcing", "codec", "event-store", "projections", "command-api", "domain", "schemas", "shop"]),
];

static WORKSPACE: LazyLock<Metadata> =
    LazyLock::new(|| MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().expect("cargo metadata"));

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a room of the house").to_owned()
}

fn package(name: &str) -> &'static Package {
    WORKSPACE.packages.iter().find(|package| package.name == name).unwrap_or_else(|| panic!("there is no {name}"))
}

/// The crates that a crate depends on, where the kind of dependency is one of those that are asked for.
fn dependencies(of: &str, wanted: impl Fn(&Dependency) -> bool) -> BTreeSet<&'static str> {
    package(of).dependencies.iter().filter(|dependency| wanted(dependency)).map(|dependency| dependency.name.as_str()).collect()
}

/// The crates of the workspace that a crate depends on, be it to run, to be built or to be tested.
fn known(of: &str) -> BTreeSet<&'static str> {
    dependencies(of, |dependency| dependency.path.is_some())
}

/// The crates that a crate is built of in production.
fn built_of(name: &str) -> BTreeSet<&'static str> {
    dependencies(name, |dependency| dependency.kind == DependencyKind::Normal)
}

/// The crates that depend on one of these, to whatever end.
fn dependants(on: &[&str]) -> BTreeSet<&'static str> {
    let depends = |package: &&Package| package.dependencies.iter().any(|dependency| on.contains(&dependency.name.as_str()));
    WORKSPACE.packages.iter().filter(depends).map(|package| package.name.as_str()).collect()
}

/// The folders of a kind that the crates have: `shop/src`.
fn folders(kinds: &[&str]) -> Vec<String> {
    let home = |package: &Package| {
        let folder = package.manifest_path.parent().expect("a manifest stands in a folder");
        folder.as_std_path().strip_prefix(root()).expect("it stands in the house").to_owned()
    };
    let all = WORKSPACE.packages.iter().map(home).flat_map(|home| kinds.iter().map(move |kind| home.join(kind)));
    let is_in_use = |folder: &PathBuf| root().join(folder).read_dir().is_ok_and(|mut entries| entries.next().is_some());
    all.filter(is_in_use).map(|folder| folder.display().to_string()).collect()
}

/// The folders of the crates' code.
fn code() -> Vec<String> {
    folders(&["src"])
}

/// The folders of the crates' tests.
fn tests() -> Vec<String> {
    folders(&["tests", "examples", "benches"])
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let (mut open, mut found) = (vec![root().join(folder)], Vec::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(path.read_dir().expect("it can be listed").map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).expect("it is text");
            // Relative to the checkout, whose own path must not make a rule pass.
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

const NOTHING: Vec<String> = Vec::new();

#[test]
fn every_crate_has_its_place() {
    let placed: BTreeSet<&str> = ENGINE.iter().chain(&TENANTS).chain(&BESIDE).map(|(name, _)| *name).collect();
    let members: BTreeSet<&str> = WORKSPACE.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(members, placed, "a crate without a place is held to no rule");
}

#[test]
fn the_engine_depends_on_nothing_that_is_built_on_it() {
    assert!(known("shop").contains("domain"), "what is known is found");
    let engine: BTreeSet<&str> = ENGINE.iter().map(|(name, _)| *name).collect();
    for name in &engine {
        let others: Vec<_> = known(name).difference(&engine).copied().collect();
        assert!(others.is_empty(), "{name} is the engine's, and depends on {others:?}");
    }
}

#[test]
fn dependencies_point_one_way() {
    for (name, may) in ENGINE.iter().chain(&TENANTS).chain(&BESIDE) {
        let others: Vec<_> = known(name).into_iter().filter(|known| !may.contains(known)).collect();
        assert!(others.is_empty(), "{name} must not know {others:?}");
    }
}

#[test]
fn views_and_reactors_do_not_know_each_other() {
    assert!(!known("projections").contains("consumers") && !known("consumers").contains("projections"));
}

#[test]
fn what_decides_is_built_of_little() {
    let may = |name, allowed: &[&str]| {
        let others: Vec<_> = built_of(name).into_iter().filter(|known| !allowed.contains(known)).collect();
        assert!(others.is_empty(), "{name} depends on {others:?}");
    };
    may("event-sourcing", &["serde", "serde_json", "thiserror", "uuid"]);
    // Tables of Unicode and of domain names are rules as well: pure functions of a text.
    may(
        "domain",
        &[
            "caseless",
            "event-sourcing",
            "icu_normalizer",
            "icu_properties",
            "idna",
            "iso_currency",
            "serde",
            "thiserror",
            "unicode-normalization",
            "uuid",
        ],
    );
}

#[test]
fn what_decides_is_pure() {
    let impure = ["tokio", "sqlx", "SystemTime", "Instant::", "rand::", "std::fs", "std::net", "async fn", "println!", "now_v7", "new_v4"];
    for folder in ["event-sourcing/src", "domain/src"] {
        assert_eq!(offending(folder, |_, line| impure.iter().any(|word| line.contains(word))), NOTHING);
    }
}

#[test]
fn only_the_event_store_names_rdkafka() {
    // The tests and the benchmark measure the engine against the bare client, which they must name; the embedded log's tests are its clients.
    let may = BTreeSet::from(["event-store", "embedded-log", "system-tests", "bench"]);
    let others: Vec<_> = dependants(&["rdkafka"]).difference(&may).copied().collect();
    assert!(others.is_empty(), "{others:?} depend on rdkafka");
    assert!(!built_of("embedded-log").contains("rdkafka"), "the log serves clients, it is none");
    let free = ["event-store/", "embedded-log/tests", "embedded-log/examples", "tests/tests", "tests/benchmark/"];
    for folder in code().into_iter().chain(tests()).filter(|folder| !free.iter().any(|start| folder.starts_with(start))) {
        assert_eq!(offending(&folder, |_, line| line.contains("rdkafka")), NOTHING);
    }
}

#[test]
fn only_projections_know_sql() {
    let may = BTreeSet::from(["projections", "bench"]);
    let others: Vec<_> = dependants(&["sqlx", "sqlx-core", "rusqlite", "tokio-postgres"]).difference(&may).copied().collect();
    assert!(others.is_empty(), "{others:?} depend on a database's client");
    let statements = ["SELECT ", "INSERT INTO", "DELETE FROM", "CREATE TABLE", "sqlx::"];
    let own = |path: &Path| path.starts_with("projections/src/database") || path.starts_with("tests/benchmark");
    for folder in code() {
        let found = offending(&folder, |path, line| !own(path) && statements.iter().any(|statement| line.contains(statement)));
        assert_eq!(found, NOTHING, "views know no SQL, and neither does anybody else");
    }
}

#[test]
fn a_service_reads_its_own_database_only() {
    // Databases are opened by the node that runs services, and given to each service's part.
    for folder in ["projections/src", "shop/src", "consumers/src", "command-api/src"] {
        let opened = offending(folder, |path, line| line.contains("Database::open(") && !path.starts_with("projections/src/database"));
        assert_eq!(opened, NOTHING, "views are given their database, they never open one");
    }
}

#[test]
fn all_that_the_engine_shows_is_documented() {
    for (name, _) in ENGINE {
        let library = package(name).manifest_path.with_file_name("src").join("lib.rs");
        let text = std::fs::read_to_string(&library).expect("a library");
        assert!(text.lines().any(|line| line == "#![warn(missing_docs)]"), "{library} does not ask for documentation");
    }
}

/// True where events are folded or reacted to: a service's views and reactors, and all of the domain.
fn decides_about_events(path: &Path) -> bool {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    match parts[..] {
        ["domain", "src", ..] => true,
        ["shop", "src", _service, part, ..] => part.starts_with("views") || part == "reactors.rs",
        _ => false,
    }
}

#[test]
fn every_event_is_decided_about_by_name() {
    for part in ["views", "reactors"] {
        let files = sources("shop/src").into_iter().map(|(path, _)| path);
        let found = files.filter(|path| decides_about_events(path) && path.display().to_string().contains(part)).count();
        assert!(found > 2, "the rule would hold of no {part}");
    }
    for folder in ["domain/src", "shop/src"] {
        let caught = offending(folder, |path, line| decides_about_events(path) && catches_all(line));
        assert_eq!(caught, NOTHING, "a new event would be passed over in silence");
    }
}

/// Whether a line has a match arm that takes anything: `_ =>`, also as an alternative. An arm under a condition is none, since the compiler
/// still asks for each variant.
fn catches_all(line: &str) -> bool {
    let mut parts: Vec<&str> = line.split("=>").collect();
    parts.pop();
    let patterns = parts.into_iter().filter_map(|before| before.rsplit(['{', '}', ',']).next());
    patterns.flat_map(|pattern| pattern.split('|')).any(|pattern| pattern.trim() == "_")
}

#[test]
fn a_catch_all_is_known_by_sight() {
    for arm in [
        "_ => {}",
        "    _ => late(),",
        "OrderEvent::Placed(_) | _ => {}",
        "match event { _ => {} }",
        "match event { Placed(_) => {} _ => {} }",
    ] {
        assert!(catches_all(arm), "{arm}");
    }
    for other in [
        "OrderEvent::Placed(_) => {}",
        "Some(_) => 1,",
        "Line(a, _, b) => 1,",
        "let _ = 1;",
        "_ if late => {}",
        "OrderEvent::Placed(_) | OrderEvent::Expired(_) => {}",
    ] {
        assert!(!catches_all(other), "{other}");
    }
}

fn longer_than(limit: usize, folder: &str) -> Vec<String> {
    let lengths = sources(folder).into_iter().map(|(path, text)| (path, text.lines().count()));
    lengths
        .filter(|(_, lines)| *lines > limit)
        .map(|(path, lines)| format!("{}:{lines}: more than {limit} lines", path.display()))
        .collect()
}

#[test]
fn no_file_is_longer_than_a_sitting() {
    let (code, tests) = (code(), tests());
    let code = code.iter().flat_map(|folder| longer_than(400, folder));
    let long: Vec<String> = code.chain(tests.iter().flat_map(|folder| longer_than(600, folder))).collect();
    assert_eq!(long, NOTHING);
}

#[test]
fn nothing_is_left_open() {
    let marks = [concat!("to", "do!("), concat!("unimplemen", "ted!("), concat!("#[ig", "nore"), concat!("db", "g!(")];
    for folder in code().into_iter().chain(tests()) {
        assert_eq!(offending(&folder, |_, line| marks.iter().any(|mark| line.contains(mark))), NOTHING);
    }
}

#[test]
fn nothing_is_called_by_a_name_that_says_nothing() {
    let names = ["Manager", "Helper", "Util"];
    for folder in code() {
        let named = |line: &str| {
            ["struct ", "enum ", "trait ", "mod "].iter().any(|kind| line.contains(kind)) && names.iter().any(|name| line.contains(name))
        };
        assert_eq!(offending(&folder, |_, line| named(line)), NOTHING);
    }
}
