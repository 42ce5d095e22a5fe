//! A row per product, with its stock as the events count it.

use crate::payments::views::MoneyShape;
use domain::{
    Money, ProductId, Timestamp,
    product::{PriceChanged, ProductEvent, ProductListed, ProductWithdrawn},
};
use event_sourcing::Recorded;
use projections::{Column, Table, TableSpec, View};
use serde::{Deserialize, Serialize};

/// A product. `on_hand` pieces are in the house, `reserved` of them are kept for orders, `available` are free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Product)]
pub struct ProductRow {
    #[schema(value_type = uuid::Uuid)]
    pub product_id: ProductId,
    pub sku: String,
    pub name: String,
    #[schema(value_type = MoneyShape)]
    pub price: Money,
    pub on_hand: i64,
    pub reserved: i64,
    pub available: i64,
    pub withdrawn: bool,
    #[schema(value_type = String, format = DateTime)]
    pub listed_at: Timestamp,
    pub version: u64,
}

impl Table for ProductRow {
    const SPEC: TableSpec = TableSpec {
        name: "products",
        key: "product_id",
        columns: &[
            Column::text("product_id"),
            Column::text("sku"),
            Column::text("name"),
            Column::json("price"),
            Column::integer("on_hand"),
            Column::integer("reserved"),
            Column::integer("available"),
            Column::boolean("withdrawn"),
            Column::timestamp("listed_at"),
            Column::integer("version"),
        ],
        indexes: &[&["sku", "product_id"]],
    };
}

/// The view.
pub struct Products;

impl View for Products {
    const NAME: &'static str = "products";
    type Event = ProductEvent;
    type Key = ProductId;
    type Row = ProductRow;

    fn keys(event: &Recorded<ProductEvent>) -> impl Iterator<Item = ProductId> {
        std::iter::once(ProductId(event.aggregate_id))
    }

    fn begins(event: &Recorded<ProductEvent>) -> bool {
        event.version == 1
    }

    fn apply(row: Option<ProductRow>, record: &Recorded<ProductEvent>) -> Option<ProductRow> {
        let row = match &record.event {
            ProductEvent::Listed(event) => Some(listed(event, record)),
            ProductEvent::PriceChanged(PriceChanged { price }) => row.map(|row| ProductRow { price: price.clone(), ..row }),
            ProductEvent::StockReceived(event) => row.map(|row| stock(row, event.quantity.get(), 0)),
            ProductEvent::StockReserved(event) => row.map(|row| stock(row, 0, event.quantity.get())),
            // A rejection may be the first event of a product that was never listed: then there is no row to change.
            ProductEvent::ReservationRejected(_) => row,
            ProductEvent::StockReleased(event) => row.map(|row| stock(row, 0, -event.quantity.get())),
            ProductEvent::StockShipped(event) => row.map(|row| stock(row, -event.quantity.get(), -event.quantity.get())),
            ProductEvent::Withdrawn(ProductWithdrawn { reason: _, left: _ }) => row.map(|row| ProductRow { withdrawn: true, ..row }),
            ProductEvent::SkuForgone(_) => row,
        };
        row.map(|row| ProductRow { version: record.version, ..row })
    }
}

fn listed(event: &ProductListed, record: &Recorded<ProductEvent>) -> ProductRow {
    let ProductListed { sku, name, price, reserved: _ } = event;
    ProductRow {
        product_id: ProductId(record.aggregate_id),
        sku: sku.to_string(),
        name: name.to_string(),
        price: price.clone(),
        on_hand: 0,
        reserved: 0,
        available: 0,
        withdrawn: false,
        listed_at: record.time,
        version: record.version,
    }
}

/// Changes the stock on hand and the reserved stock by so many pieces.
fn stock(row: ProductRow, on_hand: i64, reserved: i64) -> ProductRow {
    let (on_hand, reserved) = (row.on_hand + on_hand, row.reserved + reserved);
    ProductRow { on_hand, reserved, available: on_hand - reserved, ..row }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{folded, gbp, pieces, text};
    use domain::{
        OrderId,
        product::{ReservationRejected, StockReceived, StockReleased, StockReserved, StockShipped},
    };

    fn listed() -> ProductEvent {
        ProductEvent::Listed(ProductListed { sku: text("85123A"), name: text("Lantern"), price: gbp(255), reserved: None })
    }

    fn received(count: i64) -> ProductEvent {
        ProductEvent::StockReceived(StockReceived { quantity: pieces(count) })
    }

    fn reserved(line: i32, count: i64) -> ProductEvent {
        let (order_id, quantity) = (OrderId::derive("a", "b"), pieces(count));
        ProductEvent::StockReserved(StockReserved { order_id, line, quantity, unit_price: gbp(255) })
    }

    #[test]
    fn what_is_kept_is_in_the_house_but_not_free() {
        let row = folded::<Products>([listed(), received(10), reserved(0, 3), reserved(1, 2)]).unwrap();
        assert_eq!((row.on_hand, row.reserved, row.available, row.version), (10, 5, 5, 4));
    }

    #[test]
    fn released_is_free_again_and_shipped_is_gone() {
        let order_id = OrderId::derive("a", "b");
        let released = ProductEvent::StockReleased(StockReleased { order_id, line: 0, quantity: pieces(3) });
        let shipped = ProductEvent::StockShipped(StockShipped { order_id, line: 1, quantity: pieces(2) });
        let row = folded::<Products>([listed(), received(10), reserved(0, 3), reserved(1, 2), released, shipped]).unwrap();
        assert_eq!((row.on_hand, row.reserved, row.available), (8, 0, 8));
    }

    #[test]
    fn a_withdrawn_product_keeps_its_stock_and_its_new_price() {
        let withdrawn = ProductEvent::Withdrawn(ProductWithdrawn { reason: None, left: None });
        let row = folded::<Products>([listed(), received(4), ProductEvent::PriceChanged(PriceChanged { price: gbp(300) }), withdrawn]);
        let row = row.unwrap();
        assert_eq!((row.withdrawn, row.available, row.price), (true, 4, gbp(300)));
    }

    #[test]
    fn a_rejection_by_an_unknown_product_makes_no_row() {
        let (order_id, quantity, reason) = (OrderId::derive("a", "b"), pieces(1), "unknown-product".to_owned());
        let rejected = ProductEvent::ReservationRejected(ReservationRejected { order_id, line: 0, quantity, reason });
        assert_eq!(folded::<Products>([rejected]), None);
    }
}
