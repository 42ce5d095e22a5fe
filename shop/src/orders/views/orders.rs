//! A row per order. A user's orders are these, filtered by `user_id`.

use crate::payments::views::MoneyShape;
use domain::{
    Money, OrderId, PaymentId, ProductId, Timestamp, UserId,
    order::{OrderCancelled, OrderConfirmed, OrderEvent, OrderExpired, OrderLineReserved, OrderPlaced, OrderReserved},
};
use event_sourcing::Recorded;
use projections::{Column, Table, TableSpec, View};
use serde::{Deserialize, Serialize};

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OrderStatus {
    /// It waits for its customer to be known, for stock or for its payment.
    Placed,
    /// It is paid for.
    Confirmed,
    /// It was called off: a line was rejected, the payment was declined, or somebody cancelled it.
    Cancelled,
    /// It was not confirmed in time.
    Expired,
}

/// One line of an order, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = OrderLine)]
pub struct Line {
    pub line: i32,
    #[schema(value_type = uuid::Uuid)]
    pub product_id: ProductId,
    pub quantity: i64,
    /// The price that the product stated when it reserved the pieces; none before.
    #[schema(value_type = Option<MoneyShape>)]
    pub unit_price: Option<Money>,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Order)]
pub struct OrderRow {
    #[schema(value_type = uuid::Uuid)]
    pub order_id: OrderId,
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    pub status: OrderStatus,
    pub lines: Vec<Line>,
    #[schema(value_type = Option<MoneyShape>)]
    pub total: Option<Money>,
    #[schema(value_type = Option<uuid::Uuid>)]
    pub payment_id: Option<PaymentId>,
    pub payment_method: String,
    pub reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub placed_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closed_at: Option<Timestamp>,
    pub version: u64,
}

impl Table for OrderRow {
    const SPEC: TableSpec = TableSpec {
        name: "orders",
        key: "order_id",
        columns: &[
            Column::text("order_id"),
            Column::text("user_id"),
            Column::text("status"),
            Column::json("lines"),
            Column::json("total"),
            Column::text("payment_id"),
            Column::text("payment_method"),
            Column::text("reason"),
            Column::timestamp("placed_at"),
            Column::timestamp("expires_at"),
            Column::timestamp("closed_at"),
            Column::integer("version"),
        ],
        indexes: &[&["placed_at", "order_id"], &["user_id", "placed_at", "order_id"], &["status", "placed_at", "order_id"]],
    };
    const ACCOUNT: Option<&'static str> = Some("user_id");
}

/// The view.
pub struct Orders;

impl View for Orders {
    const NAME: &'static str = "orders";
    type Event = OrderEvent;
    type Key = OrderId;
    type Row = OrderRow;

    fn keys(event: &Recorded<OrderEvent>) -> impl Iterator<Item = OrderId> {
        std::iter::once(OrderId(event.aggregate_id))
    }

    fn begins(event: &Recorded<OrderEvent>) -> bool {
        event.version == 1
    }

    fn apply(row: Option<OrderRow>, record: &Recorded<OrderEvent>) -> Option<OrderRow> {
        let row = match &record.event {
            OrderEvent::Placed(event) => Some(placed(event, record)),
            OrderEvent::LineReserved(event) => row.map(|row| priced(row, event)),
            // What comes next shows: the reservations, or the cancellation that stands beside a rejection and gives the reason.
            OrderEvent::Accepted(_) | OrderEvent::LineRejected(_) => row,
            OrderEvent::Reserved(OrderReserved { total, .. }) => row.map(|row| reserved(row, total)),
            OrderEvent::Confirmed(event) => row.map(|row| confirmed(row, event, record.time)),
            OrderEvent::Cancelled(OrderCancelled { reason, .. }) => {
                row.map(|row| OrderRow { reason: Some(reason.clone()), ..closed(row, OrderStatus::Cancelled, record.time) })
            }
            OrderEvent::Expired(OrderExpired { expired_at, .. }) => row.map(|row| closed(row, OrderStatus::Expired, *expired_at)),
        };
        row.map(|row| OrderRow { version: record.version, ..row })
    }
}

fn placed(event: &OrderPlaced, record: &Recorded<OrderEvent>) -> OrderRow {
    let OrderPlaced { user_id, lines, payment_method, placed_at, expires_at, awaits_customer: _ } = event;
    let lines = lines.iter().zip(0..).map(|(line, number)| Line {
        line: number,
        product_id: line.product_id,
        quantity: line.quantity.get(),
        unit_price: None,
    });
    OrderRow {
        order_id: OrderId(record.aggregate_id),
        user_id: *user_id,
        status: OrderStatus::Placed,
        lines: lines.collect(),
        total: None,
        payment_id: None,
        payment_method: payment_method.to_string(),
        reason: None,
        placed_at: *placed_at,
        expires_at: *expires_at,
        closed_at: None,
        version: record.version,
    }
}

