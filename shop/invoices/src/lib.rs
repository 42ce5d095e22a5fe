//! A merchant's invoices, as CSV, worked out into what the shop is to be asked for: the first pass of `daybook import`.
//!
//! Everything here is pure: the same bytes always make the same [`Plan`].

mod line;
mod places;
mod plan;

pub use line::{HeaderError, Line};
pub use plan::{Plan, PlannedOrder, PlannedProduct, PlannedRefund, Skipped, keyed};
