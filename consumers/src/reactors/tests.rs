//! Given an event, when a service hears of it, then it asks for this. Together the rows are the saga.

use super::{Effect, Reaction, react};
use crate::commands::Command;
use domain::{
    Money, NotificationId, OrderId, PaymentId, ProductId, Quantity, Timestamp, UserId,
    notification::{NotificationCommand, NotificationDelivered, NotificationEvent, NotificationFailed, NotificationRequested},
    order::{
        OrderCancelled, OrderCommand, OrderConfirmed, OrderEvent, OrderExpired, OrderLine, OrderLineRejected, OrderLineReserved,
        OrderPlaced, OrderReserved,
    },
    payment::{
        PaymentAuthorised, PaymentCaptured, PaymentCommand, PaymentDeclined, PaymentEvent, PaymentRefunded, PaymentRequested, PaymentVoided,
    },
    product::{PriceChanged, ProductCommand, ProductEvent, ReservationRejected, StockReceived, StockReleased, StockReserved, StockShipped},
};
use event_store::{Cause, Context, Position, Recorded};
use schemas::AnyEvent;
use uuid::Uuid;

const SERVICES: [&str; 5] = schemas::SERVICES;

fn order() -> OrderId {
    OrderId::derive("t", "order")
}

fn payment() -> PaymentId {
    PaymentId::for_order(order())
}

fn user() -> UserId {
    UserId::derive("t", "ada")
}

fn product(key: &str) -> ProductId {
    ProductId::derive("t", key)
}

fn pieces(count: i64) -> Quantity {
    Quantity::new(count).expect("a quantity")
}

fn gbp(amount: i64) -> Money {
    Money { amount, currency: "GBP".parse().expect("a currency") }
}

fn lines() -> Vec<OrderLine> {
    let line = |key, count| OrderLine { product_id: product(key), quantity: pieces(count), agreed_price: None };
    vec![line("a", 2), line("b", 1)]
}

fn of(aggregate_id: Uuid, event: AnyEvent) -> Recorded<AnyEvent> {
    Recorded::new(
        Context {
            position: Position { service: "any".into(), partition: 0, offset: 7 },
            aggregate_id,
            version: 1,
            event_id: "e/1".into(),
            type_name: "any".into(),
            time: Timestamp(1),
            cause: Cause { actor: "ada".into(), correlation_id: "c".into(), causation_id: None, traceparent: None },
        },
        event,
    )
}

fn of_order(event: OrderEvent) -> Recorded<AnyEvent> {
    of(order().0, AnyEvent::Order(event))
}

fn of_payment(event: PaymentEvent) -> Recorded<AnyEvent> {
    of(payment().0, AnyEvent::Payment(event))
}

fn of_product(event: ProductEvent) -> Recorded<AnyEvent> {
    of(product("a").0, AnyEvent::Product(event))
}

/// What all services make of an event, those that make nothing of it left out.
fn then(given: &Recorded<AnyEvent>) -> Vec<(&'static str, Reaction)> {
    SERVICES.into_iter().flat_map(|service| react(service, given).into_iter().map(move |reaction| (service, reaction))).collect()
}

fn commands(service: &'static str, reactor: &'static str, commands: Vec<Command>) -> (&'static str, Reaction) {
    (service, Reaction::Commands(reactor, commands))
}

fn each_line(command: impl Fn(i32) -> ProductCommand) -> Vec<Command> {
    vec![Command::Product(product("a"), command(0)), Command::Product(product("b"), command(1))]
}

