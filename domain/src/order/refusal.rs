use super::Order;
use crate::{Money, Quantity, Refusal, Timestamp};

/// Why an order's command was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefusal {
    /// Nobody has placed an order under this identity.
    #[error("the order does not exist: place it first")]
    Unknown,
    /// The identity is taken.
    #[error("the order is already placed: an identity is placed once")]
    AlreadyPlaced,
    /// Too few lines or too many.
    #[error("lines: an order has from 1 to {} lines, this one has {lines}", Order::MAX_LINES)]
    LineCount {
        /// How many lines were asked for.
        lines: usize,
    },
    /// A line's quantity is out of range.
    #[error("lines: the quantity of line {line} must be from 1 to {}, is {pieces}", Quantity::MAX)]
    InvalidQuantity {
        /// The line, counted from 0.
        line: usize,
        /// Pieces.
        pieces: i64,
    },
    /// A line's agreed price is out of range.
    #[error("lines: the agreed price of line {line} must be from 0 to {} minor units, is {amount}", Money::MAX)]
    InvalidAgreedPrice {
        /// The line, counted from 0.
        line: usize,
        /// Minor units.
        amount: i64,
    },
    /// The deadline does not lie after the placing.
    #[error("expires_at: must be after placed_at ({} ms since 1970), is {} ms", placed_at.0, expires_at.0)]
    InvalidDeadline {
        /// When the order was placed.
        placed_at: Timestamp,
        /// The deadline that was asked for.
        expires_at: Timestamp,
    },
    /// The order has no such line.
    #[error("line: must be from 0 to {last}, is {line}")]
    UnknownLine {
        /// The line that the command named.
        line: i32,
        /// The order's last line, counted from 0.
        last: usize,
    },
    /// The price of a reservation is out of range.
    #[error("unit_price: must be from 0 to {} minor units, is {amount}", Money::MAX)]
    InvalidUnitPrice {
        /// Minor units.
        amount: i64,
    },
    /// An order is confirmed only when every line is reserved.
    #[error("the order cannot be confirmed before all of its {lines} lines are reserved: {reserved} are")]
    NotReserved {
        /// Lines that are reserved.
        reserved: usize,
        /// Lines in all.
        lines: usize,
    },
    /// A confirmed order cannot be cancelled.
    #[error("the order is already confirmed and cannot be cancelled: refund the payment instead")]
    AlreadyConfirmed,
    /// An expired order cannot be cancelled.
    #[error("the order is already expired and cannot be cancelled: its lines are released")]
    AlreadyExpired,
    /// The deadline has not come.
    #[error("now: the order expires at {} ms since 1970, it is {} ms", expires_at.0, now.0)]
    NotDue {
        /// The deadline.
        expires_at: Timestamp,
        /// The moment that the command named.
        now: Timestamp,
    },
}

impl Refusal for OrderRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown-order",
            Self::AlreadyPlaced => "already-placed",
            Self::LineCount { .. } => "line-count",
            Self::InvalidQuantity { .. } => "invalid-quantity",
            Self::InvalidAgreedPrice { .. } | Self::InvalidUnitPrice { .. } => "invalid-price",
            Self::InvalidDeadline { .. } => "invalid-deadline",
            Self::UnknownLine { .. } => "unknown-line",
            Self::NotReserved { .. } => "not-reserved",
            Self::AlreadyConfirmed => "already-confirmed",
            Self::AlreadyExpired => "already-expired",
            Self::NotDue { .. } => "not-due",
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Unknown | Self::AlreadyPlaced | Self::NotReserved { .. } | Self::AlreadyConfirmed | Self::AlreadyExpired => None,
            Self::LineCount { .. } | Self::InvalidQuantity { .. } | Self::InvalidAgreedPrice { .. } => Some("lines"),
            Self::InvalidDeadline { .. } => Some("expires_at"),
            Self::UnknownLine { .. } => Some("line"),
            Self::InvalidUnitPrice { .. } => Some("unit_price"),
            Self::NotDue { .. } => Some("now"),
        }
    }

    fn is_not_found(&self) -> bool {
        *self == Self::Unknown
    }
}
