//! A row per event that concerns an order, whichever service it happened in.

use super::{event_json::event_json, saga::Step};
use crate::{Column, Table, TableSpec, View};
use domain::{
    OrderId, Timestamp,
    notification::{NotificationEvent, NotificationRequested},
    payment::{PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentEvent, PaymentRefunded, PaymentRequested, PaymentVoided},
    product::{ProductEvent, ReservationRejected, StockReleased, StockReserved, StockShipped},
};
use event_store::{Position, Recorded};
use schemas::AnyEvent;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One event of an order's story. `event` is the record's short name: `OrderPlaced`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineRow {
    pub position: String,
    pub order_id: OrderId,
    pub service: String,
    pub partition: i32,
    pub offset: i64,
    pub event_id: String,
    pub causation_id: Option<String>,
    pub time: Timestamp,
    pub actor: String,
    pub event: String,
    pub step: Step,
    pub data: Value,
}

impl Table for TimelineRow {
    const SPEC: TableSpec = TableSpec {
        name: "timeline",
        key: "position",
        columns: &[
            Column::text("position"),
            Column::text("order_id"),
            Column::text("service"),
            Column::integer("partition"),
            Column::integer("offset"),
            Column::text("event_id"),
            Column::text("causation_id"),
            Column::timestamp("time"),
            Column::text("actor"),
            Column::text("event"),
            Column::text("step"),
            Column::json("data"),
        ],
        indexes: &[&["order_id", "service", "partition", "offset"]],
    };
}

/// The view.
pub struct Timeline;

impl View for Timeline {
    const NAME: &'static str = "timeline";
    const SOURCES: &'static [&'static str] = &["orders", "products", "payments", "notifications"];
    type Event = AnyEvent;
    type Key = Position;
    type Row = TimelineRow;

    fn keys(event: &Recorded<AnyEvent>) -> impl Iterator<Item = Position> {
        order_of(event).map(|_| event.position.clone()).into_iter()
    }

    fn begins(_: &Recorded<AnyEvent>) -> bool {
        true
    }

    fn apply(_: Option<TimelineRow>, record: &Recorded<AnyEvent>) -> Option<TimelineRow> {
        let Position { service, partition, offset } = &record.position;
        let name = record.type_name.rsplit('.').next().unwrap_or(&record.type_name);
        Some(TimelineRow {
            position: record.position.to_string(),
            order_id: order_of(record)?,
            service: service.to_string(),
            partition: *partition,
            offset: *offset,
            event_id: record.event_id.clone(),
            causation_id: record.cause.causation_id.clone(),
            time: record.time,
            actor: record.cause.actor.clone(),
            event: name.to_owned(),
            step: Step::of(&record.event),
            data: event_json(&record.event),
        })
    }
}

/// The order that an event concerns.
fn order_of(record: &Recorded<AnyEvent>) -> Option<OrderId> {
    match &record.event {
        AnyEvent::Order(_) => Some(OrderId(record.aggregate_id)),
        AnyEvent::Product(event) => product(event),
        AnyEvent::Payment(event) => Some(payment(event)),
        AnyEvent::Notification(event) => notification(event),
        AnyEvent::User(_) => None,
    }
}

fn product(event: &ProductEvent) -> Option<OrderId> {
    match event {
        ProductEvent::StockReserved(StockReserved { order_id, .. })
        | ProductEvent::ReservationRejected(ReservationRejected { order_id, .. })
        | ProductEvent::StockReleased(StockReleased { order_id, .. })
        | ProductEvent::StockShipped(StockShipped { order_id, .. }) => Some(*order_id),
        ProductEvent::Listed(_) | ProductEvent::PriceChanged(_) | ProductEvent::StockReceived(_) | ProductEvent::Withdrawn(_) => None,
    }
}

fn payment(event: &PaymentEvent) -> OrderId {
    match event {
        PaymentEvent::Requested(PaymentRequested { order_id, .. })
        | PaymentEvent::Authorised(PaymentAuthorised { order_id, .. })
        | PaymentEvent::Declined(PaymentDeclined { order_id, .. })
        | PaymentEvent::Captured(PaymentCaptured { order_id, .. })
        | PaymentEvent::Voided(PaymentVoided { order_id, .. })
        | PaymentEvent::Refunded(PaymentRefunded { order_id, .. }) => *order_id,
    }
}

fn notification(event: &NotificationEvent) -> Option<OrderId> {
    match event {
        NotificationEvent::Requested(NotificationRequested { order_id, .. }) => *order_id,
        // They do not say which order their request was about.
        NotificationEvent::Delivered(_) | NotificationEvent::Failed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::{
        orders::tests::placed,
        testing::{ID, pieces, recorded},
    };
    use domain::product::StockReceived;

    #[test]
    fn an_event_of_another_service_is_found_by_the_order_that_it_names() {
        let order_id = OrderId::derive("t", "o");
        let event = ProductEvent::StockShipped(StockShipped { order_id, line: 0, quantity: pieces(1) });
        let record = recorded("products", 4, AnyEvent::Product(event));
        assert_eq!(Timeline::keys(&record).map(|key| key.to_string()).collect::<Vec<_>>(), ["products/2/4"]);
        let row = Timeline::apply(None, &record).unwrap();
        assert_eq!((row.order_id, row.step, row.data["quantity"].as_i64()), (order_id, Step::StockShipped, Some(1)));
    }

    #[test]
    fn an_order_concerns_itself_and_a_delivery_of_goods_no_order() {
        let row = Timeline::apply(None, &recorded("orders", 1, AnyEvent::Order(placed()))).unwrap();
        assert_eq!((row.order_id, row.event.as_str()), (OrderId(ID), "Event"));
        let received = AnyEvent::Product(ProductEvent::StockReceived(StockReceived { quantity: pieces(3) }));
        assert_eq!(Timeline::keys(&recorded("products", 2, received)).count(), 0);
    }
}
