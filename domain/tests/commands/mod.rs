//! Random commands: mostly sensible ones on few identities, so that they meet, and now and then the worst numbers there are.

use domain::notification::NotificationCommand;
use domain::order::{OrderCommand, OrderLine};
use domain::payment::PaymentCommand;
use domain::product::ProductCommand;
use domain::reservation::{Kind, ReservationCommand, Reserved};
use domain::user::UserCommand;
use domain::{Currency, Email, HolderId, Money, OrderId, PaymentId, ProductId, Quantity, ReservationId, Sku, Text, Timestamp, UserId};
use proptest::{collection::vec, option, prelude::*, sample::select};
use uuid::Uuid;

fn worst() -> impl Strategy<Value = i64> {
    let edges = select(vec![i64::MIN, -1, 0, 1, Quantity::MAX, Quantity::MAX + 1, Money::MAX, Money::MAX + 1, i64::MAX]);
    prop_oneof![edges, any::<i64>()]
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![9 => 1..50_i64, 1 => worst()]
}

fn line_number() -> impl Strategy<Value = i32> {
    prop_oneof![9 => 0..3_i32, 1 => any::<i32>()]
}

fn currency() -> impl Strategy<Value = Currency> {
    prop_oneof![15 => Just("GBP"), 1 => Just("EUR")].prop_map(|code| code.parse().unwrap())
}

fn money() -> impl Strategy<Value = Money> {
    (number(), currency()).prop_map(|(amount, currency)| Money { amount, currency })
}

/// Any number of pieces, since what another node forwards is not parsed again.
fn quantity() -> impl Strategy<Value = Quantity> {
    number().prop_map(|pieces| serde_json::from_value(pieces.into()).unwrap())
}

fn text() -> impl Strategy<Value = Text> {
    select(vec!["a", "b", "c"]).prop_map(|text| text.parse().unwrap())
}

fn name() -> impl Strategy<Value = String> {
    select(vec!["a", "b", "c", "void", ""]).prop_map(str::to_owned)
}

fn order_id() -> impl Strategy<Value = OrderId> {
    (0..4_u8).prop_map(|n| OrderId::derive("laws", &n.to_string()))
}

fn moment() -> impl Strategy<Value = Timestamp> {
    number().prop_map(Timestamp)
}

/// A sensible beginning nine times out of ten, then anything.
fn history<C: Clone + std::fmt::Debug>(
    beginning: impl Strategy<Value = C>,
    any: impl Strategy<Value = C>,
) -> impl Strategy<Value = Vec<C>> {
    let whole = (option::weighted(0.9, beginning), vec(any, 0..40));
    whole.prop_map(|(first, rest)| first.into_iter().chain(rest).collect())
}

pub fn user_commands() -> impl Strategy<Value = Vec<UserCommand>> {
    let email = || select(vec!["a@example.com", "A@example.com", "b@example.com"]).prop_map(|text| text.parse::<Email>().unwrap());
    let register = (email(), text(), option::of(text()), 1..9_i64).prop_map(|(email, name, address, number)| {
        let reserved = Some(reserved(ReservationId::of_email(&email), number));
        UserCommand::Register { email, name, address, reserved }
    });
    let change = (option::of(email()), option::of(text()), option::of(text()), 1..9_i64).prop_map(|(email, name, address, number)| {
        let reserved = email.as_ref().map(|email| reserved(ReservationId::of_email(email), number));
        UserCommand::ChangeProfile { email, name, address, reserved }
    });
    let close = option::of(text()).prop_map(|reason| UserCommand::Close { reason });
    let forgo = (email(), 1..9_i64)
        .prop_map(|(email, number)| UserCommand::ForgoEmail { reserved: reserved(ReservationId::of_email(&email), number) });
    let vouch = order_id().prop_map(|order_id| UserCommand::VouchFor { order_id });
    vec(prop_oneof![3 => register, 12 => change, 1 => close, 6 => vouch, 3 => forgo], 0..40)
}

fn reserved(reservation_id: ReservationId, number: i64) -> Reserved {
    Reserved { reservation_id, number }
}

pub fn reservation_commands() -> impl Strategy<Value = Vec<ReservationCommand>> {
    let holder = || (0..3_u128).prop_map(|number| HolderId(Uuid::from_u128(number)));
    let reserve = (holder(), moment()).prop_map(|(holder, now)| ReservationCommand::Reserve { kind: Kind::Sku, holder, now });
    let end = (holder(), 1..9_i64).prop_map(|(holder, number)| ReservationCommand::End { holder, number });
    let wait = (holder(), moment()).prop_map(|(holder, now)| ReservationCommand::Await { kind: Kind::Sku, holder, now });
    vec(prop_oneof![4 => reserve, 4 => end, 1 => wait, 1 => Just(ReservationCommand::Open)], 0..40)
}

