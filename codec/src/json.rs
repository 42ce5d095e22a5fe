//! Any record as JSON, for people: all the fields of its writer's schema, and no others.

use crate::{DecodeError, Schemas, record_set::full_name};
use apache_avro::{reader::datum::GenericDatumReader, types::Value};

/// The record in framed bytes as JSON, in the shape of its writer's schema.
pub fn to_json(mut bytes: &[u8], schemas: &Schemas) -> Result<serde_json::Value, DecodeError> {
    let (known, body) = schemas.open(bytes)?;
    bytes = body;
    let failed = |error: apache_avro::Error| DecodeError::Body { type_name: full_name(known.schema()), reason: error.to_string() };
    let reader = GenericDatumReader::builder(known.schema()).build().map_err(failed)?;
    let value: Value = reader.read_value(&mut bytes).map_err(failed)?;
    serde_json::Value::try_from(value).map_err(failed)
}
