//! `docker-compose.yml` runs on machines with Docker. A test without Docker can only compare it with `stack/`.

use serde_norway::Value;
use shop::Settings;
use std::{collections::BTreeMap, path::PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn compose() -> Value {
    let mut value: Value = serde_norway::from_str(&text("docker-compose.yml")).expect("it is YAML");
    value.apply_merge().expect("its merges are sound");
    value
}

fn versions() -> BTreeMap<String, String> {
    let entry = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    text("stack/versions").lines().filter(|line| !line.starts_with('#')).filter_map(entry).collect()
}

fn services(compose: &Value) -> Vec<(&str, &Value)> {
    compose["services"].as_mapping().expect("services").iter().map(|(name, service)| (name.as_str().expect("a name"), service)).collect()
}

#[test]
fn the_versions_are_those_of_the_stack() {
    let (compose, versions) = (compose(), versions());
    let image = |service: &str| compose["services"][service]["image"].as_str().expect("an image").to_owned();
    assert_eq!(image("kafka"), format!("apache/kafka:{}", versions["KAFKA_VERSION"]));
    assert_eq!(image("registry"), format!("apicurio/apicurio-registry:{}", versions["REGISTRY_VERSION"]));
    assert_eq!(image("postgres"), format!("postgres:{}", versions["POSTGRES_VERSION"]));
}

#[test]
fn every_service_is_watched_and_restarted() {
    for (name, service) in services(&compose()) {
        assert!(service["healthcheck"].is_mapping(), "{name} has no health check");
        assert!(service["restart"].is_string(), "{name} has no restart policy");
    }
}

#[test]
fn every_service_of_daybook_has_a_container_and_a_port_of_its_own() {
    let compose = compose();
    let (mut ports, names) = (Vec::new(), shop::system(&Settings::default()).names());
    for service in names.iter().copied() {
        let container = &compose["services"][service];
        assert_eq!(container["command"][2].as_str(), Some(service), "{service}");
        assert_eq!(container["environment"]["DAYBOOK_NODE"].as_str(), Some(format!("{service}:9191").as_str()));
        assert_eq!(container["environment"]["DAYBOOK_KAFKA"].as_str(), Some("kafka:9092"));
        let mail = ["DAYBOOK_MAIL", "DAYBOOK_SMTP_URL"].iter().filter(|name| container["environment"][**name].is_string()).count();
        assert_eq!(mail, 1, "{service} says where mail goes: with brokers nothing else is taken for an answer");
        ports.push(container["ports"][0].as_str().expect("a port").to_owned());
    }
    let distinct: std::collections::BTreeSet<_> = ports.iter().collect();
    assert_eq!(distinct.len(), ports.len());
    let run = services(&compose).into_iter().filter(|(_, container)| container["command"][0] == "run").count();
    assert_eq!(run, names.len(), "nobody runs a service that there is not");
}

#[test]
fn the_topics_that_it_speaks_of_are_those_that_are_made() {
    let said = text("docker-compose.yml");
    for service in shop::system(&Settings::default()).logs() {
        assert!(said.contains(&format!("{service}.events")), "{service}.events");
    }
    assert!(said.contains("daybook.owners") && text("event-store/src/kafka/mod.rs").contains("\"daybook.owners\""));
}

#[test]
fn brokers_are_as_safe_as_those_of_the_stack() {
    let compose = compose();
    let environment = &compose["services"]["kafka"]["environment"];
    let stack = text("stack/kafka");
    for (property, variable) in [
        ("auto.create.topics.enable", "KAFKA_AUTO_CREATE_TOPICS_ENABLE"),
        ("unclean.leader.election.enable", "KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE"),
    ] {
        let value = environment[variable].as_str().unwrap_or_else(|| panic!("{variable} is set"));
        assert!(stack.contains(&format!("{property}={value}")), "{property}");
    }
}

#[test]
fn the_image_is_built_with_the_rust_that_the_workspace_names() {
    let cargo = text("Cargo.toml");
    let version = cargo.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a rust-version").trim_matches('"');
    assert!(text("Dockerfile").starts_with("# ") && text("Dockerfile").contains(&format!("FROM rust:{version}-")));
}