pub fn product_commands() -> impl Strategy<Value = Vec<ProductCommand>> {
    let list = |price| {
        let sku: Sku = "A".parse().unwrap();
        let reserved = Some(reserved(ReservationId::of_sku(&sku), 2));
        ProductCommand::List { sku, name: "A".parse().unwrap(), price, reserved }
    };
    let sensible = (0..1000_i64).prop_map(move |amount| list(Money { amount, currency: "GBP".parse().unwrap() }));
    let reserve = (order_id(), line_number(), quantity(), option::weighted(0.2, money()))
        .prop_map(|(order_id, line, quantity, agreed_price)| ProductCommand::Reserve { order_id, line, quantity, agreed_price });
    let release = (order_id(), line_number()).prop_map(|(order_id, line)| ProductCommand::Release { order_id, line });
    let ship = (order_id(), line_number()).prop_map(|(order_id, line)| ProductCommand::Ship { order_id, line });
    let any = prop_oneof![
        2 => money().prop_map(list),
        2 => money().prop_map(|price| ProductCommand::ChangePrice { price }),
        9 => quantity().prop_map(|quantity| ProductCommand::ReceiveStock { quantity }),
        9 => reserve,
        5 => release,
        5 => ship,
        1 => option::of(text()).prop_map(|reason| ProductCommand::Withdraw { reason }),
        1 => (1..3_i64).prop_map(|number| ProductCommand::ForgoSku { reserved: reserved(ReservationId::of_sku(&"A".parse().unwrap()), number) }),
    ];
    history(sensible, any)
}

pub fn order_commands() -> impl Strategy<Value = Vec<OrderCommand>> {
    let wish = |quantity, agreed_price| OrderLine { product_id: ProductId::derive("laws", "a"), quantity, agreed_price };
    let sensible_line = (1..9_i64).prop_map(move |pieces| wish(Quantity::new(pieces).unwrap(), None));
    let any_line = (quantity(), option::of(money())).prop_map(move |(quantity, price)| wish(quantity, price));
    let sensible = vec(sensible_line, 1..4).prop_map(|lines| place(lines, Timestamp(0), Timestamp(40)));
    let any_place = (vec(any_line, 0..4), moment(), moment()).prop_map(|(lines, from, to)| place(lines, from, to));
    let payment_id = PaymentId::for_order(OrderId::derive("laws", "0"));
    let any = prop_oneof![
        1 => any_place,
        4 => Just(OrderCommand::AcceptCustomer),
        1 => name().prop_map(|reason| OrderCommand::RefuseCustomer { reason }),
        12 => (line_number(), money()).prop_map(|(line, unit_price)| OrderCommand::RecordReservation { line, unit_price }),
        1 => (line_number(), name()).prop_map(|(line, reason)| OrderCommand::RecordRejection { line, reason }),
        3 => Just(OrderCommand::Confirm { payment_id }),
        1 => name().prop_map(move |reason| OrderCommand::RecordDecline { payment_id, reason }),
        1 => text().prop_map(|reason| OrderCommand::Cancel { reason }),
        1 => moment().prop_map(|now| OrderCommand::Expire { now }),
    ];
    history(sensible, any)
}

fn place(lines: Vec<OrderLine>, placed_at: Timestamp, expires_at: Timestamp) -> OrderCommand {
    let user_id = UserId::derive("laws", "a");
    OrderCommand::Place { user_id, lines, payment_method: "card".parse().unwrap(), placed_at, expires_at }
}

fn refund_id() -> impl Strategy<Value = String> {
    "[a-h]|void"
}

pub fn payment_commands() -> impl Strategy<Value = Vec<PaymentCommand>> {
    let request = |order_id, amount| {
        let user_id = UserId::derive("laws", "a");
        PaymentCommand::Request { order_id, user_id, amount, method: "card".parse().unwrap() }
    };
    let sensible =
        (order_id(), 0..100_i64).prop_map(move |(order_id, amount)| request(order_id, Money { amount, currency: "GBP".parse().unwrap() }));
    let any = prop_oneof![
        2 => (order_id(), money()).prop_map(move |(order_id, amount)| request(order_id, amount)),
        6 => name().prop_map(|reference| PaymentCommand::RecordAuthorisation { reference }),
        1 => name().prop_map(|reason| PaymentCommand::RecordDecline { reason }),
        6 => Just(PaymentCommand::RecordCapture),
        1 => name().prop_map(|reason| PaymentCommand::Void { reason }),
        1 => name().prop_map(|reason| PaymentCommand::RecordCaptureFailure { reason }),
        12 => (refund_id(), money()).prop_map(|(refund_id, amount)| PaymentCommand::Refund { refund_id, amount }),
        8 => refund_id().prop_map(|refund_id| PaymentCommand::RecordRefund { refund_id }),
        5 => (refund_id(), name()).prop_map(|(refund_id, reason)| PaymentCommand::RecordRefundFailure { refund_id, reason }),
        1 => Just(PaymentCommand::MayAuthorise),
        1 => Just(PaymentCommand::MayCapture),
        2 => refund_id().prop_map(|refund_id| PaymentCommand::MayRefund { refund_id }),
    ];
    history(sensible, any)
}

pub fn notification_commands() -> impl Strategy<Value = Vec<NotificationCommand>> {
    let request = (option::of(order_id()), name()).prop_map(|(order_id, kind)| {
        let user_id = UserId::derive("laws", "a");
        NotificationCommand::Request { user_id, order_id, kind, subject: "a".into(), body: "a".into() }
    });
    let answers = prop_oneof![
        Just(NotificationCommand::RecordDelivery),
        name().prop_map(|reason| NotificationCommand::RecordFailure { reason }),
        Just(NotificationCommand::MayDeliver),
    ];
    vec(prop_oneof![request, answers], 0..40)
}
