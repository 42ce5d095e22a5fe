//! Orders follow stock and payments.

use super::Reaction;
use crate::commands::Command;
use domain::{
    PaymentId,
    order::OrderCommand,
    payment::PaymentEvent,
    product::{ProductEvent, ReservationRejected, StockReserved},
};
use event_store::Recorded;
use schemas::AnyEvent;

pub(super) fn react(event: &Recorded<AnyEvent>) -> Vec<Reaction> {
    match &event.event {
        AnyEvent::Product(happened) => of_product(happened),
        AnyEvent::Payment(happened) => of_payment(super::payment_of(event), happened),
        AnyEvent::User(_) | AnyEvent::Order(_) | AnyEvent::Notification(_) => Vec::new(),
    }
}

fn of_product(event: &ProductEvent) -> Vec<Reaction> {
    match event {
        ProductEvent::StockReserved(StockReserved { order_id, line, unit_price, .. }) => {
            let command = OrderCommand::RecordReservation { line: *line, unit_price: unit_price.clone() };
            vec![Reaction::Commands("record-reservation", vec![Command::Order(*order_id, command)])]
        }
        ProductEvent::ReservationRejected(ReservationRejected { order_id, line, reason, .. }) => {
            let command = OrderCommand::RecordRejection { line: *line, reason: reason.clone() };
            vec![Reaction::Commands("record-rejection", vec![Command::Order(*order_id, command)])]
        }
        ProductEvent::Listed(_)
        | ProductEvent::PriceChanged(_)
        | ProductEvent::StockReceived(_)
        | ProductEvent::StockReleased(_)
        | ProductEvent::StockShipped(_)
        | ProductEvent::Withdrawn(_) => Vec::new(),
    }
}

fn of_payment(payment_id: PaymentId, event: &PaymentEvent) -> Vec<Reaction> {
    match event {
        PaymentEvent::Authorised(authorised) => {
            vec![Reaction::Commands("confirm-order", vec![Command::Order(authorised.order_id, OrderCommand::Confirm { payment_id })])]
        }
        PaymentEvent::Declined(declined) => {
            let command = OrderCommand::RecordDecline { payment_id, reason: declined.reason.clone() };
            vec![Reaction::Commands("record-decline", vec![Command::Order(declined.order_id, command)])]
        }
        PaymentEvent::Requested(_) | PaymentEvent::Captured(_) | PaymentEvent::Voided(_) | PaymentEvent::Refunded(_) => Vec::new(),
    }
}
