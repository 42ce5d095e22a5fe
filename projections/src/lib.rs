//! The read side: pure views over the log, the runner that keeps them in a service's database, the query API.
//!
//! A view is a fold per key and knows no SQL; a database keeps rows and checkpoints and knows no events; the runner brings
//! both together in one transaction per batch. This crate never writes to the log.

mod database;
mod table;

pub use database::{Compare, Database, DatabaseError, Dialect, Filter, Order, Query};
pub use table::{Column, Kind, Table, TableSpec};
