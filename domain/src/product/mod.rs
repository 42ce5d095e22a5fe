//! A product and its stock: listed, priced, received, reserved for orders, released, shipped, withdrawn.
//!
//! A reservation that cannot be made is an event, not a refusal: the order that waits for it must hear of it.

#![expect(missing_docs, reason = "the fields of a fact say what they are, and their types say the units")]

mod holding;
mod refusal;
mod stock;
#[cfg(test)]
mod tests;

pub use refusal::ProductRefusal;
pub use stock::{SETTLED_LINES, Stock};

use crate::{
    Aggregate, Command, Intent, Money, OrderId, Quantity, ReservationId, Sku, Text,
    reservation::{Forgone, Reserved},
};
use serde::{Deserialize, Serialize};

/// A product: its place in the catalogue and its stock.
///
/// The stock stands beside the catalogue, not inside one of its states: reservations outlive a withdrawal, and a product that was never
/// listed remembers the order lines that it has rejected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    catalogue: Catalogue,
    stock: Stock,
    /// The reservations of stock-keeping units that it never uses.
    forgone: Forgone,
}

/// Where a product stands in the catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Catalogue {
    /// Not created yet.
    #[default]
    NotListed,
    /// It can be ordered.
    Listed(Listing),
    /// It can no longer be ordered; what is reserved is still shipped or released.
    Withdrawn(Listing),
}

/// A product's entry in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The merchant's own name for it.
    pub sku: Sku,
    /// What it is called.
    pub name: Text,
    /// The price of one piece for future reservations.
    pub price: Money,
    /// The reservation of the stock-keeping unit; none where it was listed before there were reservations.
    pub reserved: Option<Reserved>,
}

impl Product {
    /// Where it stands in the catalogue.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Its pieces.
    pub fn stock(&self) -> &Stock {
        &self.stock
    }

    /// The catalogue's entry, or the last one before the withdrawal.
    pub fn listing(&self) -> Option<&Listing> {
        match &self.catalogue {
            Catalogue::NotListed => None,
            Catalogue::Listed(listing) | Catalogue::Withdrawn(listing) => Some(listing),
        }
    }

    /// `listed` or `withdrawn`; none before it was listed.
    pub fn status(&self) -> Option<&'static str> {
        match self.catalogue {
            Catalogue::NotListed => None,
            Catalogue::Listed(_) => Some("listed"),
            Catalogue::Withdrawn(_) => Some("withdrawn"),
        }
    }
}

/// The commands to a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProductCommand {
    /// Puts the product into the catalogue, with the reservation of its stock-keeping unit.
    List {
        sku: Sku,
        name: Text,
        price: Money,
        #[serde(default)]
        reserved: Option<Reserved>,
    },
    /// Changes the price of future reservations.
    ChangePrice { price: Money },
    /// Takes goods into stock.
    ReceiveStock { quantity: Quantity },
    /// Reserves pieces for a line of an order; `agreed_price` overrides the catalogue's price.
    Reserve { order_id: OrderId, line: i32, quantity: Quantity, agreed_price: Option<Money> },
    /// Frees the pieces that are reserved for the line; without a reservation it makes no event.
    Release { order_id: OrderId, line: i32 },
    /// Hands the pieces that are reserved for the line to the carrier; without a reservation it makes no event.
    Ship { order_id: OrderId, line: i32 },
    /// Takes the product out of the catalogue: nothing new is reserved.
    Withdraw { reason: Option<Text> },
    /// Never to use this reservation of a stock-keeping unit; refused where the product is listed as that unit.
    ForgoSku { reserved: Reserved },
    /// A question: refused where the product is listed as the stock-keeping unit of this reservation.
    UsesSku { reservation_id: ReservationId },
}

impl Command for ProductCommand {
    const VERSION: u32 = 2;

    fn version(&self) -> u32 {
        match self {
            Self::List { reserved: None, .. }
            | Self::ChangePrice { .. }
            | Self::ReceiveStock { .. }
            | Self::Reserve { .. }
            | Self::Release { .. }
            | Self::Ship { .. }
            | Self::Withdraw { .. } => 1,
            Self::List { reserved: Some(_), .. } | Self::ForgoSku { .. } | Self::UsesSku { .. } => 2,
        }
    }

    fn intent(&self) -> Intent {
        match self {
            Self::List { sku, name, price, reserved: _ } => Intent::of("list").with("sku", sku).with("name", name).with("price", price),
            Self::ChangePrice { price } => Intent::of("change-price").with("price", price),
            Self::ReceiveStock { quantity } => Intent::of("receive-stock").with("quantity", quantity),
            Self::Reserve { order_id, line, quantity, agreed_price } => {
                let line = Intent::of("reserve").with("order_id", order_id).with("line", line);
                line.with("quantity", quantity).with("agreed_price", agreed_price)
            }
            Self::Release { order_id, line } => Intent::of("release").with("order_id", order_id).with("line", line),
            Self::Ship { order_id, line } => Intent::of("ship").with("order_id", order_id).with("line", line),
            Self::Withdraw { reason } => Intent::of("withdraw").with("reason", reason),
            Self::ForgoSku { reserved } => Intent::of("forgo-sku").with("reserved", reserved),
            Self::UsesSku { reservation_id } => Intent::of("uses-sku").with("reservation_id", reservation_id),
        }
    }
}

