//! Each schema is compatible with all that it ever was.

use apache_avro::Schema;
use codec::compatibility::check;

/// Each schema of this build is the newest of its history, and compatible with all of it.
#[test]
fn every_schema_agrees_with_its_history() {
    let home = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("avro");
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut checked = 0;
    for name in schemas::RECORDS.names().filter(|name| !name.starts_with("daybook.log.")) {
        let (service, record) = name.strip_prefix("daybook.").and_then(|name| name.split_once('.')).expect("daybook.<service>.<record>");
        let now = read(&home.join(service).join(format!("{record}.avsc")));
        let mut versions: Vec<_> = home
            .join("history")
            .join(record)
            .read_dir()
            .unwrap_or_else(|_| panic!("{record} has no history"))
            .map(|entry| entry.expect("an entry").path())
            .collect();
        versions.sort();
        let newest = versions.last().unwrap_or_else(|| panic!("{record} has no history"));
        assert_eq!(read(newest), now, "{record} changed: keep the change as a new version in its history");
        for version in &versions {
            check(&Schema::parse_str(&read(version)).expect("it parses"), &Schema::parse_str(&now).expect("it parses"))
                .unwrap_or_else(|why| panic!("{}: {why}", version.display()));
            checked += 1;
        }
    }
    assert!(checked >= 32);
}
