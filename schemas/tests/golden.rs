//! What any version wrote is still read: golden samples hold the bytes. `UPDATE_GOLDEN=1` writes samples that are missing, and never others.

mod samples;

use apache_avro::{Schema, reader::datum::GenericDatumReader};
use codec::to_json;
use samples::Sample;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The five bytes before the Avro body.
const FRAME: usize = 5;

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn golden_file(name: &str, version: usize, ending: &str) -> PathBuf {
    home().join("golden").join(format!("{name}.v{version}.{ending}"))
}

/// The schema of each version of a record, the first one first.
fn history(name: &str) -> Vec<Schema> {
    let folder = home().join("avro/history").join(name.rsplit('.').next().expect("a name has a last part"));
    let texts = (1..).map(|version| fs::read_to_string(folder.join(format!("v{version}.avsc")))).map_while(Result::ok);
    texts.map(|text| Schema::parse_str(&text).expect("it parses")).collect()
}

/// The stored bytes and JSON of a version.
fn golden(name: &str, version: usize) -> (Vec<u8>, Value) {
    let read = |ending| {
        let file = golden_file(name, version, ending);
        fs::read(&file).unwrap_or_else(|_| panic!("no {}: UPDATE_GOLDEN=1 writes what this build writes", file.display()))
    };
    (read("bin"), serde_json::from_slice(&read("json")).expect("golden JSON parses"))
}

/// On request, the sample of a version that has none yet is written.
fn update(Sample { event, bytes }: &Sample, version: usize) {
    let file = |ending| golden_file(event.type_name(), version, ending);
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !file("bin").exists() {
        let shown = serde_json::to_string_pretty(&to_json(bytes, &schemas::bundled()).expect("JSON")).expect("JSON");
        fs::write(file("bin"), bytes).expect("the sample is written");
        fs::write(file("json"), shown + "\n").expect("the sample is written");
    }
}

#[test]
fn what_the_newest_version_wrote_is_written_and_read() {
    let codecs = schemas::codecs(schemas::bundled());
    for sample in samples::all() {
        let name = sample.event.type_name();
        let newest = history(name).len();
        update(&sample, newest);
        let (stored, json) = golden(name, newest);
        assert_eq!(sample.bytes, stored, "{name} is written as its golden sample was");
        let read = codecs.decode(sample.event.service(), &stored).expect("it decodes");
        assert_eq!(format!("{read:?}"), format!("{:?}", sample.event), "{name}");
        assert_eq!(to_json(&stored, codecs.schemas()).expect("it has a JSON form"), json, "{name}");
    }
}

/// By the same resolution by which a build reads what a registry says another version wrote.
#[test]
fn what_earlier_versions_wrote_is_still_read() {
    let codecs = schemas::codecs(schemas::bundled());
    for Sample { event, .. } in samples::all() {
        let name = event.type_name();
        let versions = history(name);
        let (now, earlier) = versions.split_last().unwrap_or_else(|| panic!("{name} has no history"));
        for (index, then) in earlier.iter().enumerate() {
            let (stored, json) = golden(name, index + 1);
            let read = resolve(&stored[FRAME..], then, now);
            for (field, value) in json.as_object().expect("a record") {
                assert_eq!(read.get(field), Some(value), "{name}.{field} of version {}", index + 1);
            }
            codecs.from_json(event.service(), name, read).unwrap_or_else(|why| panic!("version {}: {why}", index + 1));
        }
    }
}

/// A body that one version of a schema wrote, as another reads it.
fn resolve(mut body: &[u8], writer: &Schema, reader: &Schema) -> Value {
    let datum = GenericDatumReader::builder(writer).reader_schema(reader).build().expect("the versions agree");
    let value = datum.read_value(&mut body).expect("it resolves");
    assert!(body.is_empty(), "nothing is left over");
    Value::try_from(value).expect("it has a JSON form")
}

#[test]
fn no_golden_sample_is_without_a_version() {
    let names: BTreeSet<&str> = schemas::RECORDS.names().collect();
    for entry in fs::read_dir(home().join("golden")).expect("the folder is there") {
        let file = entry.expect("an entry").file_name().into_string().expect("a text");
        let (name, version) =
            file.rsplit_once(".v").and_then(|(name, rest)| Some((name, rest.split_once('.')?.0))).expect("<name>.v<n>.<ending>");
        let version: usize = version.parse().expect("a number");
        assert!(names.contains(name) && (1..=history(name).len()).contains(&version), "{file} is of no version that the history knows");
    }
}

#[test]
fn no_record_is_without_a_sample() {
    let all = samples::all();
    let sampled: BTreeSet<&str> = all.iter().map(|sample| sample.event.type_name()).collect();
    let records: BTreeSet<&str> = schemas::RECORDS.names().filter(|name| !name.starts_with("daybook.log.")).collect();
    assert_eq!(records.difference(&sampled).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn foreign_bytes_are_refused_by_name() {
    let codecs = schemas::codecs(schemas::bundled());
    let decode = |bytes: &[u8]| codecs.decode("orders", bytes).expect_err("it is refused").to_string();
    assert!(decode(&[]).contains("fewer than the 5"));
    assert!(decode(&[1, 0, 0, 0, 2, 0]).contains("first byte is 1"));
    assert!(decode(&[0, 0, 0, 99, 99, 0]).contains("is unknown"));
    let all = samples::all();
    assert!(decode(&all[0].bytes).contains("daybook.user.UserRegistered"));
    let order = &all.iter().find(|sample| sample.event.service() == "orders").expect("an order").bytes;
    assert!(codecs.decode("orders", &order[..order.len() - 3]).is_err());
    assert!(decode(&[&**order, &[0]].concat()).contains("left over"));
}