/// The command that tells the customer, whose words are not of interest here.
fn told(reactions: Vec<(&'static str, Reaction)>) -> Vec<(&'static str, Reaction)> {
    let words = |command: Command| match command {
        Command::Notification(id, NotificationCommand::Request { user_id, order_id, kind, .. }) => {
            Command::Notification(id, NotificationCommand::Request { user_id, order_id, kind, subject: String::new(), body: String::new() })
        }
        other => other,
    };
    let quiet = |reaction| match reaction {
        Reaction::Commands(reactor, commands) => Reaction::Commands(reactor, commands.into_iter().map(words).collect()),
        effect @ Reaction::Effect(..) => effect,
    };
    reactions.into_iter().map(|(service, reaction)| (service, quiet(reaction))).collect()
}

fn tells(kind: &str) -> (&'static str, Reaction) {
    let id = NotificationId::derive("order", &format!("{}/{kind}", order()));
    let (order_id, kind) = (Some(order()), kind.to_owned());
    let request = NotificationCommand::Request { user_id: user(), order_id, kind, subject: String::new(), body: String::new() };
    commands("notifications", "request-notification", vec![Command::Notification(id, request)])
}

#[test]
fn an_order_placed_reserves_each_line() {
    let given = of_order(OrderEvent::Placed(OrderPlaced {
        user_id: user(),
        lines: lines(),
        payment_method: "card".parse().expect("a text"),
        placed_at: Timestamp(1),
        expires_at: Timestamp(2),
    }));
    let reserve =
        |line: i32| ProductCommand::Reserve { order_id: order(), line, quantity: lines()[line as usize].quantity, agreed_price: None };
    assert_eq!(then(&given), [commands("products", "reserve-stock", each_line(reserve))]);
}

#[test]
fn stock_reserved_or_not_is_recorded_by_its_order() {
    let reserved = StockReserved { order_id: order(), line: 1, quantity: pieces(2), unit_price: gbp(250) };
    let record = OrderCommand::RecordReservation { line: 1, unit_price: gbp(250) };
    assert_eq!(
        then(&of_product(ProductEvent::StockReserved(reserved))),
        [commands("orders", "record-reservation", vec![Command::Order(order(), record)])]
    );
    let rejected = ReservationRejected { order_id: order(), line: 1, quantity: pieces(2), reason: "insufficient-stock".into() };
    let record = OrderCommand::RecordRejection { line: 1, reason: "insufficient-stock".into() };
    assert_eq!(
        then(&of_product(ProductEvent::ReservationRejected(rejected))),
        [commands("orders", "record-rejection", vec![Command::Order(order(), record)])]
    );
}

#[test]
fn an_order_wholly_reserved_asks_for_its_payment() {
    let method: domain::Text = "card".parse().expect("a text");
    let given = of_order(OrderEvent::Reserved(OrderReserved { user_id: user(), total: gbp(700), payment_method: method.clone() }));
    let request = PaymentCommand::Request { order_id: order(), user_id: user(), amount: gbp(700), method };
    assert_eq!(then(&given), [commands("payments", "request-payment", vec![Command::Payment(payment(), request)])]);
}

#[test]
fn a_payment_requested_is_authorised_at_the_gateway_unless_there_is_nothing_to_pay() {
    let requested = |pence| {
        let (amount, method) = (gbp(pence), "card".parse().expect("a text"));
        of_payment(PaymentEvent::Requested(PaymentRequested { order_id: order(), user_id: user(), amount, method }))
    };
    let ask = Effect::Authorise { payment: payment(), amount: gbp(700), method: "card".into() };
    assert_eq!(then(&requested(700)), [("payments", Reaction::Effect("authorise-payment", ask))]);
    let nothing = PaymentCommand::RecordAuthorisation { reference: "nothing-to-pay".into() };
    assert_eq!(then(&requested(0)), [commands("payments", "authorise-payment", vec![Command::Payment(payment(), nothing)])]);
}

#[test]
fn the_gateways_word_confirms_the_order_or_takes_it_off() {
    let authorised = PaymentAuthorised { order_id: order(), reference: "r".into() };
    let confirm = OrderCommand::Confirm { payment_id: payment() };
    assert_eq!(
        then(&of_payment(PaymentEvent::Authorised(authorised))),
        [commands("orders", "confirm-order", vec![Command::Order(order(), confirm)])]
    );
    let declined = PaymentDeclined { order_id: order(), reason: "no funds".into() };
    let record = OrderCommand::RecordDecline { payment_id: payment(), reason: "no funds".into() };
    assert_eq!(
        then(&of_payment(PaymentEvent::Declined(declined))),
        [commands("orders", "record-decline", vec![Command::Order(order(), record)])]
    );
}

#[test]
fn a_confirmed_order_is_shipped_captured_and_told() {
    let confirmed = OrderConfirmed { user_id: user(), lines: lines(), total: gbp(700), payment_id: payment() };
    let ship = |line| ProductCommand::Ship { order_id: order(), line };
    assert_eq!(
        told(then(&of_order(OrderEvent::Confirmed(confirmed)))),
        [
            commands("products", "ship-stock", each_line(ship)),
            ("payments", Reaction::Effect("capture-payment", Effect::Capture { payment: payment() })),
            tells("order-confirmed"),
        ]
    );
}

#[test]
fn an_order_that_is_off_gives_back_stock_and_money_and_is_told() {
    let release = |line| ProductCommand::Release { order_id: order(), line };
    let void = |reason: &str| vec![Command::Payment(payment(), PaymentCommand::Void { reason: reason.into() })];
    let cancelled = OrderEvent::Cancelled(OrderCancelled { user_id: user(), lines: lines(), reason: "payment-declined".into() });
    let expired = OrderEvent::Expired(OrderExpired { user_id: user(), lines: lines(), expired_at: Timestamp(3) });
    for (event, reason, kind) in [(cancelled, "payment-declined", "order-cancelled"), (expired, "order-expired", "order-expired")] {
        assert_eq!(
            told(then(&of_order(event))),
            [commands("products", "release-stock", each_line(release)), commands("payments", "void-payment", void(reason)), tells(kind)]
        );
    }
}

#[test]
fn what_a_payment_decides_the_gateway_does() {
    let voided = PaymentEvent::Voided(PaymentVoided { order_id: order(), reason: "order-expired".into() });
    assert_eq!(then(&of_payment(voided)), [("payments", Reaction::Effect("void-hold", Effect::Void { payment: payment() }))]);
    let refunded = PaymentRefunded { order_id: order(), refund_id: "r1".into(), amount: gbp(90), refunded: gbp(90) };
    let give_back = Effect::Refund { payment: payment(), refund: "r1".into(), amount: gbp(90) };
    assert_eq!(then(&of_payment(PaymentEvent::Refunded(refunded))), [("payments", Reaction::Effect("refund-payment", give_back))]);
}

#[test]
fn a_notification_requested_is_delivered() {
    let id = NotificationId::derive("t", "n");
    let requested = NotificationRequested {
        user_id: user(),
        order_id: Some(order()),
        kind: "order-confirmed".into(),
        subject: "s".into(),
        body: "b".into(),
    };
    let deliver = Effect::Deliver { notification: id, user: user(), subject: "s".into(), body: "b".into() };
    let given = of(id.0, AnyEvent::Notification(NotificationEvent::Requested(requested)));
    assert_eq!(then(&given), [("notifications", Reaction::Effect("deliver", deliver))]);
}

#[test]
fn what_ends_a_branch_leads_to_nothing() {
    let id = NotificationId::derive("t", "n").0;
    let ends = [
        of_order(OrderEvent::LineReserved(OrderLineReserved { line: 0, unit_price: gbp(1) })),
        of_order(OrderEvent::LineRejected(OrderLineRejected { line: 0, reason: "r".into() })),
        of_payment(PaymentEvent::Captured(PaymentCaptured { order_id: order(), amount: gbp(700) })),
        of_product(ProductEvent::StockReleased(StockReleased { order_id: order(), line: 0, quantity: pieces(1) })),
        of_product(ProductEvent::StockShipped(StockShipped { order_id: order(), line: 0, quantity: pieces(1) })),
        of_product(ProductEvent::StockReceived(StockReceived { quantity: pieces(1) })),
        of_product(ProductEvent::PriceChanged(PriceChanged { price: gbp(2) })),
        of(id, AnyEvent::Notification(NotificationEvent::Delivered(NotificationDelivered { user_id: user() }))),
        of(id, AnyEvent::Notification(NotificationEvent::Failed(NotificationFailed { user_id: user(), reason: "r".into() }))),
    ];
    for given in ends {
        assert_eq!(then(&given), [], "{:?}", given.event);
    }
}
