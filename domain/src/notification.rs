//! A message to a user: requested, then delivered or failed. The address is looked up at delivery and never stored here.

use crate::{OrderId, UserId};
use serde::{Deserialize, Serialize};

/// What may be asked of a notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotificationCommand {
    /// Asks for a message to be sent.
    Request { user_id: UserId, order_id: Option<OrderId>, kind: String, subject: String, body: String },
    /// The mail server took it.
    RecordDelivery,
    /// It cannot be delivered.
    RecordFailure { reason: String },
}

/// What may have happened to a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotificationEvent {
    Requested(NotificationRequested),
    Delivered(NotificationDelivered),
    Failed(NotificationFailed),
}

/// A message is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationRequested {
    pub user_id: UserId,
    pub order_id: Option<OrderId>,
    /// `order-confirmed`, `order-cancelled`, `order-expired`.
    pub kind: String,
    pub subject: String,
    pub body: String,
}

/// The mail server took the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationDelivered {
    pub user_id: UserId,
}

/// The message could not be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationFailed {
    pub user_id: UserId,
    pub reason: String,
}
