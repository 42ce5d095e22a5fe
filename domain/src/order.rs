//! An order: placed, reserved line by line, paid and confirmed; or cancelled; or expired. The last three are terminal.
//!
//! The events are fat: what the next step of the saga needs, they carry, so that a reactor stays a pure function.

use crate::{Money, PaymentId, ProductId, Quantity, Text, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// A wish for pieces of a product; lines are counted from 0 in the order's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    pub product_id: ProductId,
    pub quantity: Quantity,
    /// The price of one piece that a merchant agreed; none takes the catalogue's price at reservation.
    pub agreed_price: Option<Money>,
}

/// What may be asked of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderCommand {
    /// Places the order; it must be confirmed before `expires_at`.
    Place { user_id: UserId, lines: Vec<OrderLine>, payment_method: Text, placed_at: Timestamp, expires_at: Timestamp },
    /// The product keeps what the line asks for, at this price a piece.
    RecordReservation { line: i32, unit_price: Money },
    /// The product cannot keep what the line asks for.
    RecordRejection { line: i32, reason: String },
    /// The payment is authorised.
    Confirm { payment_id: PaymentId },
    /// The payment was declined.
    RecordDecline { payment_id: PaymentId, reason: String },
    /// Somebody wants it no more.
    Cancel { reason: Text },
    /// The deadline has passed; before it, this is refused.
    Expire { now: Timestamp },
}

/// What may have happened to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderEvent {
    Placed(OrderPlaced),
    LineReserved(OrderLineReserved),
    LineRejected(OrderLineRejected),
    Reserved(OrderReserved),
    Confirmed(OrderConfirmed),
    Cancelled(OrderCancelled),
    Expired(OrderExpired),
}

/// The order was placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPlaced {
    pub user_id: UserId,
    pub lines: Vec<OrderLine>,
    pub payment_method: Text,
    pub placed_at: Timestamp,
    pub expires_at: Timestamp,
}

/// One line's pieces are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLineReserved {
    pub line: i32,
    pub unit_price: Money,
}

/// One line's pieces cannot be kept; the order is cancelled with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLineRejected {
    pub line: i32,
    pub reason: String,
}

/// All lines are kept; the payment of `total` is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderReserved {
    pub user_id: UserId,
    pub total: Money,
    pub payment_method: Text,
}

/// The order is paid for: ship it and tell the customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderConfirmed {
    pub user_id: UserId,
    pub lines: Vec<OrderLine>,
    pub total: Money,
    pub payment_id: PaymentId,
}

/// The order will not be; its lines are to be released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCancelled {
    pub user_id: UserId,
    pub lines: Vec<OrderLine>,
    /// A rule's stable name (`insufficient-stock`, `payment-declined`, ...) or the caller's words.
    pub reason: String,
}

/// The deadline passed before the order was confirmed; its lines are to be released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderExpired {
    pub user_id: UserId,
    pub lines: Vec<OrderLine>,
    pub expired_at: Timestamp,
}
