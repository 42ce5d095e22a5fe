//! What version 1 wrote is still read, byte for byte. `UPDATE_GOLDEN=1` writes samples that are missing, and never others.

mod samples;

use schemas::{AnyEvent, OwnerConfirmed, PartitionClaimed, Schemas, WireEvent, to_json};
use std::{collections::BTreeSet, fs, path::PathBuf};

fn file(name: &str, ending: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.v1.{ending}"))
}

fn encode(event: &AnyEvent, schemas: &Schemas) -> (&'static str, &'static str, Vec<u8>) {
    fn of<E: WireEvent>(event: &E, schemas: &Schemas) -> (&'static str, &'static str, Vec<u8>) {
        (E::SERVICE, event.type_name(), event.encode(schemas).expect("a sample fits its schema"))
    }
    match event {
        AnyEvent::User(event) => of(event, schemas),
        AnyEvent::Product(event) => of(event, schemas),
        AnyEvent::Order(event) => of(event, schemas),
        AnyEvent::Payment(event) => of(event, schemas),
        AnyEvent::Notification(event) => of(event, schemas),
    }
}

/// The stored bytes and JSON of a record; on request a missing sample is written first.
fn golden(name: &str, bytes: &[u8], schemas: &Schemas) -> (Vec<u8>, serde_json::Value) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !file(name, "bin").exists() {
        let shown = serde_json::to_string_pretty(&to_json(bytes, schemas).expect("JSON")).expect("JSON");
        fs::write(file(name, "bin"), bytes).expect("the sample is written");
        fs::write(file(name, "json"), shown + "\n").expect("the sample is written");
    }
    let stored = fs::read(file(name, "bin")).unwrap_or_else(|_| panic!("no golden sample of {name}: UPDATE_GOLDEN=1 writes it"));
    let json = fs::read(file(name, "json")).unwrap_or_else(|_| panic!("no golden JSON of {name}"));
    (stored, serde_json::from_slice(&json).expect("golden JSON parses"))
}

#[test]
fn what_version_one_wrote_is_still_read() {
    let schemas = Schemas::bundled();
    for event in samples::all() {
        let (service, name, bytes) = encode(&event, &schemas);
        let (stored, json) = golden(name, &bytes, &schemas);
        assert_eq!(bytes, stored, "{name} is written as version 1 wrote it");
        assert_eq!(AnyEvent::decode(service, &stored, &schemas).expect("it decodes"), event, "{name}");
        assert_eq!(to_json(&stored, &schemas).expect("it has a JSON form"), json, "{name}");
    }
}

#[test]
fn a_claim_of_version_one_is_still_read() {
    let schemas = Schemas::bundled();
    let claim = PartitionClaimed { owner: "node-1".into(), address: "127.0.0.1:9191".into(), nonce: "00ff".into() };
    let (stored, _) = golden("daybook.log.PartitionClaimed", &claim.encode(&schemas).expect("it fits"), &schemas);
    assert_eq!(PartitionClaimed::decode(&stored, &schemas).expect("it decodes"), claim);
    let proof = OwnerConfirmed { owner: "node-1".into() };
    let (stored, json) = golden("daybook.log.OwnerConfirmed", &proof.encode(&schemas).expect("it fits"), &schemas);
    assert_eq!(to_json(&stored, &schemas).expect("it decodes"), json);
}

#[test]
fn no_record_is_without_a_sample() {
    let schemas = Schemas::bundled();
    let sampled: BTreeSet<&str> = samples::all().iter().map(|event| encode(event, &schemas).1).collect();
    let records: BTreeSet<&str> = schemas::record_names().filter(|name| !name.starts_with("daybook.log.")).collect();
    assert_eq!(records.difference(&sampled).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn foreign_bytes_are_refused_by_name() {
    let schemas = Schemas::bundled();
    let decode = |bytes: &[u8]| AnyEvent::decode("orders", bytes, &schemas).expect_err("it is refused").to_string();
    assert!(decode(&[]).contains("fewer than the 5"));
    assert!(decode(&[1, 0, 0, 0, 2, 0]).contains("first byte is 1"));
    assert!(decode(&[0, 0, 0, 99, 99, 0]).contains("is unknown"));
    let (_, _, user) = encode(&samples::all()[0], &schemas);
    assert!(decode(&user).contains("daybook.user.UserRegistered"));
    let truncated =
        samples::all().iter().map(|event| encode(event, &schemas)).find(|(service, _, _)| *service == "orders").expect("an order").2;
    assert!(AnyEvent::decode("orders", &truncated[..truncated.len() - 3], &schemas).is_err());
    assert!(AnyEvent::decode("orders", &[truncated, vec![0]].concat(), &schemas).expect_err("refused").to_string().contains("left over"));
}
