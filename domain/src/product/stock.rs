use super::{StockReleased, StockReserved, StockShipped};
use crate::{OrderId, Quantity};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many settled lines (rejected, released or shipped) a product remembers, the latest ones.
///
/// A repeat comes from a reactor that reads again from its last checkpoint, so it comes soon; and it carries the same
/// command id, which the writer remembers as well. Remembering every line ever sold would make a product's state grow
/// for ever. Open reservations are never forgotten.
pub const SETTLED_LINES: usize = 4096;

/// A line of an order.
type Line = (OrderId, i32);

/// The pieces of a product: how many are in stock, and how many are reserved for which line of which order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    on_hand: i64,
    reserved: i64,
    open: BTreeMap<Line, Quantity>,
    settled: BTreeSet<Line>,
    /// The settled lines by age, the oldest first, which is the first to be forgotten.
    ages: VecDeque<Line>,
}

impl Stock {
    /// The most pieces that may be in stock.
    pub const MAX: i64 = 1_000_000_000_000;

    /// The pieces in stock, reserved ones included.
    pub fn on_hand(&self) -> i64 {
        self.on_hand
    }

    /// The pieces that are reserved for orders.
    pub fn reserved(&self) -> i64 {
        self.reserved
    }

    /// The pieces that can still be reserved.
    pub fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }

    /// How many pieces are reserved for a line, if any are.
    pub fn reservation(&self, order_id: OrderId, line: i32) -> Option<Quantity> {
        self.open.get(&(order_id, line)).copied()
    }

    /// True when the line has had its answer: reserved, rejected, or (as far back as is remembered) released or shipped.
    pub(super) fn has_answered(&self, order_id: OrderId, line: i32) -> bool {
        let line = (order_id, line);
        self.open.contains_key(&line) || self.settled.contains(&line)
    }

    pub(super) fn receive(&mut self, quantity: Quantity) {
        self.on_hand = self.on_hand.saturating_add(quantity.get());
    }

    pub(super) fn reserve(&mut self, event: &StockReserved) {
        self.reserved = self.reserved.saturating_add(event.quantity.get());
        self.open.insert((event.order_id, event.line), event.quantity);
    }

    pub(super) fn release(&mut self, event: &StockReleased) {
        self.reserved = self.reserved.saturating_sub(event.quantity.get());
        self.settle(event.order_id, event.line);
    }

    pub(super) fn ship(&mut self, event: &StockShipped) {
        self.reserved = self.reserved.saturating_sub(event.quantity.get());
        self.on_hand = self.on_hand.saturating_sub(event.quantity.get());
        self.settle(event.order_id, event.line);
    }

    /// Remembers that the line has had its last answer.
    pub(super) fn settle(&mut self, order_id: OrderId, line: i32) {
        let line = (order_id, line);
        self.open.remove(&line);
        if self.settled.insert(line) {
            self.ages.push_back(line);
        }
        if self.ages.len() > SETTLED_LINES
            && let Some(oldest) = self.ages.pop_front()
        {
            self.settled.remove(&oldest);
        }
    }
}