fn priced(mut row: OrderRow, event: &OrderLineReserved) -> OrderRow {
    if let Some(line) = row.lines.iter_mut().find(|line| line.line == event.line) {
        line.unit_price = Some(event.unit_price.clone());
    }
    row
}

fn reserved(row: OrderRow, total: &Money) -> OrderRow {
    let payment_id = Some(PaymentId::for_order(row.order_id));
    OrderRow { total: Some(total.clone()), payment_id, ..row }
}

fn confirmed(row: OrderRow, event: &OrderConfirmed, at: Timestamp) -> OrderRow {
    let (payment_id, total) = (Some(event.payment_id), Some(event.total.clone()));
    OrderRow { payment_id, total, ..closed(row, OrderStatus::Confirmed, at) }
}

fn closed(row: OrderRow, status: OrderStatus, at: Timestamp) -> OrderRow {
    OrderRow { status, closed_at: Some(at), ..row }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::{folded, gbp, pieces, text};
    use domain::order::{OrderAccepted, OrderLine};

    pub(crate) fn lines() -> Vec<OrderLine> {
        let line = |key: &str, count| OrderLine { product_id: ProductId::derive("t", key), quantity: pieces(count), agreed_price: None };
        vec![line("a", 2), line("b", 1)]
    }

    pub(crate) fn ada() -> UserId {
        UserId::derive("t", "ada")
    }

    pub(crate) fn placed() -> OrderEvent {
        let (user_id, lines, payment_method) = (ada(), lines(), text("card"));
        let (placed_at, expires_at) = (Timestamp(5), Timestamp(900_005));
        OrderEvent::Placed(OrderPlaced { user_id, lines, payment_method, placed_at, expires_at, awaits_customer: true })
    }

    pub(crate) fn accepted() -> OrderEvent {
        OrderEvent::Accepted(OrderAccepted { user_id: ada(), lines: lines() })
    }

    pub(crate) fn line_reserved(line: i32, pence: i64) -> OrderEvent {
        OrderEvent::LineReserved(OrderLineReserved { line, unit_price: gbp(pence) })
    }

    pub(crate) fn all_reserved() -> OrderEvent {
        OrderEvent::Reserved(OrderReserved { user_id: ada(), total: gbp(700), payment_method: text("card") })
    }

    pub(crate) fn cancelled() -> OrderEvent {
        OrderEvent::Cancelled(OrderCancelled { user_id: ada(), lines: lines(), reason: "payment-declined".into() })
    }

    #[test]
    fn prices_arrive_line_by_line_and_the_total_with_the_last() {
        let row = folded::<Orders>([placed(), accepted(), line_reserved(1, 200)]).unwrap();
        assert_eq!(row.lines[0].unit_price, None);
        assert_eq!((row.lines[1].unit_price.clone(), row.total), (Some(gbp(200)), None));
        let row = folded::<Orders>([placed(), line_reserved(1, 200), line_reserved(0, 250), all_reserved()]).unwrap();
        assert_eq!((row.total, row.status, row.version), (Some(gbp(700)), OrderStatus::Placed, 4));
    }

    #[test]
    fn a_paid_order_is_confirmed() {
        let payment_id = PaymentId::derive("t", "p");
        let paid = OrderEvent::Confirmed(OrderConfirmed { user_id: ada(), lines: lines(), total: gbp(700), payment_id });
        let row = folded::<Orders>([placed(), all_reserved(), paid]).unwrap();
        assert_eq!((row.status, row.payment_id, row.closed_at), (OrderStatus::Confirmed, Some(payment_id), Some(Timestamp(3000))));
    }

    #[test]
    fn a_cancelled_order_says_why_and_an_expired_one_when() {
        let row = folded::<Orders>([placed(), cancelled()]).unwrap();
        assert_eq!((row.status, row.reason.as_deref()), (OrderStatus::Cancelled, Some("payment-declined")));
        let late = OrderEvent::Expired(OrderExpired { user_id: ada(), lines: lines(), expired_at: Timestamp(900_006) });
        let row = folded::<Orders>([placed(), late]).unwrap();
        assert_eq!((row.status, row.closed_at), (OrderStatus::Expired, Some(Timestamp(900_006))));
    }
}
