//! What each version wrote of the log's own records is still read, byte for byte.

use codec::{OwnerConfirmed, PartitionClaimed, RecordSet, Schemas, to_json};
use std::{fs, path::PathBuf};

fn golden(name: &str, version: u32, ending: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.v{version}.{ending}"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn claim(partitions: Option<i32>) -> PartitionClaimed {
    PartitionClaimed { owner: "node-1".into(), address: "127.0.0.1:9191".into(), nonce: "00ff".into(), partitions }
}

#[test]
fn a_claim_of_version_one_is_still_read_and_says_nothing_of_partitions() {
    let schemas = Schemas::bundled(&RecordSet::parse(&[]));
    let stored = golden("daybook.log.PartitionClaimed", 1, "bin");
    assert_eq!(PartitionClaimed::decode(&stored, &schemas).expect("it decodes"), claim(None));
}

#[test]
fn claims_and_proofs_of_the_present_versions_are_still_read_and_still_written_so() {
    let schemas = Schemas::bundled(&RecordSet::parse(&[]));
    let stored = golden("daybook.log.PartitionClaimed", 2, "bin");
    assert_eq!(PartitionClaimed::decode(&stored, &schemas).expect("it decodes"), claim(Some(4)));
    assert_eq!(claim(Some(4)).encode(&schemas).expect("it fits"), stored);
    let stored = golden("daybook.log.OwnerConfirmed", 1, "bin");
    assert_eq!(OwnerConfirmed { owner: "node-1".into() }.encode(&schemas).expect("it fits"), stored);
    let json: serde_json::Value = serde_json::from_slice(&golden("daybook.log.OwnerConfirmed", 1, "json")).expect("JSON");
    assert_eq!(to_json(&stored, &schemas).expect("it decodes"), json);
    assert!(PartitionClaimed::decode(&stored, &schemas).is_err(), "a proof is no claim");
}