event_sourcing::events! {
    /// The events of a product.
    pub enum ProductEvent in "products", "daybook.product" {
        Listed(ProductListed),
        PriceChanged(PriceChanged),
        StockReceived(StockReceived),
        StockReserved(StockReserved),
        ReservationRejected(ReservationRejected),
        StockReleased(StockReleased),
        StockShipped(StockShipped),
        Withdrawn(ProductWithdrawn),
        /// A reservation of a stock-keeping unit will never be used.
        SkuForgone(ProductSkuForgone),
    }
}

/// The product was put into the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductListed {
    pub sku: Sku,
    pub name: Text,
    pub price: Money,
    /// None where it was written before there were reservations.
    pub reserved: Option<Reserved>,
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

/// Pieces are reserved for a line of an order, at the price of one piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockReserved {
    pub order_id: OrderId,
    pub line: i32,
    pub quantity: Quantity,
    pub unit_price: Money,
}

/// Pieces could not be reserved for a line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationRejected {
    pub order_id: OrderId,
    pub line: i32,
    pub quantity: Quantity,
    /// The rule's stable name: `insufficient-stock`, `unknown-product`, `withdrawn-product`, `currency-mismatch`,
    /// `invalid-price`, `invalid-quantity`.
    pub reason: String,
}

/// The pieces that were reserved for a line are free again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockReleased {
    pub order_id: OrderId,
    pub line: i32,
    pub quantity: Quantity,
}

/// The pieces that were reserved for a line have left the house.
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
    /// The reservation of the stock-keeping unit, where it was reserved.
    pub left: Option<Reserved>,
}

/// A reservation of a stock-keeping unit will never be used by this product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductSkuForgone {
    pub reserved: Reserved,
}

impl Aggregate for Product {
    const NAME: &'static str = "product";
    const FOLD: u64 = crate::SOURCES;
    type Command = ProductCommand;
    type Event = ProductEvent;
    type Error = ProductRefusal;

    fn handle(&self, command: ProductCommand) -> Result<Vec<ProductEvent>, ProductRefusal> {
        match command {
            ProductCommand::List { sku, name, price, reserved } => self.list(ProductListed { sku, name, price, reserved }),
            ProductCommand::ChangePrice { price } => self.change_price(price),
            ProductCommand::ReceiveStock { quantity } => self.receive(quantity),
            ProductCommand::Reserve { order_id, line, quantity, agreed_price } => Ok(self.reserve(order_id, line, quantity, agreed_price)),
            ProductCommand::Release { order_id, line } => Ok(self.release(order_id, line)),
            ProductCommand::Ship { order_id, line } => Ok(self.ship(order_id, line)),
            ProductCommand::Withdraw { reason } => self.withdraw(reason),
            ProductCommand::ForgoSku { reserved } => self.forgo(reserved),
            ProductCommand::UsesSku { reservation_id } => self.parts_with(reservation_id).map(|()| vec![]),
        }
    }

    fn apply(&mut self, event: &ProductEvent) {
        match event {
            ProductEvent::Listed(listed) => {
                let ProductListed { sku, name, price, reserved } = listed.clone();
                self.catalogue = Catalogue::Listed(Listing { sku, name, price, reserved });
            }
            ProductEvent::PriceChanged(PriceChanged { price }) => self.price_at(price),
            ProductEvent::StockReceived(StockReceived { quantity }) => self.stock.receive(*quantity),
            ProductEvent::StockReserved(reserved) => self.stock.reserve(reserved),
            ProductEvent::ReservationRejected(rejected) => self.stock.settle(rejected.order_id, rejected.line),
            ProductEvent::StockReleased(released) => self.stock.release(released),
            ProductEvent::StockShipped(shipped) => self.stock.ship(shipped),
            ProductEvent::Withdrawn(ProductWithdrawn { reason: _, left: _ }) => self.take_out(),
            ProductEvent::SkuForgone(ProductSkuForgone { reserved }) => self.forgone.add(*reserved),
        }
    }
}

impl Product {
    fn list(&self, listed: ProductListed) -> Result<Vec<ProductEvent>, ProductRefusal> {
        match &self.catalogue {
            Catalogue::NotListed => {
                legal_price(&listed.price)?;
                self.usable(&listed.sku, listed.reserved)?;
                Ok(vec![ProductEvent::Listed(listed)])
            }
            Catalogue::Listed(known) => Err(ProductRefusal::AlreadyListed { sku: known.sku.clone() }),
            Catalogue::Withdrawn(_) => Err(ProductRefusal::Withdrawn),
        }
    }

