//! How an event becomes bytes: `0x00`, the schema's id (4 bytes, big endian), the Avro body (Confluent's framing).

use crate::Schemas;

/// A domain event that can stand in the log.
pub trait WireEvent: Clone + std::fmt::Debug + Send + Sync + Sized + 'static {
    /// The service whose log these events live in: `orders`.
    const SERVICE: &'static str;

    /// The full name of the event's Avro record, which is also its registry subject and its `ce_type`: `daybook.order.OrderPlaced`.
    fn type_name(&self) -> &'static str;

    /// The framed bytes of this event under the ids of `schemas`.
    fn encode(&self, schemas: &Schemas) -> Result<Vec<u8>, EncodeError>;

    /// The event that framed bytes hold, whatever version of the schema wrote them.
    fn decode(bytes: &[u8], schemas: &Schemas) -> Result<Self, DecodeError>;

    /// The event that a JSON object in the shape of its Avro record holds. Events that never travel as JSON need not know it.
    fn from_json(type_name: &str, _: serde_json::Value) -> Result<Self, DecodeError> {
        Err(DecodeError::ForeignRecord(type_name.to_owned()))
    }
}

/// The event does not fit its schema: a defect of the build, not of the input.
#[derive(Debug, thiserror::Error)]
#[error("{type_name} does not fit its schema: {reason}")]
pub struct EncodeError {
    /// The event's record name.
    pub type_name: &'static str,
    /// What the encoder said.
    pub reason: String,
}

/// Bytes that are no event of ours.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not Confluent framing: too short, or the magic byte is not 0.
    #[error("not framed: {0}")]
    Framing(String),
    /// No schema is known under this id.
    #[error("schema id {0} is unknown")]
    UnknownSchema(i32),
    /// The schema is known, but is not one of this service's events.
    #[error("record {0} is not an event of this service")]
    ForeignRecord(String),
    /// The body does not match its schema.
    #[error("{type_name}: {reason}")]
    Body {
        /// The record name that the id stands for.
        type_name: String,
        /// What the decoder said.
        reason: String,
    },
}
