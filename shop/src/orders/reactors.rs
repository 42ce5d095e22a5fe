//! The reactors of orders: they tell an order what its customer's account, its products and its payment answered.

use consumers::{Reaction, Reactor};
use domain::{
    OrderId, PaymentId,
    order::{Order, OrderCommand},
    payment::PaymentEvent,
    product::{ProductEvent, ReservationRejected, StockReserved},
    user::{CustomerRefused, CustomerVouched, UserEvent},
};
use event_sourcing::Recorded;

/// The order service's reactors.
pub fn reactors() -> Vec<Reactor> {
    vec![Reactor::of::<UserEvent>(on_user), Reactor::of::<ProductEvent>(on_product), Reactor::of::<PaymentEvent>(on_payment)]
}

fn ask(reactor: &'static str, order: OrderId, command: &OrderCommand) -> Vec<Reaction> {
    vec![Reaction::command::<Order>(reactor, order.0, command)]
}

fn on_user(event: &Recorded<UserEvent>) -> Vec<Reaction> {
    match &event.event {
        UserEvent::Vouched(CustomerVouched { order_id }) => ask("accept-customer", *order_id, &OrderCommand::AcceptCustomer),
        UserEvent::Refused(CustomerRefused { order_id, reason }) => {
            ask("refuse-customer", *order_id, &OrderCommand::RefuseCustomer { reason: reason.clone() })
        }
        UserEvent::Registered(_) | UserEvent::ProfileChanged(_) | UserEvent::Closed(_) | UserEvent::EmailForgone(_) => Vec::new(),
    }
}

fn on_product(event: &Recorded<ProductEvent>) -> Vec<Reaction> {
    match &event.event {
        ProductEvent::StockReserved(StockReserved { order_id, line, unit_price, .. }) => {
            let command = OrderCommand::RecordReservation { line: *line, unit_price: unit_price.clone() };
            ask("record-reservation", *order_id, &command)
        }
        ProductEvent::ReservationRejected(ReservationRejected { order_id, line, reason, .. }) => {
            let command = OrderCommand::RecordRejection { line: *line, reason: reason.clone() };
            ask("record-rejection", *order_id, &command)
        }
        ProductEvent::Listed(_)
        | ProductEvent::PriceChanged(_)
        | ProductEvent::StockReceived(_)
        | ProductEvent::StockReleased(_)
        | ProductEvent::StockShipped(_)
        | ProductEvent::Withdrawn(_)
        | ProductEvent::SkuForgone(_) => Vec::new(),
    }
}

fn on_payment(event: &Recorded<PaymentEvent>) -> Vec<Reaction> {
    let payment_id = PaymentId(event.aggregate_id);
    match &event.event {
        PaymentEvent::Authorised(authorised) => ask("confirm-order", authorised.order_id, &OrderCommand::Confirm { payment_id }),
        PaymentEvent::Declined(declined) => {
            let command = OrderCommand::RecordDecline { payment_id, reason: declined.reason.clone() };
            ask("record-decline", declined.order_id, &command)
        }
        PaymentEvent::Requested(_)
        | PaymentEvent::Captured(_)
        | PaymentEvent::CaptureFailed(_)
        | PaymentEvent::Voided(_)
        | PaymentEvent::RefundRequested(_)
        | PaymentEvent::RefundSettled(_)
        | PaymentEvent::RefundFailed(_)
        | PaymentEvent::Refunded(_) => Vec::new(),
    }
}
