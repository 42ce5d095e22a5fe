//! Any event as JSON, in the shape of its Avro record.

use domain::{notification::NotificationEvent, order::OrderEvent, payment::PaymentEvent, product::ProductEvent, user::UserEvent};
use schemas::AnyEvent;
use serde::Serialize;
use serde_json::Value;

fn json(event: &impl Serialize) -> Value {
    serde_json::to_value(event).expect("an event is a struct of texts and numbers, which is always JSON")
}

/// The event's fields.
pub(super) fn event_json(event: &AnyEvent) -> Value {
    match event {
        AnyEvent::User(event) => user(event),
        AnyEvent::Product(event) => product(event),
        AnyEvent::Order(event) => order(event),
        AnyEvent::Payment(event) => payment(event),
        AnyEvent::Notification(event) => notification(event),
    }
}

fn user(event: &UserEvent) -> Value {
    match event {
        UserEvent::Registered(event) => json(event),
        UserEvent::ProfileChanged(event) => json(event),
        UserEvent::Closed(event) => json(event),
    }
}

fn product(event: &ProductEvent) -> Value {
    match event {
        ProductEvent::Listed(event) => json(event),
        ProductEvent::PriceChanged(event) => json(event),
        ProductEvent::StockReceived(event) => json(event),
        ProductEvent::StockReserved(event) => json(event),
        ProductEvent::ReservationRejected(event) => json(event),
        ProductEvent::StockReleased(event) => json(event),
        ProductEvent::StockShipped(event) => json(event),
        ProductEvent::Withdrawn(event) => json(event),
    }
}

fn order(event: &OrderEvent) -> Value {
    match event {
        OrderEvent::Placed(event) => json(event),
        OrderEvent::LineReserved(event) => json(event),
        OrderEvent::LineRejected(event) => json(event),
        OrderEvent::Reserved(event) => json(event),
        OrderEvent::Confirmed(event) => json(event),
        OrderEvent::Cancelled(event) => json(event),
        OrderEvent::Expired(event) => json(event),
    }
}

fn payment(event: &PaymentEvent) -> Value {
    match event {
        PaymentEvent::Requested(event) => json(event),
        PaymentEvent::Authorised(event) => json(event),
        PaymentEvent::Declined(event) => json(event),
        PaymentEvent::Captured(event) => json(event),
        PaymentEvent::Voided(event) => json(event),
        PaymentEvent::Refunded(event) => json(event),
    }
}

fn notification(event: &NotificationEvent) -> Value {
    match event {
        NotificationEvent::Requested(event) => json(event),
        NotificationEvent::Delivered(event) => json(event),
        NotificationEvent::Failed(event) => json(event),
    }
}
