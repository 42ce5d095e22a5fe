//! The known schemas and their ids; encodes events to bytes, and decodes them.

use crate::{
    DecodeError, EncodeError, RecordSet, Registry,
    record_set::{Record, full_name},
};
use apache_avro::{Schema, reader::datum::GenericDatumReader};
use event_sourcing::{Event, RecordReader, RecordWriter};
use parking_lot::RwLock;
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::HashMap, fmt, sync::Arc};

/// The schema that an id stands for.
#[derive(Clone)]
pub(crate) enum KnownSchema {
    /// The schema of this build: no resolution is needed.
    Bundled(&'static Record),
    /// Another version of a record: Avro's resolution converts its bytes to this build's schema.
    Other(Arc<Schema>),
}

impl KnownSchema {
    pub fn schema(&self) -> &Schema {
        match self {
            Self::Bundled(record) => record.schema,
            Self::Other(schema) => schema,
        }
    }
}

/// The schemas that are known, and their ids: the bundled ones, or those of a registry. Cheap to clone.
#[derive(Clone)]
pub struct Schemas(Arc<Inner>);

struct Inner {
    set: RecordSet,
    /// The id under which each record of this build is written.
    own: HashMap<&'static str, (i32, &'static Record)>,
    by_id: RwLock<HashMap<i32, KnownSchema>>,
    registry: Option<Registry>,
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schemas").field("registry", &self.0.registry.as_ref().map(Registry::shown)).finish_non_exhaustive()
    }
}

impl Schemas {
    /// A build's schemas, under the ids that are bundled with it.
    pub fn bundled(set: &RecordSet) -> Self {
        Self::with_ids(set, set.records().map(|record| (record.name.as_str(), record.id)).collect(), None)
    }

    /// A build's schemas under the ids that a registry gave them, by record name.
    pub(crate) fn with_ids(set: &RecordSet, ids: HashMap<&'static str, i32>, registry: Option<Registry>) -> Self {
        let given = || set.records().filter_map(|record| ids.get(record.name.as_str()).map(|id| (*id, record)));
        let own = given().map(|(id, record)| (record.name.as_str(), (id, record))).collect();
        let by_id = given().map(|(id, record)| (id, KnownSchema::Bundled(record)));
        // A registry gives earlier versions ids of its own; we learn those when a record names one.
        let older =
            set.older().filter(|_| registry.is_none()).map(|record| (record.id, KnownSchema::Other(Arc::new(record.schema.clone()))));
        let by_id = by_id.chain(older).collect();
        Self(Arc::new(Inner { set: set.clone(), own, by_id: RwLock::new(by_id), registry }))
    }

    /// The records of this build.
    pub fn records(&self) -> &RecordSet {
        &self.0.set
    }

    pub(crate) fn registry(&self) -> Option<&Registry> {
        self.0.registry.as_ref()
    }

    pub(crate) fn by_id(&self, id: i32) -> Option<KnownSchema> {
        self.0.by_id.read().get(&id).cloned()
    }

    pub(crate) fn add(&self, id: i32, schema: Schema) {
        self.0.by_id.write().insert(id, KnownSchema::Other(Arc::new(schema)));
    }

    /// The id under which a record of this build is written.
    pub fn id_of(&self, type_name: &str) -> Option<i32> {
        self.0.own.get(type_name).map(|(id, _)| *id)
    }

    /// The framed bytes of an event: `0x00`, the schema's id (4 bytes, big endian), the Avro body.
    ///
    /// # Errors
    /// The event does not fit its schema, or has none.
    pub fn encode<E: Event>(&self, event: &E) -> Result<Vec<u8>, EncodeError> {
        event.write(ToAvro(self))
    }

    /// Decodes the event in framed bytes, whatever version of the schema wrote them.
    ///
    /// # Errors
    /// The bytes are no event, or one of another service.
    pub fn decode<E: Event>(&self, bytes: &[u8]) -> Result<E, DecodeError> {
        let framed = self.framed(bytes)?;
        E::read(&framed.record.name, framed)
    }

    /// Finds the record of this build that framed bytes are a version of.
    pub(crate) fn framed<'a>(&self, bytes: &'a [u8]) -> Result<Framed<'a>, DecodeError> {
        let (known, body) = self.open(bytes)?;
        let record = match &known {
            KnownSchema::Bundled(record) => record,
            KnownSchema::Other(schema) => {
                let name = full_name(schema);
                self.0.set.named(&name).ok_or(DecodeError::ForeignRecord(name))?
            }
        };
        Ok(Framed { known, record, body })
    }

    /// Frames and encodes, by the direct serde path.
    pub(crate) fn encode_record<T: Serialize>(&self, type_name: &'static str, event: &T) -> Result<Vec<u8>, EncodeError> {
        let failed = |reason: String| EncodeError { type_name, reason };
        let (id, record) = self.0.own.get(type_name).ok_or_else(|| failed("no schema of that name".into()))?;
        let mut bytes = Vec::with_capacity(96);
        bytes.push(0);
        bytes.extend_from_slice(&id.to_be_bytes());
        record.writer.write_ser(&mut bytes, event).map_err(|error| failed(error.to_string()))?;
        Ok(bytes)
    }

    /// Splits framed bytes into the schema that their id stands for and the body.
    pub(crate) fn open<'a>(&self, bytes: &'a [u8]) -> Result<(KnownSchema, &'a [u8]), DecodeError> {
        let Some((head, body)) = bytes.split_at_checked(5) else {
            return Err(DecodeError::Framing(format!("{} bytes are fewer than the 5 of the frame", bytes.len())));
        };
        let &[magic, a, b, c, d] = head else { return Err(DecodeError::Framing("no frame".into())) };
        if magic != 0 {
            return Err(DecodeError::Framing(format!("the first byte is {magic}, it must be 0")));
        }
        let id = i32::from_be_bytes([a, b, c, d]);
        self.by_id(id).map(|known| (known, body)).ok_or(DecodeError::UnknownSchema(id))
    }
}

struct ToAvro<'a>(&'a Schemas);

impl RecordWriter for ToAvro<'_> {
    type Written = Vec<u8>;
    type Error = EncodeError;

    fn record<T: Serialize>(self, type_name: &'static str, record: &T) -> Result<Vec<u8>, EncodeError> {
        self.0.encode_record(type_name, record)
    }
}

/// A record's bytes, and the schema that wrote them.
pub(crate) struct Framed<'a> {
    known: KnownSchema,
    /// The record of this build that it is a version of.
    pub record: &'static Record,
    body: &'a [u8],
}

impl RecordReader for Framed<'_> {
    type Error = DecodeError;

    /// Decodes directly where this build's schema wrote it, else by Avro's resolution from the writer's schema to ours.
    fn record<T: DeserializeOwned>(mut self) -> Result<T, DecodeError> {
        let failed = |error: apache_avro::Error| DecodeError::Body { type_name: self.record.name.clone(), reason: error.to_string() };
        let event = match &self.known {
            KnownSchema::Bundled(_) => self.record.reader.read_deser(&mut self.body).map_err(failed)?,
            KnownSchema::Other(writer) => {
                let reader = GenericDatumReader::builder(writer).reader_schema(self.record.schema).build().map_err(failed)?;
                apache_avro::from_value(&reader.read_value(&mut self.body).map_err(failed)?).map_err(failed)?
            }
        };
        match self.body.len() {
            0 => Ok(event),
            rest => Err(DecodeError::Body { type_name: self.record.name.clone(), reason: format!("{rest} bytes are left over") }),
        }
    }

    fn foreign(self) -> DecodeError {
        DecodeError::ForeignRecord(self.record.name.clone())
    }
}
