//! The customer hears how the order ended.

use super::{Effect, Reaction, order_of};
use crate::commands::Command;
use domain::{
    NotificationId, OrderId, UserId,
    notification::{NotificationCommand, NotificationEvent},
    order::OrderEvent,
};
use event_store::Recorded;
use schemas::AnyEvent;

pub(super) fn react(event: &Recorded<AnyEvent>) -> Vec<Reaction> {
    match &event.event {
        AnyEvent::Order(happened) => of_order(order_of(event), happened),
        AnyEvent::Notification(happened) => of_notification(NotificationId(event.aggregate_id), happened),
        AnyEvent::User(_) | AnyEvent::Product(_) | AnyEvent::Payment(_) => Vec::new(),
    }
}

fn of_order(order: OrderId, event: &OrderEvent) -> Vec<Reaction> {
    let told = |user, kind, subject: &str, body: String| {
        vec![Reaction::Commands("request-notification", vec![tell(order, user, kind, subject, body)])]
    };
    match event {
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
        OrderEvent::Placed(_) | OrderEvent::LineReserved(_) | OrderEvent::LineRejected(_) | OrderEvent::Reserved(_) => Vec::new(),
    }
}

fn tell(order: OrderId, user_id: UserId, kind: &str, subject: &str, body: String) -> Command {
    let id = NotificationId::derive("order", &format!("{order}/{kind}"));
    let command = NotificationCommand::Request { user_id, order_id: Some(order), kind: kind.to_owned(), subject: subject.to_owned(), body };
    Command::Notification(id, command)
}

fn of_notification(notification: NotificationId, event: &NotificationEvent) -> Vec<Reaction> {
    match event {
        NotificationEvent::Requested(requested) => {
            let (user, subject, body) = (requested.user_id, requested.subject.clone(), requested.body.clone());
            vec![Reaction::Effect("deliver", Effect::Deliver { notification, user, subject, body })]
        }
        NotificationEvent::Delivered(_) | NotificationEvent::Failed(_) => Vec::new(),
    }
}
