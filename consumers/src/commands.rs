//! What a reactor asks for, and where it goes.

use domain::{
    Aggregate, NotificationId, OrderId, PaymentId, ProductId, Timestamp, notification::Notification, notification::NotificationCommand,
    order::Order, order::OrderCommand, payment::Payment, payment::PaymentCommand, product::Product, product::ProductCommand,
};
use event_store::{Accepted, Cause, CommandError, CommandMeta, Execute, Recorded};
use std::sync::Arc;
use uuid::Uuid;

const NAMESPACE: Uuid = Uuid::from_u128(0x8d13_70f5_1c44_5e0c_a3a5_6b21_9a77_0be1);

/// The ways to the aggregates that reactors command. A service's reactors command its own aggregate only.
#[derive(Clone)]
pub struct Commands {
    /// To products.
    pub products: Arc<dyn Execute<Product>>,
    /// To orders.
    pub orders: Arc<dyn Execute<Order>>,
    /// To payments.
    pub payments: Arc<dyn Execute<Payment>>,
    /// To notifications.
    pub notifications: Arc<dyn Execute<Notification>>,
}

/// A command to one aggregate of some service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Product(ProductId, ProductCommand),
    Order(OrderId, OrderCommand),
    Payment(PaymentId, PaymentCommand),
    Notification(NotificationId, NotificationCommand),
}

impl Commands {
    pub(crate) async fn execute(&self, command: Command, meta: CommandMeta) -> Result<Accepted, CommandError> {
        async fn send<A: Aggregate>(
            to: &Arc<dyn Execute<A>>,
            id: Uuid,
            command: A::Command,
            meta: CommandMeta,
        ) -> Result<Accepted, CommandError> {
            to.execute(id, command, meta).await
        }
        match command {
            Command::Product(id, command) => send(&self.products, id.0, command, meta).await,
            Command::Order(id, command) => send(&self.orders, id.0, command, meta).await,
            Command::Payment(id, command) => send(&self.payments, id.0, command, meta).await,
            Command::Notification(id, command) => send(&self.notifications, id.0, command, meta).await,
        }
    }
}

/// The circumstances of the `index`-th command that `reactor` makes of an event: the same at every delivery, but for the clock.
pub(crate) fn meta_of<E>(event: &Recorded<E>, reactor: &str, index: usize, now: Timestamp) -> CommandMeta {
    let name = format!("{}\u{1f}{reactor}\u{1f}{index}", event.event_id);
    let cause = Cause {
        actor: format!("reactor/{reactor}"),
        correlation_id: event.cause.correlation_id.clone(),
        causation_id: Some(event.event_id.clone()),
        traceparent: event.cause.traceparent.clone(),
    };
    CommandMeta { command_id: Uuid::new_v5(&NAMESPACE, name.as_bytes()), time: now, expected_version: None, cause }
}

/// The circumstances of a command that time itself sets off.
pub(crate) fn meta_of_deadline(order: OrderId, due: Timestamp, now: Timestamp) -> CommandMeta {
    let name = format!("{order}\u{1f}expire\u{1f}{}", due.0);
    let cause = Cause { actor: "reactor/deadline".into(), correlation_id: order.to_string(), causation_id: None, traceparent: None };
    CommandMeta { command_id: Uuid::new_v5(&NAMESPACE, name.as_bytes()), time: now, expected_version: None, cause }
}

/// The node's clock.
pub(crate) fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
