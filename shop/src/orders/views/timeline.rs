//! A row per event that concerns an order, whichever service it happened in.

use super::step::Step;
use codec::Codecs;
use domain::{
    OrderId,
    notification::{NotificationEvent, NotificationRequested},
    order::OrderEvent,
    payment::{
        PaymentAuthorised, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentEvent, PaymentRefundFailed,
        PaymentRefundRequested, PaymentRefundSettled, PaymentRefunded, PaymentRequested, PaymentVoided,
    },
    product::{ProductEvent, ReservationRejected, StockReleased, StockReserved, StockShipped},
    user::{CustomerRefused, CustomerVouched, UserEvent},
};
use event_sourcing::{AnyEvent, Cause, Context, Event, Position, Recorded, Timestamp, WrongRecord, to_json};
use projections::{Column, Table, TableSpec, View};
use serde::{Deserialize, Serialize};
use serde_json::Value;

event_sourcing::union! {
    /// The events of an order's story.
    pub enum StoryEvent {
        Order(OrderEvent),
        User(UserEvent),
        Product(ProductEvent),
        Payment(PaymentEvent),
        Notification(NotificationEvent),
    }
}

impl StoryEvent {
    /// Its record's fields as JSON.
    fn to_json(&self) -> Value {
        match self {
            Self::Order(event) => to_json(event),
            Self::User(event) => to_json(event),
            Self::Product(event) => to_json(event),
            Self::Payment(event) => to_json(event),
            Self::Notification(event) => to_json(event),
        }
    }
}

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
    type Event = StoryEvent;
    type Key = Position;
    type Row = TimelineRow;

    fn keys(event: &Recorded<StoryEvent>) -> impl Iterator<Item = Position> {
        order_of(event).map(|_| event.position.clone()).into_iter()
    }

    fn begins(_: &Recorded<StoryEvent>) -> bool {
        true
    }

    fn apply(_: Option<TimelineRow>, record: &Recorded<StoryEvent>) -> Option<TimelineRow> {
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
            data: record.event.to_json(),
        })
    }
}

/// The order that an event concerns.
fn order_of(record: &Recorded<StoryEvent>) -> Option<OrderId> {
    match &record.event {
        StoryEvent::Order(_) => Some(OrderId(record.aggregate_id)),
        StoryEvent::User(event) => user(event),
        StoryEvent::Product(event) => product(event),
        StoryEvent::Payment(event) => Some(payment(event)),
        StoryEvent::Notification(event) => notification(event),
    }
}

/// Of a user's events only the answers about an order: who the customer is stays out of the order's story.
fn user(event: &UserEvent) -> Option<OrderId> {
    match event {
        UserEvent::Vouched(CustomerVouched { order_id }) | UserEvent::Refused(CustomerRefused { order_id, .. }) => Some(*order_id),
        UserEvent::Registered(_) | UserEvent::ProfileChanged(_) | UserEvent::Closed(_) | UserEvent::EmailForgone(_) => None,
    }
}

fn product(event: &ProductEvent) -> Option<OrderId> {
    match event {
        ProductEvent::StockReserved(StockReserved { order_id, .. })
        | ProductEvent::ReservationRejected(ReservationRejected { order_id, .. })
        | ProductEvent::StockReleased(StockReleased { order_id, .. })
        | ProductEvent::StockShipped(StockShipped { order_id, .. }) => Some(*order_id),
        ProductEvent::Listed(_)
        | ProductEvent::PriceChanged(_)
        | ProductEvent::StockReceived(_)
        | ProductEvent::Withdrawn(_)
        | ProductEvent::SkuForgone(_) => None,
    }
}

fn payment(event: &PaymentEvent) -> OrderId {
    match event {
        PaymentEvent::Requested(PaymentRequested { order_id, .. })
        | PaymentEvent::Authorised(PaymentAuthorised { order_id, .. })
        | PaymentEvent::Declined(PaymentDeclined { order_id, .. })
        | PaymentEvent::Captured(PaymentCaptured { order_id, .. })
        | PaymentEvent::CaptureFailed(PaymentCaptureFailed { order_id, .. })
        | PaymentEvent::Voided(PaymentVoided { order_id, .. })
        | PaymentEvent::RefundRequested(PaymentRefundRequested { order_id, .. })
        | PaymentEvent::RefundSettled(PaymentRefundSettled { order_id, .. })
        | PaymentEvent::RefundFailed(PaymentRefundFailed { order_id, .. })
        | PaymentEvent::Refunded(PaymentRefunded { order_id, .. }) => *order_id,
    }
}

fn notification(event: &NotificationEvent) -> Option<OrderId> {
    match event {
        NotificationEvent::Requested(NotificationRequested { order_id, .. }) => *order_id,
        // These events do not name the order of their request.
        NotificationEvent::Delivered(_) | NotificationEvent::Failed(_) => None,
    }
}

/// The order's own events, from rows of its timeline, which must come in the log's order.
///
/// # Errors
/// A row does not hold an event of an order.
pub fn of_timeline(rows: Vec<TimelineRow>, codecs: &Codecs) -> impl Iterator<Item = Result<Recorded<AnyEvent>, WrongRecord>> {
    let own = rows.into_iter().filter(|row| row.service == OrderEvent::SERVICE);
    own.zip(1..).map(|(row, version)| of_entry(row, version, codecs))
}

