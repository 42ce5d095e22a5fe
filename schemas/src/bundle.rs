//! The schemas that this build knows, and the ids under which the log's bytes name them.

use crate::{DecodeError, EncodeError};
use apache_avro::{Schema, reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use parking_lot::RwLock;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock},
};

/// A record's schema as this build has it.
pub(crate) struct Record {
    /// The record's full name, which is its registry subject.
    pub name: &'static str,
    /// The id when no registry is used. Never reused, never changed: bytes in logs carry it.
    pub id: i32,
    /// The `.avsc` file's text.
    pub text: &'static str,
    pub schema: &'static Schema,
    writer: GenericDatumWriter<'static>,
    reader: GenericDatumReader<'static>,
}

macro_rules! records {
    ($($id:literal $folder:literal $record:literal)*) => {
        /// The bundled ids. A new record takes the next number at the end.
        const BUNDLED: &[(i32, &str, &str)] = &[$((
            $id,
            concat!("daybook.", $folder, ".", $record),
            include_str!(concat!("../avro/", $folder, "/", $record, ".avsc")),
        )),*];
    };
}

records! {
    1 "log" "PartitionClaimed"
    2 "user" "UserRegistered"
    3 "user" "UserProfileChanged"
    4 "user" "UserClosed"
    5 "product" "ProductListed"
    6 "product" "PriceChanged"
    7 "product" "StockReceived"
    8 "product" "StockReserved"
    9 "product" "ReservationRejected"
    10 "product" "StockReleased"
    11 "product" "StockShipped"
    12 "product" "ProductWithdrawn"
    13 "order" "OrderPlaced"
    14 "order" "OrderLineReserved"
    15 "order" "OrderLineRejected"
    16 "order" "OrderReserved"
    17 "order" "OrderConfirmed"
    18 "order" "OrderCancelled"
    19 "order" "OrderExpired"
    20 "payment" "PaymentRequested"
    21 "payment" "PaymentAuthorised"
    22 "payment" "PaymentDeclined"
    23 "payment" "PaymentCaptured"
    24 "payment" "PaymentVoided"
    25 "payment" "PaymentRefunded"
    26 "notification" "NotificationRequested"
    27 "notification" "NotificationDelivered"
    28 "notification" "NotificationFailed"
    29 "log" "OwnerConfirmed"
}

/// Parsed once for the life of the process, which is why leaking is right: a schema borrows nothing and never goes.
static RECORDS: LazyLock<Vec<Record>> = LazyLock::new(|| BUNDLED.iter().map(|(id, name, text)| record(*id, name, text)).collect());

fn record(id: i32, name: &'static str, text: &'static str) -> Record {
    let schema: &'static Schema = Box::leak(Box::new(Schema::parse_str(text).expect("a bundled schema parses")));
    let writer = GenericDatumWriter::builder(schema).build().expect("a bundled schema resolves");
    let reader = GenericDatumReader::builder(schema).build().expect("a bundled schema resolves");
    Record { name, id, text, schema, writer, reader }
}

/// All the records of this build.
pub(crate) fn records() -> &'static [Record] {
    &RECORDS
}

/// What an id stands for.
#[derive(Clone)]
pub(crate) enum Known {
    /// The schema of this build: no resolution is needed.
    Bundled(&'static Record),
    /// Another version of a record: bytes are resolved from it to ours.
    Other(Arc<Schema>),
}

impl Known {
    pub fn schema(&self) -> &Schema {
        match self {
            Self::Bundled(record) => record.schema,
            Self::Other(schema) => schema,
        }
    }

    /// The record of this build that it is a version of.
    pub fn record(&self) -> Result<&'static Record, DecodeError> {
        match self {
            Self::Bundled(record) => Ok(record),
            Self::Other(schema) => {
                let name = full_name(schema);
                record_named(&name).ok_or(DecodeError::ForeignRecord(name))
            }
        }
    }
}

