//! The audit: every event of every service as it stands in the log, and each aggregate as it was.

mod catalogue;
mod queries;
mod view;

pub use catalogue::Catalogue;
pub use queries::routes;
pub use view::{Audit, AuditRow, recorded};
