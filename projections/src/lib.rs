//! The read side: pure views over the log, the runner that keeps them in a service's database, the query API.
//!
//! A view is a fold per key and knows no SQL; a database keeps rows and checkpoints and knows no events; the runner brings
//! both together in one transaction per batch. This crate never writes to the log.

mod database;
mod http;
mod joint;
mod kept;
mod metrics;
mod problem;
mod rebuild;
mod redrive;
mod registry;
mod runner;
mod table;
mod view;
pub mod views;
mod wait;

pub use database::{Compare, Database, DatabaseError, DeadLetterRow, Dialect, Filter, Order, Query};
pub use http::{LetterBox, Owners, ReadState, letter_routes, routes};
pub use problem::{FieldError, Problem};
pub use rebuild::{Comparison, Difference, Logs, Progress, RebuildError, RebuildParts, Rebuilding};
pub use redrive::{Redrive, Redriven};
pub use registry::{DATABASES, sources_of, views_of};
pub use runner::ViewRunner;
pub use table::{Column, Kind, Relation, Table, TableSpec};
pub use view::{Changes, ErasedView, Events, Fold, LogEvent, View, erased};
pub use views::{
    contacts::{Contact, email_of},
    deadlines::{Deadline, due},
};
