//! The events of a payment.

use crate::{Money, OrderId, Text, UserId};
use serde::{Deserialize, Serialize};

event_sourcing::events! {
    /// The events of a payment.
    pub enum PaymentEvent in "payments", "daybook.payment" {
        Requested(PaymentRequested),
        Authorised(PaymentAuthorised),
        Declined(PaymentDeclined),
        Captured(PaymentCaptured),
        CaptureFailed(PaymentCaptureFailed),
        Voided(PaymentVoided),
        RefundRequested(PaymentRefundRequested),
        RefundSettled(PaymentRefundSettled),
        RefundFailed(PaymentRefundFailed),
        /// Earlier builds booked a refund before it was done. No build makes this event any more, but old logs hold it.
        Refunded(PaymentRefunded),
    }
}

/// The money of an order is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRequested {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub amount: Money,
    pub method: Text,
}

/// The gateway holds the money; `reference` is its name for that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentAuthorised {
    pub order_id: OrderId,
    pub reference: String,
}

/// The gateway declined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentDeclined {
    pub order_id: OrderId,
    pub reason: String,
}

/// The money was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCaptured {
    pub order_id: OrderId,
    pub amount: Money,
}

/// The money is held and could not be taken; a later attempt may still take it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCaptureFailed {
    pub order_id: OrderId,
    pub user_id: UserId,
    /// The amount that was to be taken.
    pub amount: Money,
    pub reason: String,
}

/// No money will be taken: the hold is to be lifted, at once or when the gateway makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentVoided {
    pub order_id: OrderId,
    pub reason: String,
    /// The amount that would have been taken; earlier builds did not record it.
    #[serde(default)]
    pub amount: Option<Money>,
}

/// Money is to be given back. It is reserved for this refund until the gateway has answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefundRequested {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub refund_id: String,
    pub amount: Money,
}

/// Money was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefundSettled {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub refund_id: String,
    pub amount: Money,
    /// The sum given back so far, this refund included.
    pub refunded: Money,
}

/// Money could not be given back, and is free for another refund.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefundFailed {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub refund_id: String,
    pub amount: Money,
    pub reason: String,
}

/// Money is given back, as earlier builds recorded it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefunded {
    pub order_id: OrderId,
    pub refund_id: String,
    pub amount: Money,
    /// The sum given back so far, this refund included.
    pub refunded: Money,
}
