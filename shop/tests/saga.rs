//! Given an event, when the services read it, then they ask for these commands and effects. Together the rows are the saga.

use consumers::{Effect, Reaction, Reactor, Task};
use domain::{
    Money, NotificationId, OrderId, PaymentId, ProductId, Quantity, Timestamp, UserId,
    notification::{
        Notification, NotificationCommand, NotificationDelivered, NotificationEvent, NotificationFailed, NotificationRequested,
    },
    order::{
        Order, OrderAccepted, OrderCancelled, OrderCommand, OrderConfirmed, OrderEvent, OrderExpired, OrderLine, OrderLineRejected,
        OrderLineReserved, OrderPlaced, OrderReserved,
    },
    payment::{
        Payment, PaymentAuthorised, PaymentCaptureFailed, PaymentCaptured, PaymentCommand, PaymentDeclined, PaymentEvent,
        PaymentRefundFailed, PaymentRefundRequested, PaymentRefundSettled, PaymentRefunded, PaymentRequested, PaymentVoided,
    },
    product::{
        PriceChanged, Product, ProductCommand, ProductEvent, ReservationRejected, StockReceived, StockReleased, StockReserved, StockShipped,
    },
    user::{CustomerRefused, CustomerVouched, User, UserClosed, UserCommand, UserEvent},
};
use event_sourcing::{AnyEvent, Cause, Context, Event, Position, Recorded};
use shop::{
    notifications::{self, effects::DELIVER, effects::Deliver},
    orders,
    payments::{
        self,
        effects::{AUTHORISE, Authorise, CAPTURE, REFUND, Refund, VOID},
    },
    products, users,
};
use uuid::Uuid;

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

fn of(aggregate_id: Uuid, event: impl Event) -> Recorded<AnyEvent> {
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
        AnyEvent::new(event),
    )
}

fn of_order(event: OrderEvent) -> Recorded<AnyEvent> {
    of(order().0, event)
}

fn of_payment(event: PaymentEvent) -> Recorded<AnyEvent> {
    of(payment().0, event)
}

fn of_product(event: ProductEvent) -> Recorded<AnyEvent> {
    of(product("a").0, event)
}