/// The schemas that are known, and their ids: the bundled ones, or those of a registry. Cheap to clone.
#[derive(Clone)]
pub struct Schemas(Arc<Inner>);

struct Inner {
    /// The id under which each record of this build is written, by its place in `RECORDS`.
    own: HashMap<&'static str, (i32, &'static Record)>,
    by_id: RwLock<HashMap<i32, Known>>,
    registry: Option<String>,
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schemas").field("registry", &self.0.registry).finish_non_exhaustive()
    }
}

impl Schemas {
    /// The schemas of this build, under the ids that are bundled with it.
    pub fn bundled() -> Self {
        Self::with_ids(RECORDS.iter().map(|record| (record.name, record.id)).collect(), None)
    }

    /// The schemas of this build under the ids that a registry gave them, by record name.
    pub(crate) fn with_ids(ids: HashMap<&'static str, i32>, registry: Option<String>) -> Self {
        let given = || RECORDS.iter().filter_map(|record| ids.get(record.name).map(|id| (*id, record)));
        let own = given().map(|(id, record)| (record.name, (id, record))).collect();
        let by_id = given().map(|(id, record)| (id, Known::Bundled(record))).collect();
        Self(Arc::new(Inner { own, by_id: RwLock::new(by_id), registry }))
    }

    pub(crate) fn registry(&self) -> Option<&str> {
        self.0.registry.as_deref()
    }

    pub(crate) fn by_id(&self, id: i32) -> Option<Known> {
        self.0.by_id.read().get(&id).cloned()
    }

    pub(crate) fn add(&self, id: i32, schema: Schema) {
        self.0.by_id.write().insert(id, Known::Other(Arc::new(schema)));
    }

    /// The id under which a record of this build is written.
    pub fn id_of(&self, type_name: &str) -> Option<i32> {
        self.0.own.get(type_name).map(|(id, _)| *id)
    }

    /// Frames and encodes, by the direct serde path.
    pub(crate) fn encode<T: Serialize>(&self, type_name: &'static str, event: &T) -> Result<Vec<u8>, EncodeError> {
        let failed = |reason: String| EncodeError { type_name, reason };
        let (id, record) = self.0.own.get(type_name).ok_or_else(|| failed("no schema of that name".into()))?;
        let mut bytes = Vec::with_capacity(96);
        bytes.push(0);
        bytes.extend_from_slice(&id.to_be_bytes());
        record.writer.write_ser(&mut bytes, event).map_err(|error| failed(error.to_string()))?;
        Ok(bytes)
    }

    /// What framed bytes claim to be, and their body.
    pub(crate) fn open<'a>(&self, bytes: &'a [u8]) -> Result<(Known, &'a [u8]), DecodeError> {
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

/// Decodes a body: directly where this build's schema wrote it, else by Avro's resolution from the writer's schema to ours.
pub(crate) fn decode<T: DeserializeOwned>(known: &Known, record: &'static Record, mut body: &[u8]) -> Result<T, DecodeError> {
    let failed = |error: apache_avro::Error| DecodeError::Body { type_name: record.name.to_owned(), reason: error.to_string() };
    let event = match known {
        Known::Bundled(_) => record.reader.read_deser(&mut body).map_err(failed)?,
        Known::Other(writer) => {
            let reader = GenericDatumReader::builder(writer).reader_schema(record.schema).build().map_err(failed)?;
            apache_avro::from_value(&reader.read_value(&mut body).map_err(failed)?).map_err(failed)?
        }
    };
    let rest = body.len();
    let complete = || DecodeError::Body { type_name: record.name.to_owned(), reason: format!("{rest} bytes are left over") };
    if rest == 0 { Ok(event) } else { Err(complete()) }
}

/// The record of this build with that full name.
pub(crate) fn record_named(name: &str) -> Option<&'static Record> {
    RECORDS.iter().find(|record| record.name == name)
}

/// A schema's full record name.
pub(crate) fn full_name(schema: &Schema) -> String {
    schema.name().map(|name| name.fullname(None).to_string()).unwrap_or_default()
}
