//! An order: placed, accepted once its customer is known, reserved line by line, paid and confirmed; or cancelled; or expired. The last three are terminal.
//!
//! The events are fat: they carry what the next step of the saga needs, so that a reactor stays a pure function.

#![expect(missing_docs, reason = "the fields of a fact say what they are, and their types say the units")]

mod open;
mod refusal;
#[cfg(test)]
mod tests;

pub use open::OpenOrder;
pub use refusal::OrderRefusal;

use crate::{Aggregate, Command, Intent, Money, PaymentId, ProductId, Quantity, Text, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An order. The terminal states carry only whose it was: later decisions need to know no more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Not created yet.
    #[default]
    NotPlaced,
    /// It waits for its customer to be known, for its lines to be reserved, or for its payment.
    Placed(OpenOrder),
    /// It is paid for.
    Confirmed(UserId),
    /// It was cancelled before it was confirmed.
    Cancelled(UserId),
    /// Its deadline passed before it was confirmed.
    Expired(UserId),
}

impl Order {
    /// The most lines that an order may have.
    pub const MAX_LINES: usize = 1000;

    /// `placed`, `confirmed`, `cancelled` or `expired`; none before it was placed.
    pub fn status(&self) -> Option<&'static str> {
        match self {
            Self::NotPlaced => None,
            Self::Placed(_) => Some("placed"),
            Self::Confirmed(_) => Some("confirmed"),
            Self::Cancelled(_) => Some("cancelled"),
            Self::Expired(_) => Some("expired"),
        }
    }

    /// True when nothing can happen to it any more.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Confirmed(_) | Self::Cancelled(_) | Self::Expired(_))
    }

    /// The open order; none before it was placed and after it ended.
    pub fn open(&self) -> Option<&OpenOrder> {
        match self {
            Self::Placed(open) => Some(open),
            Self::NotPlaced | Self::Confirmed(_) | Self::Cancelled(_) | Self::Expired(_) => None,
        }
    }
}

/// Pieces of a product that the customer wants. Lines are numbered from 0, in the sequence of the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    pub product_id: ProductId,
    pub quantity: Quantity,
    /// The price of one piece that a merchant agreed; none takes the catalogue's price at reservation.
    pub agreed_price: Option<Money>,
}

/// The commands to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderCommand {
    /// Places the order; it must be confirmed before `expires_at`.
    Place { user_id: UserId, lines: Vec<OrderLine>, payment_method: Text, placed_at: Timestamp, expires_at: Timestamp },
    /// Records that the customer has an open account, after which stock is reserved.
    AcceptCustomer,
    /// Records that the customer has no open account, which cancels the order.
    RefuseCustomer { reason: String },
    /// Records that the product has reserved the line's pieces, at this price a piece.
    RecordReservation { line: i32, unit_price: Money },
    /// Records that the product cannot reserve the line's pieces, which cancels the order.
    RecordRejection { line: i32, reason: String },
    /// Confirms the order, since its payment is authorised.
    Confirm { payment_id: PaymentId },
    /// Records that the payment was declined, which cancels the order.
    RecordDecline { payment_id: PaymentId, reason: String },
    /// Cancels the order, since somebody no longer wants it.
    Cancel { reason: Text },
    /// Expires the order; refused before its deadline.
    Expire { now: Timestamp },
}

impl Command for OrderCommand {
    fn intent(&self) -> Intent {
        match self {
            // The edge's clock sets `placed_at` and so `expires_at`; the caller does not, so they are no part of the intent.
            Self::Place { user_id, lines, payment_method, placed_at: _, expires_at: _ } => {
                Intent::of("place").with("user_id", user_id).with("lines", lines).with("payment_method", payment_method)
            }
            Self::AcceptCustomer => Intent::of("accept-customer"),
            Self::RefuseCustomer { reason } => Intent::of("refuse-customer").with("reason", reason),
            Self::RecordReservation { line, unit_price } => {
                Intent::of("record-reservation").with("line", line).with("unit_price", unit_price)
            }
            Self::RecordRejection { line, reason } => Intent::of("record-rejection").with("line", line).with("reason", reason),
            Self::Confirm { payment_id } => Intent::of("confirm").with("payment_id", payment_id),
            Self::RecordDecline { payment_id, reason } => {
                Intent::of("record-decline").with("payment_id", payment_id).with("reason", reason)
            }
            Self::Cancel { reason } => Intent::of("cancel").with("reason", reason),
            Self::Expire { now: _ } => Intent::of("expire"),
        }
    }
}

