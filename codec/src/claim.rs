//! The log's own records, which stand in every service's log: claims, and proofs that an owner still owns its partition.

use crate::{DecodeError, EncodeError, Schemas};
use event_sourcing::RecordReader;
use serde::{Deserialize, Serialize};

const NAME: &str = "daybook.log.PartitionClaimed";

/// A node claims a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionClaimed {
    /// The node's name.
    pub owner: String,
    /// Where its node-to-node server listens: `host:port`.
    pub address: String,
    /// A unique name of the claim.
    pub nonce: String,
    /// How many partitions the log has, by what the node knows; none in claims of earlier builds.
    #[serde(default)]
    pub partitions: Option<i32>,
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

/// A writer proves that the partition is still its own. The record stands in the run like an event, but nobody folds it.
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
