//! What version 1 wrote of the log's own records is still read, byte for byte.

use codec::{OwnerConfirmed, PartitionClaimed, RecordSet, Schemas, to_json};
use std::{fs, path::PathBuf};

fn golden(name: &str, ending: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.v1.{ending}"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn claims_and_proofs_of_version_one_are_still_read_and_still_written_so() {
    let schemas = Schemas::bundled(&RecordSet::parse(&[]));
    let claim = PartitionClaimed { owner: "node-1".into(), address: "127.0.0.1:9191".into(), nonce: "00ff".into() };
    let stored = golden("daybook.log.PartitionClaimed", "bin");
    assert_eq!(PartitionClaimed::decode(&stored, &schemas).expect("it decodes"), claim);
    assert_eq!(claim.encode(&schemas).expect("it fits"), stored);
    let stored = golden("daybook.log.OwnerConfirmed", "bin");
    assert_eq!(OwnerConfirmed { owner: "node-1".into() }.encode(&schemas).expect("it fits"), stored);
    let json: serde_json::Value = serde_json::from_slice(&golden("daybook.log.OwnerConfirmed", "json")).expect("JSON");
    assert_eq!(to_json(&stored, &schemas).expect("it decodes"), json);
    assert!(PartitionClaimed::decode(&stored, &schemas).is_err(), "a proof is no claim");
}
