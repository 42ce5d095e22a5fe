//! Batches for tests, as a subscription would deliver them.

use domain::{
    Currency, Email, Money, OrderId, PaymentId, ProductId, Quantity, Sku, Text, UserId,
    order::{OrderCancelled, OrderEvent, OrderLine, OrderLineReserved, OrderPlaced, OrderReserved},
    payment::{PaymentEvent, PaymentRequested, PaymentVoided},
    product::{ProductEvent, ProductListed, StockReceived, StockReleased, StockReserved},
    user::{UserEvent, UserRegistered},
};
use event_sourcing::{Cause, Context, Event, Position, Recorded, Timestamp};
use event_store::{Batch, Checkpoint, Counted, PartitionId, Passed};
use uuid::Uuid;

/// A partition's log, written from offset 1 (a claim stands at 0).
pub struct Feed {
    source: PartitionId,
    records: Vec<Counted>,
    read: usize,
}

impl Feed {
    pub fn new(service: &str, partition: i32) -> Self {
        Self { source: PartitionId { service: service.into(), partition }, records: Vec::new(), read: 0 }
    }

    /// Writes an event, `millis` after the epoch.
    pub fn write<E: Event>(&mut self, aggregate_id: Uuid, millis: i64, event: &E) -> &mut Self {
        let bytes = schemas::bundled().encode(event).unwrap();
        let PartitionId { service, partition } = self.source.clone();
        let offset = self.records.len() as i64 + 1;
        let version = self.records.iter().filter(|record| record.aggregate_id == aggregate_id).count() as u64 + 1;
        self.records.push(Recorded::new(
            Context {
                position: Position { service: service.clone(), partition, offset },
                aggregate_id,
                version,
                event_id: format!("{service}-{partition}-{offset}/0"),
                type_name: event.type_name().into(),
                time: Timestamp(millis),
                cause: Cause { actor: "user/ada".into(), correlation_id: "c-1".into(), causation_id: None, traceparent: None },
            },
            bytes.into(),
        ));
        self
    }

    /// All records that were written since the last call.
    pub fn batch(&mut self) -> Batch {
        let (from, to) = (self.read, self.records.len());
        self.read = to;
        let at = |count: usize| match count {
            0 => Checkpoint::default(),
            count => Checkpoint::new(count as i64 + 1, Some(0)),
        };
        Batch {
            source: self.source.clone(),
            from: at(from),
            to: at(to),
            records: self.records[from..to].to_vec(),
            passed: Passed::default(),
        }
    }
}

pub fn gbp(pence: i64) -> Money {
    Money::new(pence, "GBP".parse::<Currency>().unwrap()).unwrap()
}

pub fn user(name: &str) -> UserId {
    UserId::derive("test", name)
}

pub fn order(name: &str) -> OrderId {
    OrderId::derive("test", name)
}

pub fn product(name: &str) -> ProductId {
    ProductId::derive("test", name)
}

pub fn registered(name: &str) -> UserEvent {
    let email: Email = format!("{}@example.com", name.to_lowercase()).parse().unwrap();
    UserEvent::Registered(UserRegistered { email, name: name.parse::<Text>().unwrap(), address: None, reserved: None })
}

pub fn listed(sku: &str) -> ProductEvent {
    let name: Text = "Lantern".parse().unwrap();
    ProductEvent::Listed(ProductListed { sku: sku.parse::<Sku>().unwrap(), name, price: gbp(255), reserved: None })
}

pub fn received(count: i64) -> ProductEvent {
    ProductEvent::StockReceived(StockReceived { quantity: Quantity::new(count).unwrap() })
}

pub fn stock_reserved(order_id: OrderId, count: i64) -> ProductEvent {
    let quantity = Quantity::new(count).unwrap();
    ProductEvent::StockReserved(StockReserved { order_id, line: 0, quantity, unit_price: gbp(255) })
}

pub fn stock_released(order_id: OrderId, count: i64) -> ProductEvent {
    ProductEvent::StockReleased(StockReleased { order_id, line: 0, quantity: Quantity::new(count).unwrap() })
}

fn lines() -> Vec<OrderLine> {
    vec![OrderLine { product_id: product("lantern"), quantity: Quantity::new(2).unwrap(), agreed_price: None }]
}

pub fn placed(by: &str, at: i64) -> OrderEvent {
    let (placed_at, expires_at) = (Timestamp(at), Timestamp(at + 900_000));
    let payment_method = "card".parse().unwrap();
    OrderEvent::Placed(OrderPlaced { user_id: user(by), lines: lines(), payment_method, placed_at, expires_at, awaits_customer: true })
}

pub fn line_reserved() -> OrderEvent {
    OrderEvent::LineReserved(OrderLineReserved { line: 0, unit_price: gbp(255) })
}

pub fn order_reserved(by: &str) -> OrderEvent {
    OrderEvent::Reserved(OrderReserved { user_id: user(by), total: gbp(510), payment_method: "card".parse().unwrap() })
}

pub fn cancelled(by: &str) -> OrderEvent {
    OrderEvent::Cancelled(OrderCancelled { user_id: user(by), lines: lines(), reason: "no longer wanted".into() })
}

pub fn payment_requested(order_id: OrderId) -> (PaymentId, PaymentEvent) {
    let (user_id, method) = (user("Ada"), "card".parse().unwrap());
    (PaymentId::for_order(order_id), PaymentEvent::Requested(PaymentRequested { order_id, user_id, amount: gbp(510), method }))
}

pub fn payment_voided(order_id: OrderId) -> PaymentEvent {
    PaymentEvent::Voided(PaymentVoided { order_id, reason: "order-cancelled".into(), amount: None })
}
