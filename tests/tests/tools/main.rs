//! The embedded log as tools see it that are not ours: kcat, Apache Kafka's own, and a client in Java.

mod groups;
mod java;
mod kcat;
mod log;
mod not_offered;
mod program;
mod records;
mod topics;
