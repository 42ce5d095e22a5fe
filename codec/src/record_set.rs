//! The records that a build knows: their schemas, and the ids under which the log's bytes name them.

use apache_avro::{Schema, reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// A hash of this crate's sources and schemas, by `build.rs`: it changes whenever the code that reads events does.
const SOURCES: &str = env!("DAYBOOK_CODEC_SOURCES");

/// The log's own records, which stand in every service's log.
const OF_THE_LOG: [RecordSchema; 3] = [
    RecordSchema { id: 1, text: include_str!("../avro/history/PartitionClaimed/v1.avsc") },
    RecordSchema { id: 29, text: include_str!("../avro/log/OwnerConfirmed.avsc") },
    RecordSchema { id: 51, text: include_str!("../avro/log/PartitionClaimed.avsc") },
];

/// A record's schema in a build.
#[derive(Clone, Copy, Debug)]
pub struct RecordSchema {
    /// The id under which its bytes stand in a log when no registry is used: never reused, never changed. 1, 29 and 51 are the log's own.
    pub id: i32,
    /// The Avro schema, as JSON (`.avsc`).
    pub text: &'static str,
}

/// A record of this build, ready to be written and read.
pub(crate) struct Record {
    /// The record's full name, which is its registry subject.
    pub name: String,
    pub id: i32,
    pub text: &'static str,
    pub schema: &'static Schema,
    pub writer: GenericDatumWriter<'static>,
    pub reader: GenericDatumReader<'static>,
}

/// All the records of a build. Cheap to clone.
#[derive(Clone)]
pub struct RecordSet(Arc<Records>);

struct Records {
    records: Vec<&'static Record>,
    /// Earlier versions of records, which are read but not written.
    older: Vec<&'static Record>,
    fingerprint: u64,
}

impl RecordSet {
    /// Parses a system's records and adds the log's own. A record whose schema changed is among `records` with each id that it ever had: it
    /// is written under the highest, and read under all. Call this once in a process: the parsed schemas are never freed, so that writers
    /// and readers can borrow them.
    ///
    /// # Panics
    /// A schema does not parse, or two records share an id: a defect of the build, which its first test finds.
    pub fn parse(records: &[RecordSchema]) -> Self {
        let mut all: Vec<&'static Record> = OF_THE_LOG.iter().chain(records).map(record).collect();
        all.sort_by_key(|record| record.id);
        let mut ids = HashSet::new();
        for record in &all {
            assert!(ids.insert(record.id), "schema id {} is given twice; {} has the second", record.id, record.name);
        }
        let mut hash = DefaultHasher::new();
        SOURCES.hash(&mut hash);
        all.iter().for_each(|record| (record.id, record.text).hash(&mut hash));
        let (mut records, mut older) = (Vec::new(), Vec::new());
        for (index, record) in all.iter().enumerate() {
            let changed = all[index + 1..].iter().any(|later| later.name == record.name);
            if changed { older.push(*record) } else { records.push(*record) }
        }
        Self(Arc::new(Records { records, older, fingerprint: hash.finish() }))
    }

    /// A hash that changes whenever a schema or the code that reads events does. A snapshot under another fingerprint is not trusted, since
    /// its events may have been read differently.
    pub fn fingerprint(&self) -> u64 {
        self.0.fingerprint
    }

    /// The full names of all records, the log's own among them.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.records().map(|record| record.name.as_str())
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &'static Record> + '_ {
        self.0.records.iter().copied()
    }

    /// The earlier versions of records, which are only read.
    pub(crate) fn older(&self) -> impl Iterator<Item = &'static Record> + '_ {
        self.0.older.iter().copied()
    }

    /// The record with that full name.
    pub(crate) fn named(&self, name: &str) -> Option<&'static Record> {
        self.records().find(|record| record.name == name)
    }
}

fn record(declared: &RecordSchema) -> &'static Record {
    let parsed = Schema::parse_str(declared.text);
    let schema: &'static Schema =
        Box::leak(Box::new(parsed.unwrap_or_else(|error| panic!("the schema of id {} does not parse: {error}", declared.id))));
    let writer = GenericDatumWriter::builder(schema).build().expect("a schema that parses resolves");
    let reader = GenericDatumReader::builder(schema).build().expect("a schema that parses resolves");
    let name = full_name(schema);
    Box::leak(Box::new(Record { name, id: declared.id, text: declared.text, schema, writer, reader }))
}

/// A schema's full record name.
pub(crate) fn full_name(schema: &Schema) -> String {
    schema.name().map(|name| name.fullname(None).to_string()).unwrap_or_default()
}