event_sourcing::events! {
    /// The events of an order.
    pub enum OrderEvent in "orders", "daybook.order" {
        Placed(OrderPlaced),
        Accepted(OrderAccepted),
        LineReserved(OrderLineReserved),
        LineRejected(OrderLineRejected),
        Reserved(OrderReserved),
        Confirmed(OrderConfirmed),
        Cancelled(OrderCancelled),
        Expired(OrderExpired),
    }
}

/// The order was placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPlaced {
    pub user_id: UserId,
    pub lines: Vec<OrderLine>,
    pub payment_method: Text,
    pub placed_at: Timestamp,
    pub expires_at: Timestamp,
    /// True where the customer's account is asked before stock is reserved. An order of an earlier build is reserved at once: it may be, or
    /// have ended, long before this build reads it.
    #[serde(default)]
    pub awaits_customer: bool,
}

/// The customer has an open account; the lines are to be reserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderAccepted {
    pub user_id: UserId,
    pub lines: Vec<OrderLine>,
}

/// One line's pieces are reserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLineReserved {
    pub line: i32,
    pub unit_price: Money,
}

/// One line's pieces cannot be reserved; the same command cancels the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLineRejected {
    pub line: i32,
    pub reason: String,
}

/// All lines are reserved; the payment of `total` is to be requested.
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

/// The order was cancelled; its lines are to be released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCancelled {
    pub user_id: UserId,
    pub lines: Vec<OrderLine>,
    /// A rule's stable name (`unknown-customer`, `closed-account`, `insufficient-stock`, `payment-declined`, ...) or the caller's words.
    pub reason: String,
}

/// The deadline passed before the order was confirmed; its lines are to be released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderExpired {
    pub user_id: UserId,
    pub lines: Vec<OrderLine>,
    pub expired_at: Timestamp,
}

impl Aggregate for Order {
    const NAME: &'static str = "order";
    const FOLD: u64 = crate::SOURCES;
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Error = OrderRefusal;

    fn handle(&self, command: OrderCommand) -> Result<Vec<OrderEvent>, OrderRefusal> {
        match command {
            OrderCommand::Place { user_id, lines, payment_method, placed_at, expires_at } => {
                self.place(OrderPlaced { user_id, lines, payment_method, placed_at, expires_at, awaits_customer: true })
            }
            OrderCommand::AcceptCustomer => self.advance(|open| Ok(open.accept())),
            OrderCommand::RefuseCustomer { reason } => self.advance(|open| Ok(open.refuse(&reason))),
            OrderCommand::RecordReservation { line, unit_price } => {
                self.advance(|open| open.record_reservation(OrderLineReserved { line, unit_price }))
            }
            OrderCommand::RecordRejection { line, reason } => {
                self.advance(|open| open.record_rejection(OrderLineRejected { line, reason }))
            }
            OrderCommand::Confirm { payment_id } => self.advance(|open| open.confirm(payment_id)),
            OrderCommand::RecordDecline { payment_id: _, reason: _ } => self.advance(|open| Ok(vec![open.cancelled("payment-declined")])),
            OrderCommand::Cancel { reason } => self.cancel(&reason),
            OrderCommand::Expire { now } => self.advance(|open| open.expire(now)),
        }
    }

