use super::{
    OrderAccepted, OrderCancelled, OrderConfirmed, OrderEvent, OrderExpired, OrderLine, OrderLineRejected, OrderLineReserved, OrderPlaced,
};
use super::{OrderRefusal, OrderReserved};
use crate::{Money, PaymentId, Timestamp};
use serde::{Deserialize, Serialize};

/// An order on its way: what was placed, and the price of each line that is reserved so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOrder {
    placed: OrderPlaced,
    /// True once the customer's account has answered for it.
    accepted: bool,
    /// The price of one piece of each line, in the sequence of the lines; `Some` once the line is reserved.
    prices: Vec<Option<Money>>,
}

impl OpenOrder {
    pub(super) fn new(placed: OrderPlaced) -> Self {
        let prices = vec![None; placed.lines.len()];
        Self { placed, accepted: false, prices }
    }

    /// What was placed.
    pub fn placed(&self) -> &OrderPlaced {
        &self.placed
    }

    /// The price of one piece of a line; none until the line is reserved.
    pub fn unit_price(&self, line: i32) -> Option<&Money> {
        self.prices.get(usize::try_from(line).ok()?)?.as_ref()
    }

    /// How many lines are reserved.
    pub fn reserved_lines(&self) -> usize {
        self.prices.iter().flatten().count()
    }

    /// True while nothing may be reserved, since the customer's account has not answered yet. A line that is reserved all the same was
    /// reserved by a node of an earlier build, which does not wait; then the order goes on as it did there.
    pub fn awaits_customer(&self) -> bool {
        self.placed.awaits_customer && !self.accepted && self.reserved_lines() == 0
    }

    pub(super) fn keep_accepted(&mut self) {
        self.accepted = true;
    }

    pub(super) fn accept(&self) -> Vec<OrderEvent> {
        let OrderPlaced { user_id, lines, .. } = self.placed.clone();
        if self.awaits_customer() { vec![OrderEvent::Accepted(OrderAccepted { user_id, lines })] } else { vec![] }
    }

    pub(super) fn refuse(&self, reason: &str) -> Vec<OrderEvent> {
        if self.awaits_customer() { vec![self.cancelled(reason)] } else { vec![] }
    }

    pub(super) fn keep(&mut self, reserved: &OrderLineReserved) {
        let price = usize::try_from(reserved.line).ok().and_then(|line| self.prices.get_mut(line));
        if let Some(price) = price {
            *price = Some(reserved.unit_price.clone());
        }
    }

    pub(super) fn record_reservation(&self, reserved: OrderLineReserved) -> Result<Vec<OrderEvent>, OrderRefusal> {
        self.check_line(reserved.line)?;
        let amount = reserved.unit_price.amount;
        if !(0..=Money::MAX).contains(&amount) {
            return Err(OrderRefusal::InvalidUnitPrice { amount });
        }
        if self.unit_price(reserved.line).is_some() {
            return Ok(vec![]);
        }
        let complete = self.reserved_lines() + 1 == self.prices.len();
        let conclusion = complete.then(|| self.conclude(&reserved));
        Ok([OrderEvent::LineReserved(reserved)].into_iter().chain(conclusion).collect())
    }

    /// The event that follows when `last` completes the reservations: `OrderReserved`, or the cancellation if the lines have no sum.
    fn conclude(&self, last: &OrderLineReserved) -> OrderEvent {
        let mut complete = self.clone();
        complete.keep(last);
        match complete.total() {
            Ok(total) => OrderEvent::Reserved(OrderReserved {
                user_id: self.placed.user_id,
                total,
                payment_method: self.placed.payment_method.clone(),
            }),
            Err(reason) => self.cancelled(reason),
        }
    }

    /// The sum over the reserved lines, at most [`Money::MAX`], or the name of the rule that it breaks.
    fn total(&self) -> Result<Money, &'static str> {
        let mut total: Option<Money> = None;
        for (line, price) in self.placed.lines.iter().zip(&self.prices) {
            let Some(price) = price else { continue };
            if total.as_ref().is_some_and(|sum| sum.currency != price.currency) {
                return Err("currency-mismatch");
            }
            let zero = Money { amount: 0, currency: price.currency.clone() };
            let sum = price.times(line.quantity.get()).and_then(|amount| total.as_ref().unwrap_or(&zero).plus(&amount));
            total = Some(sum.filter(|sum| sum.amount <= Money::MAX).ok_or("total-too-large")?);
        }
        total.ok_or("not-reserved")
    }

    /// Rejects a line and cancels the order. A line that is reserved stays so: the product's first answer stands.
    pub(super) fn record_rejection(&self, rejected: OrderLineRejected) -> Result<Vec<OrderEvent>, OrderRefusal> {
        self.check_line(rejected.line)?;
        if self.unit_price(rejected.line).is_some() {
            return Ok(vec![]);
        }
        let cancelled = self.cancelled(&rejected.reason);
        Ok(vec![OrderEvent::LineRejected(rejected), cancelled])
    }

    pub(super) fn confirm(&self, payment_id: PaymentId) -> Result<Vec<OrderEvent>, OrderRefusal> {
        let not_reserved = OrderRefusal::NotReserved { reserved: self.reserved_lines(), lines: self.prices.len() };
        if self.reserved_lines() < self.prices.len() {
            return Err(not_reserved);
        }
        let total = self.total().map_err(|_| not_reserved)?;
        let lines =
            self.placed.lines.iter().zip(&self.prices).map(|(line, price)| OrderLine { agreed_price: price.clone(), ..line.clone() });
        let confirmed = OrderConfirmed { user_id: self.placed.user_id, lines: lines.collect(), total, payment_id };
        Ok(vec![OrderEvent::Confirmed(confirmed)])
    }

    pub(super) fn cancelled(&self, reason: &str) -> OrderEvent {
        let OrderPlaced { user_id, lines, .. } = self.placed.clone();
        OrderEvent::Cancelled(OrderCancelled { user_id, lines, reason: reason.to_owned() })
    }

    pub(super) fn expire(&self, now: Timestamp) -> Result<Vec<OrderEvent>, OrderRefusal> {
        let OrderPlaced { user_id, lines, expires_at, .. } = self.placed.clone();
        if now < expires_at {
            return Err(OrderRefusal::NotDue { expires_at, now });
        }
        Ok(vec![OrderEvent::Expired(OrderExpired { user_id, lines, expired_at: now })])
    }

    fn check_line(&self, line: i32) -> Result<(), OrderRefusal> {
        let known = usize::try_from(line).is_ok_and(|line| line < self.prices.len());
        let last = self.prices.len().saturating_sub(1);
        if known { Ok(()) } else { Err(OrderRefusal::UnknownLine { line, last }) }
    }
}
