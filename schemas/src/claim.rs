//! The claim record, which stands in every service's log.
use crate::{EncodeError, Schemas};

/// Who claims a partition.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
    pub fn encode(&self, _schemas: &Schemas) -> Result<Vec<u8>, EncodeError> {
        serde_json::to_vec(self).map_err(|error| EncodeError { type_name: "daybook.log.PartitionClaimed", reason: error.to_string() })
    }
}
