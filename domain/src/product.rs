//! A product and its stock: listed, priced, received, reserved for orders, released, shipped, withdrawn.
//!
//! A reservation that cannot be made is an event, not a refusal: the order that waits for it must hear of it.

use crate::{Money, OrderId, Quantity, Sku, Text};
use serde::{Deserialize, Serialize};

/// What may be asked of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProductCommand {
    /// Puts the product into the catalogue.
    List { sku: Sku, name: Text, price: Money },
    /// Changes the price of future reservations.
    ChangePrice { price: Money },
    /// Takes goods into stock.
    ReceiveStock { quantity: Quantity },
    /// Keeps pieces for a line of an order; `agreed_price` overrides the catalogue's price.
    Reserve { order_id: OrderId, line: i32, quantity: Quantity, agreed_price: Option<Money> },
    /// Gives back what was reserved for the line; nothing reserved makes no event.
    Release { order_id: OrderId, line: i32 },
    /// Hands what was reserved for the line to the carrier; nothing reserved makes no event.
    Ship { order_id: OrderId, line: i32 },
    /// Takes the product out of the catalogue: nothing new is reserved.
    Withdraw { reason: Option<Text> },
}

/// What may have happened to a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProductEvent {
    Listed(ProductListed),
    PriceChanged(PriceChanged),
    StockReceived(StockReceived),
    StockReserved(StockReserved),
    ReservationRejected(ReservationRejected),
    StockReleased(StockReleased),
    StockShipped(StockShipped),
    Withdrawn(ProductWithdrawn),
}

/// The product was put into the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductListed {
    pub sku: Sku,
    pub name: Text,
    pub price: Money,
}

/// Future reservations have a new price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceChanged {
    pub price: Money,
}

/// Goods came into stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockReceived {
    pub quantity: Quantity,
}

/// Pieces are kept for a line of an order, at the price of one piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockReserved {
    pub order_id: OrderId,
    pub line: i32,
    pub quantity: Quantity,
    pub unit_price: Money,
}

/// Pieces could not be kept for a line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationRejected {
    pub order_id: OrderId,
    pub line: i32,
    pub quantity: Quantity,
    /// The rule's stable name: `insufficient-stock`, `unknown-product`, `withdrawn-product`.
    pub reason: String,
}

/// What was kept for a line is free again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockReleased {
    pub order_id: OrderId,
    pub line: i32,
    pub quantity: Quantity,
}

/// What was kept for a line has left the house.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockShipped {
    pub order_id: OrderId,
    pub line: i32,
    pub quantity: Quantity,
}

/// The product was taken out of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductWithdrawn {
    pub reason: Option<Text>,
}
