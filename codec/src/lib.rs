//! Events as bytes: Avro in Confluent's framing, under ids that a build bundles or a schema registry gives.
//!
//! This crate never decides anything: it turns a domain's events into bytes and back. A system declares its records ([`RecordSet`]); the
//! log's own two, claims and proofs, are always among them.

#![warn(missing_docs)]

mod claim;
mod codecs;
pub mod compatibility;
mod defaults;
mod json;
mod record_set;
mod registry;
pub mod rest;
mod schemas;
mod wire;

pub use claim::{OwnerConfirmed, PartitionClaimed};
pub use codecs::Codecs;
pub use json::to_json;
pub use record_set::{RecordSchema, RecordSet};
pub use registry::{Access, Learned, Registry, RegistryError, shown_url};
pub use schemas::Schemas;
pub use wire::{DecodeError, EncodeError};

/// The topic of a service's log: `orders.events`.
pub fn topic(service: &str) -> String {
    format!("{service}.events")
}
