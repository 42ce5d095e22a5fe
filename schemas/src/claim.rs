//! The records of the log's own, which stand in every service's log: claims, and the proofs that an owner is one still.

use crate::{DecodeError, EncodeError, Schemas, bundle::decode};
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
    pub fn encode(&self, schemas: &Schemas) -> Result<Vec<u8>, EncodeError> {
        schemas.encode(NAME, self)
    }

    /// The claim that framed bytes hold.
    pub fn decode(bytes: &[u8], schemas: &Schemas) -> Result<Self, DecodeError> {
        let (known, body) = schemas.open(bytes)?;
        let record = known.record()?;
        if record.name == NAME { decode(&known, record, body) } else { Err(DecodeError::ForeignRecord(record.name.to_owned())) }
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
    pub fn encode(&self, schemas: &Schemas) -> Result<Vec<u8>, EncodeError> {
        schemas.encode("daybook.log.OwnerConfirmed", self)
    }
}