    fn apply(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Placed(placed) => *self = Self::Placed(OpenOrder::new(placed.clone())),
            OrderEvent::Accepted(_) => {
                if let Self::Placed(open) = self {
                    open.keep_accepted();
                }
            }
            OrderEvent::LineReserved(reserved) => {
                if let Self::Placed(open) = self {
                    open.keep(reserved);
                }
            }
            // Nothing to fold: the lines' prices tell that all are reserved, and `OrderCancelled` stands beside a rejection.
            OrderEvent::LineRejected(_) | OrderEvent::Reserved(_) => {}
            OrderEvent::Confirmed(ended) => *self = Self::Confirmed(ended.user_id),
            OrderEvent::Cancelled(ended) => *self = Self::Cancelled(ended.user_id),
            OrderEvent::Expired(ended) => *self = Self::Expired(ended.user_id),
        }
    }

    fn belongs_to(&self, _id: Uuid) -> Option<Uuid> {
        match self {
            Self::NotPlaced => None,
            Self::Placed(open) => Some(open.placed().user_id.0),
            Self::Confirmed(customer) | Self::Cancelled(customer) | Self::Expired(customer) => Some(customer.0),
        }
    }
}

impl Order {
    fn place(&self, placed: OrderPlaced) -> Result<Vec<OrderEvent>, OrderRefusal> {
        match self {
            Self::NotPlaced => {
                check_lines(&placed.lines)?;
                check_deadline(&placed)?;
                Ok(vec![OrderEvent::Placed(placed)])
            }
            Self::Placed(_) | Self::Confirmed(_) | Self::Cancelled(_) | Self::Expired(_) => Err(OrderRefusal::AlreadyPlaced),
        }
    }

    /// Decides a step of the saga; after the order has ended it makes no event.
    fn advance(&self, step: impl FnOnce(&OpenOrder) -> Result<Vec<OrderEvent>, OrderRefusal>) -> Result<Vec<OrderEvent>, OrderRefusal> {
        match self {
            Self::NotPlaced => Err(OrderRefusal::Unknown),
            Self::Placed(open) => step(open),
            Self::Confirmed(_) | Self::Cancelled(_) | Self::Expired(_) => Ok(vec![]),
        }
    }

    fn cancel(&self, reason: &Text) -> Result<Vec<OrderEvent>, OrderRefusal> {
        match self {
            Self::NotPlaced => Err(OrderRefusal::Unknown),
            Self::Placed(open) => Ok(vec![open.cancelled(reason.as_str())]),
            Self::Confirmed(_) => Err(OrderRefusal::AlreadyConfirmed),
            Self::Cancelled(_) => Ok(vec![]),
            Self::Expired(_) => Err(OrderRefusal::AlreadyExpired),
        }
    }
}

/// Quantities and prices are checked here again because a command that another node forwards is not parsed at this node's edge.
fn check_lines(lines: &[OrderLine]) -> Result<(), OrderRefusal> {
    if !(1..=Order::MAX_LINES).contains(&lines.len()) {
        return Err(OrderRefusal::LineCount { lines: lines.len() });
    }
    lines.iter().enumerate().try_for_each(|(line, wish)| check_line(line, wish))
}

fn check_line(line: usize, wish: &OrderLine) -> Result<(), OrderRefusal> {
    let pieces = wish.quantity.get();
    if !(1..=Quantity::MAX).contains(&pieces) {
        return Err(OrderRefusal::InvalidQuantity { line, pieces });
    }
    let amount = wish.agreed_price.as_ref().map_or(0, |price| price.amount);
    if !(0..=Money::MAX).contains(&amount) {
        return Err(OrderRefusal::InvalidAgreedPrice { line, amount });
    }
    Ok(())
}

fn check_deadline(placed: &OrderPlaced) -> Result<(), OrderRefusal> {
    let OrderPlaced { placed_at, expires_at, .. } = *placed;
    if expires_at > placed_at { Ok(()) } else { Err(OrderRefusal::InvalidDeadline { placed_at, expires_at }) }
}
