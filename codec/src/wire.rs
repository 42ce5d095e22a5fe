//! The errors of encoding and decoding events.

/// The event does not fit its schema: a defect of the build, not of the input.
#[derive(Debug, thiserror::Error)]
#[error("{type_name} does not fit its schema: {reason}")]
pub struct EncodeError {
    /// The event's record name.
    pub type_name: &'static str,
    /// What the encoder said.
    pub reason: String,
}

/// Why bytes are no event of ours.
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
