//! The business rules of the shop: user, product, order, payment, notification, and the reservations of what only one may have.
//!
//! Everything here is pure. This crate never does I/O, never reads a clock, never draws a random number and never
//! awaits: time, identities and prices that were looked up elsewhere arrive inside the command.
//!
//! One file (or folder, where it is long) per aggregate holds its state, commands, events, refusals, decisions and tests.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod email;
mod id;
pub mod notification;
pub mod order;
pub mod payment;
pub mod product;
pub mod reservation;
mod shown;
pub mod user;
mod value;

pub use event_sourcing::{Aggregate, Command, Details, Event, Intent, Refusal, Timestamp, testing};
pub use id::{HolderId, NotificationId, OrderId, PaymentId, ProductId, ReservationId, UserId};
pub use value::{Currency, Email, Invalid, Money, Quantity, Sku, Text};

/// A hash of this crate's sources, by `build.rs`: a snapshot that was folded by other rules is not trusted.
pub const SOURCES: u64 = match u64::from_str_radix(env!("DAYBOOK_DOMAIN_SOURCES"), 16) {
    Ok(hash) => hash,
    Err(_) => panic!("the build script writes hexadecimal digits"),
};
