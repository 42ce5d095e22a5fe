//! Reads a merchant's invoices (CSV) and works out what to ask of the shop: the first pass of `daybook import`.
//!
//! Everything here is pure: the same bytes and options always make the same [`Plan`].

mod cancellations;
mod columns;
mod dates;
mod error;
mod line;
mod numbers;
mod options;
mod places;
mod plan;
mod records;
mod text;

pub use cancellations::{Cancellation, Part};
pub use columns::Column;
pub use dates::DayOrder;
pub use error::FileError;
pub use line::Line;
pub use numbers::DecimalMark;
pub use options::{Options, ReadAs, StatedEncoding};
pub use plan::{Plan, PlannedOrder, PlannedProduct, Skipped, keyed};
pub use text::{Text, decode};
