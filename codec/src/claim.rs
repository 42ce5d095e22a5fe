//! The records of the log's own, which stand in every service's log: claims, and the proofs that an owner is one still.

use crate::{DecodeError, EncodeError, Schemas};
use event_sourcing::RecordReader;
use serde::{Deserialize, Serialize};

const NAME: &str = "daybook.log.PartitionClaimed";

/// Who claims a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionClaimed {
    /// The node's name.
    pub owner: String,
    /// Where its node-to-node server listens: `host:port`.
    pub address: String,
    /// A name for the claim that was never used before.
    pub nonce: String,
}

impl PartitionClaimed {
    /// The framed bytes.
    ///
    /// # Errors
    /// The record does not fit its schema: a defect of the build.
    pub fn encode(&self, schemas: &Schemas) -> Result<Vec<u8>, EncodeError> {
        schemas.encode_record(NAME, self)
    }

    /// The claim that framed bytes hold.
    ///
    /// # Errors
    /// The bytes hold another record, or none.
    pub fn decode(bytes: &[u8], schemas: &Schemas) -> Result<Self, DecodeError> {
        let framed = schemas.framed(bytes)?;
        if framed.record.name == NAME { framed.record() } else { Err(framed.foreign()) }
    }
}

/// A writer proves that the partition is still its own. It stands in the run like an event, and nobody folds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerConfirmed {
    /// The node's name.
    pub owner: String,
}

impl OwnerConfirmed {
    /// The framed bytes.
    ///
    /// # Errors
    /// The record does not fit its schema: a defect of the build.
    pub fn encode(&self, schemas: &Schemas) -> Result<Vec<u8>, EncodeError> {
        schemas.encode_record("daybook.log.OwnerConfirmed", self)
    }
}
