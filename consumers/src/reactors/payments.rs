//! Payments follow orders, and speak with the gateway.

use super::{Effect, Reaction, order_of, payment_of};
use crate::commands::Command;
use domain::{
    OrderId, PaymentId,
    order::{OrderEvent, OrderReserved},
    payment::{PaymentCommand, PaymentEvent},
};
use event_store::Recorded;
use schemas::AnyEvent;

pub(super) fn react(event: &Recorded<AnyEvent>) -> Vec<Reaction> {
    match &event.event {
        AnyEvent::Order(happened) => of_order(order_of(event), happened),
        AnyEvent::Payment(happened) => of_payment(payment_of(event), happened),
        AnyEvent::User(_) | AnyEvent::Product(_) | AnyEvent::Notification(_) => Vec::new(),
    }
}

fn of_order(order: OrderId, event: &OrderEvent) -> Vec<Reaction> {
    match event {
        OrderEvent::Reserved(reserved) => vec![Reaction::Commands("request-payment", vec![request(order, reserved)])],
        OrderEvent::Confirmed(confirmed) => vec![Reaction::Effect("capture-payment", Effect::Capture { payment: confirmed.payment_id })],
        OrderEvent::Cancelled(cancelled) => vec![Reaction::Commands("void-payment", vec![void(order, &cancelled.reason)])],
        OrderEvent::Expired(_) => vec![Reaction::Commands("void-payment", vec![void(order, "order-expired")])],
        OrderEvent::Placed(_) | OrderEvent::LineReserved(_) | OrderEvent::LineRejected(_) => Vec::new(),
    }
}

fn request(order_id: OrderId, reserved: &OrderReserved) -> Command {
    let OrderReserved { user_id, total: amount, payment_method: method } = reserved.clone();
    Command::Payment(PaymentId::for_order(order_id), PaymentCommand::Request { order_id, user_id, amount, method })
}

fn void(order: OrderId, reason: &str) -> Command {
    Command::Payment(PaymentId::for_order(order), PaymentCommand::Void { reason: reason.to_owned() })
}

fn of_payment(payment: PaymentId, event: &PaymentEvent) -> Vec<Reaction> {
    match event {
        // Nothing to hold: the gateway is not asked.
        PaymentEvent::Requested(requested) if requested.amount.amount == 0 => {
            let command = PaymentCommand::RecordAuthorisation { reference: "nothing-to-pay".into() };
            vec![Reaction::Commands("authorise-payment", vec![Command::Payment(payment, command)])]
        }
        PaymentEvent::Requested(requested) => {
            let (amount, method) = (requested.amount.clone(), requested.method.to_string());
            vec![Reaction::Effect("authorise-payment", Effect::Authorise { payment, amount, method })]
        }
        PaymentEvent::Voided(_) => vec![Reaction::Effect("void-hold", Effect::Void { payment })],
        PaymentEvent::Refunded(refunded) => {
            let (refund, amount) = (refunded.refund_id.clone(), refunded.amount.clone());
            vec![Reaction::Effect("refund-payment", Effect::Refund { payment, refund, amount })]
        }
        PaymentEvent::Authorised(_) | PaymentEvent::Declined(_) | PaymentEvent::Captured(_) => Vec::new(),
    }
}
