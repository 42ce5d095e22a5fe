//! The read side: views over the log, the runner that keeps them in a service's database, dead letters, the building blocks of a query API.
//!
//! A view is a fold per key and knows no SQL; a database keeps rows and checkpoints and knows no events; the runner combines the two in one
//! transaction per batch. The system on top declares the views. This crate never writes to the log.

#![warn(missing_docs)]

mod as_of;
pub mod audit;
mod building;
mod database;
pub mod http;
mod joint;
mod kept;
mod metrics;
mod problem;
mod rebuild;
mod redrive;
mod runner;
mod shown;
mod table;
mod versions;
mod view;
mod views;
mod wait;
mod writer;

pub use as_of::AsOf;
pub use building::{BuildingParts, Tell};
pub use database::{
    Compare, Database, DatabaseError, DeadLetterRow, Dialect, DroppedOffsets, DroppedRow, Envelope, ErrandRow, Filter, Held, Order, Query,
};
pub use http::{LetterBox, ReadState, letter_routes};
pub use problem::{FieldError, Problem};
pub use rebuild::{Comparison, Difference, Logs, Progress, RebuildError, RebuildParts, Rebuilding};
pub use redrive::{Redrive, Redriven};
pub use runner::ViewRunner;
pub use table::{Column, Kind, Relation, Table, TableSpec};
pub use view::{Changes, ErasedView, Events, Fold, Folding, View, erased};
pub use views::Views;
