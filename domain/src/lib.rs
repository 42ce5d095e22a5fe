//! The business rules of the shop: user, product, order, payment and notification.
//!
//! Everything here is pure. This crate never does I/O, never reads a clock, never draws a random number and never
//! awaits: time, identities and prices that were looked up elsewhere arrive inside the command.
//!
//! One file (or folder, where it is long) per aggregate holds its state, commands, events, refusals, decisions and tests.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod id;
pub mod notification;
pub mod order;
pub mod payment;
pub mod product;
pub mod testing;
pub mod user;
mod value;

pub use id::{NotificationId, OrderId, PaymentId, ProductId, UserId};
pub use value::{Currency, Email, Invalid, Money, Quantity, Sku, Text, Timestamp};

use serde::{Serialize, de::DeserializeOwned};

/// Changes whenever a source of this crate does: what was folded by other rules is not to be trusted.
pub const SOURCES: u64 = match u64::from_str_radix(env!("DAYBOOK_DOMAIN_SOURCES"), 16) {
    Ok(hash) => hash,
    Err(_) => panic!("the build script writes hexadecimal digits"),
};

/// A consistency boundary: decides commands on its own state and folds its own events.
///
/// `Default` is the state "not created yet". The shape (decide by reference, infallible fold by reference) follows the
/// decider pattern, so that deciding cannot mutate and replay clones nothing.
pub trait Aggregate: Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The field's name for this kind of aggregate, in the singular: `order`.
    const NAME: &'static str;
    /// Tells one version of `apply`, and of the state's form, from the next: snapshots of another one are thrown away. It has no
    /// default, since one that is forgotten would let an old snapshot pass for the state.
    const FOLD: u64;
    /// What may be asked of it.
    type Command: Clone + Send + Sync + 'static;
    /// What may have happened to it.
    type Event: Clone + Send + Sync + 'static;
    /// Why a command was refused.
    type Error: Refusal;

    /// Decides: the events that the command makes, none when there is nothing left to do, or a refusal.
    fn handle(&self, command: Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// What the caller meant, without what differs between two deliveries of the same command: the clock's readings.
    /// Two commands under one idempotency key are the same when this is.
    fn intent(command: &Self::Command) -> Self::Command {
        command.clone()
    }

    /// Folds one event that has happened. It cannot fail: what happened, happened.
    fn apply(&mut self, event: &Self::Event);
}

/// A business rule said no. The `Display` text names the rule and its bounds for a person.
pub trait Refusal: std::error::Error + Send + Sync + 'static {
    /// A stable, machine-readable name of the rule in kebab case: `insufficient-stock`.
    fn code(&self) -> &'static str;

    /// The field of the command that broke the rule, where one did.
    fn field(&self) -> Option<&'static str> {
        None
    }

    /// True when the aggregate that the command speaks of does not exist (a 404 at the edge).
    fn is_not_found(&self) -> bool {
        false
    }
}
