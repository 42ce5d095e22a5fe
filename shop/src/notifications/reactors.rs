//! Tells customers how their orders ended, and how their payments and refunds went.

use super::effects::{DELIVER, Deliver};
use consumers::{Effect, Reaction, Reactor};
use domain::{
    NotificationId, OrderId, UserId,
    notification::{Notification, NotificationCommand, NotificationEvent},
    order::OrderEvent,
    payment::PaymentEvent,
};
use event_sourcing::Recorded;

/// The notification service's reactors.
pub fn reactors() -> Vec<Reactor> {
    vec![Reactor::of::<OrderEvent>(on_order), Reactor::of::<PaymentEvent>(on_payment), Reactor::of::<NotificationEvent>(on_notification)]
}

/// A message to a user about an order; `name` distinguishes it from the other messages about that order.
struct Message {
    order: OrderId,
    user: UserId,
    kind: &'static str,
    name: String,
    subject: &'static str,
    body: String,
}

fn tell(message: Message) -> Vec<Reaction> {
    let Message { order, user: user_id, kind, name, subject, body } = message;
    let id = NotificationId::derive("order", &format!("{order}/{name}"));
    let (order_id, kind, subject) = (Some(order), kind.to_owned(), subject.to_owned());
    let command = NotificationCommand::Request { user_id, order_id, kind, subject, body };
    vec![Reaction::command::<Notification>("request-notification", id.0, &command)]
}

fn on_order(event: &Recorded<OrderEvent>) -> Vec<Reaction> {
    let order = OrderId(event.aggregate_id);
    let told = |user, kind: &'static str, subject, body| tell(Message { order, user, kind, name: kind.to_owned(), subject, body });
    match &event.event {
        OrderEvent::Confirmed(confirmed) => {
            let body = format!("Your order {order} is paid ({}) and on its way.", confirmed.total);
            told(confirmed.user_id, "order-confirmed", "Your order is confirmed", body)
        }
        OrderEvent::Cancelled(cancelled) => {
            let body = format!("Your order {order} was cancelled: {}. You pay nothing.", cancelled.reason);
            told(cancelled.user_id, "order-cancelled", "Your order was cancelled", body)
        }
        OrderEvent::Expired(expired) => {
            let body = format!("Your order {order} could not be completed in time. You pay nothing.");
            told(expired.user_id, "order-expired", "Your order has expired", body)
        }
        OrderEvent::Placed(_)
        | OrderEvent::Accepted(_)
        | OrderEvent::LineReserved(_)
        | OrderEvent::LineRejected(_)
        | OrderEvent::Reserved(_) => Vec::new(),
    }
}

fn on_payment(event: &Recorded<PaymentEvent>) -> Vec<Reaction> {
    // The same refund may fail, be requested anew and be settled: each of these events is a message of its own.
    let named = |kind: &str| format!("{kind}/{}", event.event_id);
    match &event.event {
        PaymentEvent::RefundRequested(asked) => {
            let body = format!("We have asked for {} of your order {} to be given back to you.", asked.amount, asked.order_id);
            let (kind, subject) = ("refund-requested", "A refund is on its way");
            tell(Message { order: asked.order_id, user: asked.user_id, kind, name: named(kind), subject, body })
        }
        PaymentEvent::RefundSettled(settled) => {
            let body =
                format!("{} of your order {} was given back to you ({} in all).", settled.amount, settled.order_id, settled.refunded);
            let (kind, subject) = ("refund-settled", "Your refund was paid");
            tell(Message { order: settled.order_id, user: settled.user_id, kind, name: named(kind), subject, body })
        }
        PaymentEvent::RefundFailed(failed) => {
            let body = format!("{} of your order {} could not be given back to you yet. We look into it.", failed.amount, failed.order_id);
            let (kind, subject) = ("refund-failed", "Your refund is delayed");
            tell(Message { order: failed.order_id, user: failed.user_id, kind, name: named(kind), subject, body })
        }
        PaymentEvent::CaptureFailed(failed) => {
            let body =
                format!("The payment of {} for your order {} could not be taken yet. We look into it.", failed.amount, failed.order_id);
            let (kind, subject) = ("capture-failed", "Your payment is delayed");
            tell(Message { order: failed.order_id, user: failed.user_id, kind, name: named(kind), subject, body })
        }
        PaymentEvent::Requested(_)
        | PaymentEvent::Authorised(_)
        | PaymentEvent::Declined(_)
        | PaymentEvent::Captured(_)
        | PaymentEvent::Voided(_)
        | PaymentEvent::Refunded(_) => Vec::new(),
    }
}

fn on_notification(event: &Recorded<NotificationEvent>) -> Vec<Reaction> {
    match &event.event {
        NotificationEvent::Requested(requested) => {
            let (user, subject, body) = (requested.user_id, requested.subject.clone(), requested.body.clone());
            let effect = Effect::new(DELIVER, event.aggregate_id).with(&Deliver { user, subject, body });
            vec![Reaction::effect("deliver", effect.while_allowed::<Notification>(&NotificationCommand::MayDeliver))]
        }
        NotificationEvent::Delivered(_) | NotificationEvent::Failed(_) => Vec::new(),
    }
}