    fn change_price(&self, price: Money) -> Result<Vec<ProductEvent>, ProductRefusal> {
        let listing = self.on_sale()?;
        legal_price(&price)?;
        same_currency(listing, &price)?;
        if price == listing.price { Ok(vec![]) } else { Ok(vec![ProductEvent::PriceChanged(PriceChanged { price })]) }
    }

    fn receive(&self, quantity: Quantity) -> Result<Vec<ProductEvent>, ProductRefusal> {
        self.on_sale()?;
        legal_quantity(quantity)?;
        let on_hand = self.stock.on_hand();
        if quantity.get() > Stock::MAX - on_hand {
            return Err(ProductRefusal::TooMuchStock { received: quantity.get(), on_hand });
        }
        Ok(vec![ProductEvent::StockReceived(StockReceived { quantity })])
    }

    fn reserve(&self, order_id: OrderId, line: i32, quantity: Quantity, agreed_price: Option<Money>) -> Vec<ProductEvent> {
        if self.stock.has_answered(order_id, line) {
            return vec![];
        }
        vec![match self.quote(quantity, agreed_price) {
            Ok(unit_price) => ProductEvent::StockReserved(StockReserved { order_id, line, quantity, unit_price }),
            Err(reason) => ProductEvent::ReservationRejected(ReservationRejected { order_id, line, quantity, reason: reason.to_owned() }),
        }]
    }

    /// The price of one piece at which `quantity` can be reserved, or the name of the rule that forbids it.
    fn quote(&self, quantity: Quantity, agreed_price: Option<Money>) -> Result<Money, &'static str> {
        let named = |refusal: ProductRefusal| crate::Refusal::code(&refusal);
        let listing = self.on_sale().map_err(named)?;
        legal_quantity(quantity).map_err(named)?;
        let price = agreed_price.unwrap_or_else(|| listing.price.clone());
        legal_price(&price).map_err(named)?;
        same_currency(listing, &price).map_err(named)?;
        if quantity.get() <= self.stock.available() { Ok(price) } else { Err("insufficient-stock") }
    }

    fn release(&self, order_id: OrderId, line: i32) -> Vec<ProductEvent> {
        let reservation = self.stock.reservation(order_id, line);
        let event = reservation.map(|quantity| ProductEvent::StockReleased(StockReleased { order_id, line, quantity }));
        event.into_iter().collect()
    }

    fn ship(&self, order_id: OrderId, line: i32) -> Vec<ProductEvent> {
        let reservation = self.stock.reservation(order_id, line);
        let event = reservation.map(|quantity| ProductEvent::StockShipped(StockShipped { order_id, line, quantity }));
        event.into_iter().collect()
    }

    fn withdraw(&self, reason: Option<Text>) -> Result<Vec<ProductEvent>, ProductRefusal> {
        match &self.catalogue {
            Catalogue::NotListed => Err(ProductRefusal::Unknown),
            Catalogue::Listed(listing) => Ok(vec![ProductEvent::Withdrawn(ProductWithdrawn { reason, left: listing.reserved })]),
            Catalogue::Withdrawn(_) => Ok(vec![]),
        }
    }

    fn on_sale(&self) -> Result<&Listing, ProductRefusal> {
        match &self.catalogue {
            Catalogue::NotListed => Err(ProductRefusal::Unknown),
            Catalogue::Listed(listing) => Ok(listing),
            Catalogue::Withdrawn(_) => Err(ProductRefusal::Withdrawn),
        }
    }

    fn price_at(&mut self, price: &Money) {
        if let Catalogue::Listed(listing) = &mut self.catalogue {
            listing.price = price.clone();
        }
    }

    fn take_out(&mut self) {
        if let Catalogue::Listed(listing) = &self.catalogue {
            self.catalogue = Catalogue::Withdrawn(listing.clone());
        }
    }
}

/// Checked here again because a command that another node forwards is not parsed at this node's edge.
fn legal_price(price: &Money) -> Result<(), ProductRefusal> {
    let legal = (0..=Money::MAX).contains(&price.amount);
    if legal { Ok(()) } else { Err(ProductRefusal::InvalidPrice { amount: price.amount }) }
}

/// Checked here again for the same reason as [`legal_price`].
fn legal_quantity(quantity: Quantity) -> Result<(), ProductRefusal> {
    let legal = (1..=Quantity::MAX).contains(&quantity.get());
    if legal { Ok(()) } else { Err(ProductRefusal::InvalidQuantity { pieces: quantity.get() }) }
}

fn same_currency(listing: &Listing, price: &Money) -> Result<(), ProductRefusal> {
    let (listed, given) = (&listing.price.currency, &price.currency);
    if listed == given { Ok(()) } else { Err(ProductRefusal::CurrencyMismatch { listed: listed.clone(), given: given.clone() }) }
}
