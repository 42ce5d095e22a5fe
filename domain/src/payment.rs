//! The payment of an order: requested, authorised, captured, refunded; or declined; or voided.
//!
//! The card network lives behind a gateway; these facts are what it told us.

use crate::{Money, OrderId, Text, UserId};
use serde::{Deserialize, Serialize};

/// What may be asked of a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PaymentCommand {
    /// Asks for the money of an order.
    Request { order_id: OrderId, user_id: UserId, amount: Money, method: Text },
    /// The gateway holds the money for us.
    RecordAuthorisation { reference: String },
    /// The gateway will not.
    RecordDecline { reason: String },
    /// The gateway has taken the money.
    RecordCapture,
    /// The order is off: void what is held, refund what was taken.
    Void { reason: String },
    /// Gives money back; `refund_id` names this refund at the gateway.
    Refund { refund_id: String, amount: Money },
}

/// What may have happened to a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentEvent {
    Requested(PaymentRequested),
    Authorised(PaymentAuthorised),
    Declined(PaymentDeclined),
    Captured(PaymentCaptured),
    Voided(PaymentVoided),
    Refunded(PaymentRefunded),
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

/// The gateway said no.
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

/// Nothing will be taken: the hold is to be lifted, now or whenever the gateway makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentVoided {
    pub order_id: OrderId,
    pub reason: String,
}

/// Money is given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefunded {
    pub order_id: OrderId,
    pub refund_id: String,
    pub amount: Money,
    /// What was given back in all, this refund included.
    pub refunded: Money,
}
