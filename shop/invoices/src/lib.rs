//! Reads a merchant's invoices (CSV) and works out what to ask of the shop: the first pass of `daybook import`.
//!
//! Everything here is pure: the same bytes always make the same [`Plan`].

mod line;
mod places;
mod plan;

pub use line::{HeaderError, Line};
pub use plan::{Plan, PlannedOrder, PlannedProduct, PlannedRefund, Skipped, keyed};
