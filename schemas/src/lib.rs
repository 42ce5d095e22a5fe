//! The contracts: an Avro schema per event, Confluent framing, the schema registry, the node protocol's protobuf.
//!
//! This crate never decides anything: it turns the domain's events into bytes and back.

mod claim;
mod wire;
pub use claim::PartitionClaimed;
pub use wire::{DecodeError, EncodeError, Schemas, WireEvent};
