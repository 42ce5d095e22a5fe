//! The choreography: who listens to what, and what it does. A file for each service that acts.

mod notifications;
mod orders;
mod payments;
mod products;

use crate::{commands::Command, gateway::Gateway, mail::Post};
use domain::{OrderId, PaymentId, UserId};
use event_store::Recorded;
use schemas::AnyEvent;
use std::sync::Arc;

/// What an event leads to in one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Nothing but commands: the reactor's name, and what it asks for.
    Commands(&'static str, Vec<Command>),
    /// Something outside, whose outcome becomes a command.
    Effect(&'static str, Effect),
}

/// Something outside of the log. All are idempotent by the key that they carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Authorise { payment: PaymentId, amount: domain::Money, method: String },
    Capture { payment: PaymentId },
    Void { payment: PaymentId },
    Refund { payment: PaymentId, refund: String, amount: domain::Money },
    Deliver { notification: domain::NotificationId, user: UserId, subject: String, body: String },
}

/// What the side effects of reactors go through.
#[derive(Clone)]
pub struct Effects {
    /// The payment gateway.
    pub gateway: Arc<dyn Gateway>,
    /// The post office.
    pub post: Arc<Post>,
}

/// The services whose logs a service's reactors read.
pub fn sources_of(service: &str) -> Vec<&'static str> {
    match service {
        "products" => vec!["orders"],
        "orders" => vec!["products", "payments"],
        "payments" => vec!["orders", "payments"],
        "notifications" => vec!["orders", "notifications"],
        _ => Vec::new(),
    }
}

/// All that an event leads to in a service, in the order in which it is to be done.
pub(crate) fn react(service: &str, event: &Recorded<AnyEvent>) -> Vec<Reaction> {
    match service {
        "products" => products::react(event),
        "orders" => orders::react(event),
        "payments" => payments::react(event),
        "notifications" => notifications::react(event),
        _ => Vec::new(),
    }
}

/// The order that an event of the orders' log speaks of.
fn order_of(event: &Recorded<AnyEvent>) -> OrderId {
    OrderId(event.aggregate_id)
}

/// The payment that an event of the payments' log speaks of.
fn payment_of(event: &Recorded<AnyEvent>) -> PaymentId {
    PaymentId(event.aggregate_id)
}

#[cfg(test)]
mod tests;
