//! Conditional, idempotent appends and exact reads over Kafka.
pub mod run;
