//! The contracts: an Avro schema per event, Confluent framing, the schema registry, the node protocol's protobuf.
//!
//! This crate never decides anything: it turns the domain's events into bytes and back.

mod bundle;
mod claim;
mod codec;
pub mod compatibility;
mod events;
mod json;
mod registry;
pub mod rest;
mod wire;

pub use bundle::Schemas;
pub use claim::{OwnerConfirmed, PartitionClaimed};
pub use events::{AnyEvent, SERVICES};
pub use json::to_json;
pub use registry::{Learned, RegistryError};
pub use wire::{DecodeError, EncodeError, WireEvent};

/// Changes whenever a schema or the code that reads one does: what was folded from events read otherwise is not to be trusted.
pub const SOURCES: u64 = match u64::from_str_radix(env!("DAYBOOK_SCHEMAS_SOURCES"), 16) {
    Ok(hash) => hash,
    Err(_) => panic!("the build script writes hexadecimal digits"),
};

/// The topic of a service's log: `orders.events`.
pub fn topic(service: &str) -> String {
    format!("{service}.events")
}

/// The full names of all records of this build, the claim's included.
pub fn record_names() -> impl Iterator<Item = &'static str> {
    bundle::records().iter().map(|record| record.name)
}

/// The node protocol: a command on its way to the owner of its partition.
#[allow(clippy::all, missing_docs, reason = "generated from proto/node.proto")]
pub mod node {
    tonic::include_proto!("daybook.node.v1");
}