fn of_entry(row: TimelineRow, version: u64, codecs: &Codecs) -> Result<Recorded<AnyEvent>, WrongRecord> {
    let type_name = format!("daybook.order.{}", row.event);
    let event = codecs.from_json(OrderEvent::SERVICE, &type_name, row.data)?;
    Ok(Recorded::new(
        Context {
            position: Position { service: row.service.into(), partition: row.partition, offset: row.offset },
            aggregate_id: row.order_id.0,
            version,
            event_id: row.event_id,
            type_name: type_name.into(),
            time: row.time,
            cause: Cause { actor: row.actor, correlation_id: String::new(), causation_id: row.causation_id, traceparent: None },
        },
        event,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        orders::views::orders::{
            Orders,
            tests::{all_reserved, cancelled, line_reserved, placed},
        },
        testing::{ID, gbp, pieces, recorded},
    };
    use domain::{UserId, product::StockReceived};
    use projections::{AsOf, erased, http::AsItWas};

    #[test]
    fn an_event_of_another_service_is_found_by_the_order_that_it_names() {
        let order_id = OrderId::derive("t", "o");
        let event = ProductEvent::StockShipped(StockShipped { order_id, line: 0, quantity: pieces(1) });
        let record = recorded("products", 4, event.into());
        assert_eq!(Timeline::keys(&record).map(|key| key.to_string()).collect::<Vec<_>>(), ["products/2/4"]);
        let row = Timeline::apply(None, &record).unwrap();
        assert_eq!((row.order_id, row.step, row.data["quantity"].as_i64()), (order_id, Step::StockShipped, Some(1)));
    }

    #[test]
    fn an_account_tells_of_an_order_only_whether_it_vouches_for_it() {
        let order_id = OrderId::derive("t", "o");
        let refused = UserEvent::Refused(CustomerRefused { order_id, reason: "closed-account".into() });
        let row = Timeline::apply(None, &recorded("users", 3, refused.into())).unwrap();
        assert_eq!((row.order_id, row.step, row.data["reason"].as_str()), (order_id, Step::Noted, Some("closed-account")));
        let closed = UserEvent::Closed(domain::user::UserClosed { reason: None, left: None });
        assert_eq!(Timeline::keys(&recorded("users", 2, closed.into())).count(), 0);
    }

    #[test]
    fn an_order_concerns_itself_and_a_delivery_of_goods_no_order() {
        let row = Timeline::apply(None, &recorded("orders", 1, placed().into())).unwrap();
        assert_eq!((row.order_id, row.event.as_str()), (OrderId(ID), "Event"));
        let received = ProductEvent::StockReceived(StockReceived { quantity: pieces(3) });
        assert_eq!(Timeline::keys(&recorded("products", 2, received.into())).count(), 0);
    }

    #[test]
    fn what_becomes_of_the_money_is_in_its_orders_story() {
        let (order_id, user_id, refund_id) = (OrderId::derive("t", "o"), UserId::derive("t", "ada"), "r".to_owned());
        let (amount, reason) = (gbp(300), "card-expired".to_owned());
        let events = [
            PaymentEvent::CaptureFailed(PaymentCaptureFailed { order_id, user_id, amount: amount.clone(), reason: reason.clone() }),
            PaymentEvent::RefundRequested(PaymentRefundRequested {
                order_id,
                user_id,
                refund_id: refund_id.clone(),
                amount: amount.clone(),
            }),
            PaymentEvent::RefundFailed(PaymentRefundFailed { order_id, user_id, refund_id, amount, reason }),
        ];
        let rows = events.map(|event| Timeline::apply(None, &recorded("payments", 1, event.into())).unwrap());
        assert_eq!(rows.each_ref().map(|row| row.order_id), [order_id; 3]);
        assert_eq!(rows.map(|row| row.step), [Step::PaymentCaptureFailed, Step::RefundRequested, Step::RefundFailed]);
    }

    /// The n-th event happens at n seconds.
    fn story() -> Vec<Recorded<OrderEvent>> {
        let events = [placed(), line_reserved(0, 250), line_reserved(1, 200), all_reserved(), cancelled()];
        let written = |(version, event): (u64, OrderEvent)| {
            let (type_name, record) = (event.type_name().into(), recorded("orders", version, ()));
            Recorded::new(Context { type_name, ..(*record.context).clone() }, event)
        };
        (1..).zip(events).map(written).collect()
    }

    /// The order's status and version then, folded from its timeline.
    fn status(at: &AsOf) -> Option<(String, u64)> {
        let rows = story().iter().filter_map(|record| Timeline::apply(None, &record.with(record.event.clone().into()))).collect();
        let (codecs, mut folded) = (schemas::codecs(schemas::bundled()), AsItWas::new(&*erased::<Orders>(), Some(at.clone())));
        let _all = of_timeline(rows, &codecs).all(|event| folded.fold(&event.unwrap()).unwrap());
        let row = folded.row()?;
        Some((row["status"].as_str()?.to_owned(), row["version"].as_u64()?))
    }

    #[test]
    fn an_order_is_shown_as_it_was_at_a_moment_or_a_place() {
        let place = |offset| AsOf::Position(Position { service: "orders".into(), partition: 2, offset });
        assert_eq!(status(&AsOf::Time(Timestamp(999))), None, "it was not there yet");
        assert_eq!(status(&AsOf::Time(Timestamp(4_999))), Some(("placed".into(), 4)));
        assert_eq!(status(&AsOf::Time(Timestamp(5_000))), Some(("cancelled".into(), 5)));
        assert_eq!(status(&place(3)), Some(("placed".into(), 3)));
        assert_eq!(status(&place(0)), None);
    }
}