/// The reactions of all services to an event.
fn then(given: &Recorded<AnyEvent>) -> Vec<(&'static str, Reaction)> {
    let all: [(&'static str, Vec<Reactor>); 5] = [
        ("users", users::reactors::reactors()),
        ("products", products::reactors::reactors()),
        ("orders", orders::reactors::reactors()),
        ("payments", payments::reactors::reactors()),
        ("notifications", notifications::reactors::reactors()),
    ];
    let made = |(service, reactors): (&'static str, Vec<Reactor>)| {
        let reactions: Vec<_> = reactors.iter().flat_map(|reactor| reactor.react(given)).collect();
        reactions.into_iter().map(move |reaction| (service, reaction))
    };
    all.into_iter().flat_map(made).collect()
}

fn to_order(reactor: &'static str, command: &OrderCommand) -> (&'static str, Reaction) {
    ("orders", Reaction::command::<Order>(reactor, order().0, command))
}

fn to_payment(reactor: &'static str, command: &PaymentCommand) -> (&'static str, Reaction) {
    ("payments", Reaction::command::<Payment>(reactor, payment().0, command))
}

fn each_line(reactor: &'static str, command: impl Fn(i32) -> ProductCommand) -> Vec<(&'static str, Reaction)> {
    let ask = |(line, key): (i32, &str)| ("products", Reaction::command::<Product>(reactor, product(key).0, &command(line)));
    (0..).zip(["a", "b"]).map(ask).collect()
}

fn at_the_gateway(reactor: &'static str, effect: Effect) -> (&'static str, Reaction) {
    ("payments", Reaction::effect(reactor, effect))
}

/// A message's kind and text.
type Message = (String, String);

/// Splits reactions into messages and the others.
fn told(reactions: Vec<(&'static str, Reaction)>) -> (Vec<Message>, Vec<(&'static str, Reaction)>) {
    let (messages, others): (Vec<_>, Vec<_>) = reactions.into_iter().partition(|(_, reaction)| reaction.reactor == "request-notification");
    let kind = |(_, reaction): (&str, Reaction)| match reaction.task {
        Task::Command(command) => match command.read::<Notification>().expect("a command to a notification") {
            NotificationCommand::Request { user_id, order_id, kind, body, .. } => {
                assert_eq!((user_id, order_id), (user(), Some(order())));
                (kind, body)
            }
            other => panic!("{other:?}"),
        },
        Task::Effect(effect) => panic!("{effect:?}"),
    };
    (messages.into_iter().map(kind).collect(), others)
}

fn kinds(messages: &[(String, String)]) -> Vec<&str> {
    messages.iter().map(|(kind, _)| kind.as_str()).collect()
}

fn of_user(event: UserEvent) -> Recorded<AnyEvent> {
    of(user().0, event)
}

fn placed(awaits_customer: bool) -> Recorded<AnyEvent> {
    of_order(OrderEvent::Placed(OrderPlaced {
        user_id: user(),
        lines: lines(),
        payment_method: "card".parse().expect("a text"),
        placed_at: Timestamp(1),
        expires_at: Timestamp(2),
        awaits_customer,
    }))
}

fn reserve(line: i32) -> ProductCommand {
    ProductCommand::Reserve { order_id: order(), line, quantity: lines()[line as usize].quantity, agreed_price: None }
}

#[test]
fn an_order_placed_asks_its_customers_account_and_reserves_nothing() {
    let vouch = Reaction::command::<User>("vouch-for-customer", user().0, &UserCommand::VouchFor { order_id: order() });
    assert_eq!(then(&placed(true)), [("users", vouch)]);
}

#[test]
fn the_accounts_word_accepts_the_order_or_takes_it_off() {
    let vouched = of_user(UserEvent::Vouched(CustomerVouched { order_id: order() }));
    assert_eq!(then(&vouched), [to_order("accept-customer", &OrderCommand::AcceptCustomer)]);
    let refused = of_user(UserEvent::Refused(CustomerRefused { order_id: order(), reason: "closed-account".into() }));
    let refuse = OrderCommand::RefuseCustomer { reason: "closed-account".into() };
    assert_eq!(then(&refused), [to_order("refuse-customer", &refuse)]);
}

#[test]
fn an_accepted_order_reserves_each_line() {
    let accepted = of_order(OrderEvent::Accepted(OrderAccepted { user_id: user(), lines: lines() }));
    assert_eq!(then(&accepted), each_line("reserve-stock", reserve));
}

/// After an upgrade the users' reader begins at the start of the orders' log, and the products' reader goes on where it stood.
#[test]
fn an_order_of_an_earlier_build_asks_nobody_and_reserves_at_once() {
    assert_eq!(then(&placed(false)), each_line("reserve-stock", reserve));
}

#[test]
fn stock_reserved_or_not_is_recorded_by_its_order() {
    let reserved = StockReserved { order_id: order(), line: 1, quantity: pieces(2), unit_price: gbp(250) };
    let record = OrderCommand::RecordReservation { line: 1, unit_price: gbp(250) };
    assert_eq!(then(&of_product(ProductEvent::StockReserved(reserved))), [to_order("record-reservation", &record)]);
    let rejected = ReservationRejected { order_id: order(), line: 1, quantity: pieces(2), reason: "insufficient-stock".into() };
    let record = OrderCommand::RecordRejection { line: 1, reason: "insufficient-stock".into() };
    assert_eq!(then(&of_product(ProductEvent::ReservationRejected(rejected))), [to_order("record-rejection", &record)]);
}

#[test]
fn an_order_wholly_reserved_asks_for_its_payment() {
    let method: domain::Text = "card".parse().expect("a text");
    let given = of_order(OrderEvent::Reserved(OrderReserved { user_id: user(), total: gbp(700), payment_method: method.clone() }));
    let request = PaymentCommand::Request { order_id: order(), user_id: user(), amount: gbp(700), method };
    assert_eq!(then(&given), [to_payment("request-payment", &request)]);
}

#[test]
fn a_payment_requested_is_authorised_at_the_gateway_unless_there_is_nothing_to_pay() {
    let requested = |pence| {
        let (amount, method) = (gbp(pence), "card".parse().expect("a text"));
        of_payment(PaymentEvent::Requested(PaymentRequested { order_id: order(), user_id: user(), amount, method }))
    };
    let ask = Effect::new(AUTHORISE, payment().0).with(&Authorise { amount: gbp(700), method: "card".into() });
    let ask = ask.while_allowed::<Payment>(&PaymentCommand::MayAuthorise);
    assert_eq!(then(&requested(700)), [at_the_gateway("authorise-payment", ask)]);
    let nothing = PaymentCommand::RecordAuthorisation { reference: "nothing-to-pay".into() };
    assert_eq!(then(&requested(0)), [to_payment("authorise-payment", &nothing)]);
}

#[test]
fn the_gateways_word_confirms_the_order_or_takes_it_off() {
    let authorised = PaymentAuthorised { order_id: order(), reference: "r".into() };
    let confirm = OrderCommand::Confirm { payment_id: payment() };
    assert_eq!(then(&of_payment(PaymentEvent::Authorised(authorised))), [to_order("confirm-order", &confirm)]);
    let declined = PaymentDeclined { order_id: order(), reason: "no funds".into() };
    let record = OrderCommand::RecordDecline { payment_id: payment(), reason: "no funds".into() };
    assert_eq!(then(&of_payment(PaymentEvent::Declined(declined))), [to_order("record-decline", &record)]);
}

#[test]
fn a_confirmed_order_is_shipped_captured_and_told() {
    let confirmed = |pence| {
        of_order(OrderEvent::Confirmed(OrderConfirmed { user_id: user(), lines: lines(), total: gbp(pence), payment_id: payment() }))
    };
    let (messages, others) = told(then(&confirmed(590)));
    let mut expected = each_line("ship-stock", |line| ProductCommand::Ship { order_id: order(), line });
    let capture = Effect::new(CAPTURE, payment().0).while_allowed::<Payment>(&PaymentCommand::MayCapture);
    expected.push(at_the_gateway("capture-payment", capture));
    assert_eq!((kinds(&messages), others), (vec!["order-confirmed"], expected));
    assert!(messages[0].1.contains("is paid (£5.90)"), "{}", messages[0].1);
    let free = told(then(&confirmed(0))).1;
    assert_eq!(
        free.last(),
        Some(&to_payment("capture-payment", &PaymentCommand::RecordCapture)),
        "nothing to take: the gateway is not asked"
    );
}

#[test]
fn an_order_that_is_off_gives_back_stock_and_money_and_is_told() {
    let cancelled = OrderEvent::Cancelled(OrderCancelled { user_id: user(), lines: lines(), reason: "payment-declined".into() });
    let expired = OrderEvent::Expired(OrderExpired { user_id: user(), lines: lines(), expired_at: Timestamp(3) });
    for (event, reason, kind) in [(cancelled, "payment-declined", "order-cancelled"), (expired, "order-expired", "order-expired")] {
        let (messages, others) = told(then(&of_order(event)));
        let mut expected = each_line("release-stock", |line| ProductCommand::Release { order_id: order(), line });
        expected.push(to_payment("void-payment", &PaymentCommand::Void { reason: reason.into() }));
        assert_eq!((kinds(&messages), others), (vec![kind], expected));
    }
}

#[test]
fn a_hold_is_lifted_where_there_may_be_one() {
    let voided = |amount| {
        let voided = PaymentVoided { order_id: order(), reason: "order-expired".into(), amount };
        then(&of_payment(PaymentEvent::Voided(voided)))
    };
    let lift = at_the_gateway("void-hold", Effect::new(VOID, payment().0));
    assert_eq!(voided(Some(gbp(700))), std::slice::from_ref(&lift));
    assert_eq!(voided(None), [lift], "an earlier build did not say how much it was");
    assert_eq!(voided(Some(gbp(0))), []);
}

#[test]
fn a_refund_is_done_by_the_gateway_and_told_at_each_step() {
    let (order_id, user_id, refund_id, amount) = (order(), user(), "r1".to_owned(), gbp(90));
    let effect = Effect::new(REFUND, payment().0).keyed(&format!("{}/r1", payment()));
    let effect = effect.with(&Refund { refund_id: "r1".into(), amount: gbp(90) });
    let asked = PaymentRefundRequested { order_id, user_id, refund_id: refund_id.clone(), amount: amount.clone() };
    let (messages, others) = told(then(&of_payment(PaymentEvent::RefundRequested(asked))));
    let guarded = effect.clone().while_allowed::<Payment>(&PaymentCommand::MayRefund { refund_id: "r1".into() });
    assert_eq!((kinds(&messages), others), (vec!["refund-requested"], vec![at_the_gateway("refund-payment", guarded)]));
    let settled = PaymentRefundSettled { order_id, user_id, refund_id: refund_id.clone(), amount: amount.clone(), refunded: gbp(90) };
    let (messages, others) = told(then(&of_payment(PaymentEvent::RefundSettled(settled))));
    assert_eq!((kinds(&messages), others), (vec!["refund-settled"], vec![]));
    let failed = PaymentRefundFailed { order_id, user_id, refund_id: refund_id.clone(), amount: amount.clone(), reason: "no".into() };
    let (messages, others) = told(then(&of_payment(PaymentEvent::RefundFailed(failed))));
    assert_eq!((kinds(&messages), others), (vec!["refund-failed"], vec![]));
    let booked = PaymentRefunded { order_id, refund_id, amount, refunded: gbp(90) };
    assert_eq!(then(&of_payment(PaymentEvent::Refunded(booked))), [at_the_gateway("refund-payment", effect)], "as an earlier build asked");
}

#[test]
fn money_that_could_not_be_taken_is_told() {
    let failed = PaymentCaptureFailed { order_id: order(), user_id: user(), amount: gbp(700), reason: "no".into() };
    let (messages, others) = told(then(&of_payment(PaymentEvent::CaptureFailed(failed))));
    assert_eq!((kinds(&messages), others), (vec!["capture-failed"], vec![]));
}

#[test]
fn a_notification_requested_is_delivered_unless_it_was() {
    let id = NotificationId::derive("t", "n");
    let requested = NotificationRequested {
        user_id: user(),
        order_id: Some(order()),
        kind: "order-confirmed".into(),
        subject: "s".into(),
        body: "b".into(),
    };
    let deliver = Effect::new(DELIVER, id.0).with(&Deliver { user: user(), subject: "s".into(), body: "b".into() });
    let deliver = deliver.while_allowed::<Notification>(&NotificationCommand::MayDeliver);
    let given = of(id.0, NotificationEvent::Requested(requested));
    assert_eq!(then(&given), [("notifications", Reaction::effect("deliver", deliver))]);
}

#[test]
fn what_ends_a_branch_leads_to_nothing() {
    let id = NotificationId::derive("t", "n").0;
    let ends = [
        of_user(UserEvent::Closed(UserClosed { reason: None, left: None })),
        of_order(OrderEvent::LineReserved(OrderLineReserved { line: 0, unit_price: gbp(1) })),
        of_order(OrderEvent::LineRejected(OrderLineRejected { line: 0, reason: "r".into() })),
        of_payment(PaymentEvent::Captured(PaymentCaptured { order_id: order(), amount: gbp(700) })),
        of_product(ProductEvent::StockReleased(StockReleased { order_id: order(), line: 0, quantity: pieces(1) })),
        of_product(ProductEvent::StockShipped(StockShipped { order_id: order(), line: 0, quantity: pieces(1) })),
        of_product(ProductEvent::StockReceived(StockReceived { quantity: pieces(1) })),
        of_product(ProductEvent::PriceChanged(PriceChanged { price: gbp(2) })),
        of(id, NotificationEvent::Delivered(NotificationDelivered { user_id: user() })),
        of(id, NotificationEvent::Failed(NotificationFailed { user_id: user(), reason: "r".into() })),
    ];
    for given in ends {
        assert_eq!(then(&given), [], "{:?}", given.event);
    }
}
