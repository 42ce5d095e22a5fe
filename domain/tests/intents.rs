//! What a command means is the same in every build: `golden/intents.txt` holds the canonical intent of a sample of each.
//!
//! A line that a build makes otherwise breaks retries across an upgrade: they would be taken for other commands. `UPDATE_GOLDEN=1` adds
//! lines that are missing, and never changes or removes one.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use domain::notification::{Notification, NotificationCommand};
use domain::order::{Order, OrderCommand, OrderLine};
use domain::payment::{Payment, PaymentCommand};
use domain::product::{Product, ProductCommand};
use domain::reservation::{Kind, Reservation, ReservationCommand, Reserved};
use domain::user::{User, UserCommand};
use domain::{
    Aggregate, Command, HolderId, Intent, Money, OrderId, PaymentId, ProductId, Quantity, ReservationId, Text, Timestamp, UserId,
};
use std::{collections::BTreeSet, fs, path::Path};

/// The samples of a command, by variant. A variant that is not named does not compile, and one that is named has a sample.
macro_rules! samples {
    ($command:ident { $($variant:ident: [$first:expr $(, $more:expr)*]),* $(,)? }) => {{
        let variant = |command: &$command| match command {
            $($command::$variant { .. } => stringify!($variant)),*
        };
        let mut samples = vec![];
        $(for sample in [$first $(, $more)*] {
            assert_eq!(variant(&sample), stringify!($variant));
            samples.push(sample);
        })*
        samples
    }};
}

fn money(amount: i64) -> Money {
    Money::new(amount, "GBP".parse().unwrap()).unwrap()
}

fn quantity(pieces: i64) -> Quantity {
    Quantity::new(pieces).unwrap()
}

fn text(words: &str) -> Text {
    words.parse().unwrap()
}

fn order_id() -> OrderId {
    OrderId::derive("intents", "o")
}

fn user_id() -> UserId {
    UserId::derive("intents", "u")
}

fn user_commands() -> Vec<UserCommand> {
    use UserCommand::*;
    let email = || "ada@example.com".parse().unwrap();
    let reservation_id = ReservationId::of_email(&email());
    let reserved = Reserved { reservation_id, number: 1 };
    samples! { UserCommand {
        Register: [
            Register { email: email(), name: text("Ada"), address: Some(text("1 High St")), reserved: Some(reserved) },
            Register { email: email(), name: text("Ada"), address: None, reserved: None }
        ],
        ChangeProfile: [
            ChangeProfile { email: Some(email()), name: Some(text("Ada \"L.\"")), address: Some(text("2 High St")), reserved: Some(reserved) },
            ChangeProfile { email: None, name: Some(text("Ada")), address: None, reserved: None }
        ],
        Close: [Close { reason: Some(text("moved")) }, Close { reason: None }],
        VouchFor: [VouchFor { order_id: order_id() }],
        ForgoEmail: [ForgoEmail { reserved }],
        UsesEmail: [UsesEmail { reservation_id }],
    } }
}

fn product_commands() -> Vec<ProductCommand> {
    use ProductCommand::*;
    let (order_id, line) = (order_id(), 1);
    let reservation_id = ReservationId::of_sku(&"85123A".parse().unwrap());
    let reserved = Reserved { reservation_id, number: 1 };
    samples! { ProductCommand {
        List: [List { sku: "85123A".parse().unwrap(), name: text("Heart"), price: money(295), reserved: Some(reserved) }],
        ChangePrice: [ChangePrice { price: money(0) }],
        ReceiveStock: [ReceiveStock { quantity: quantity(10) }],
        Reserve: [
            Reserve { order_id, line, quantity: quantity(2), agreed_price: Some(money(295)) },
            Reserve { order_id, line, quantity: quantity(2), agreed_price: None }
        ],
        Release: [Release { order_id, line }],
        Ship: [Ship { order_id, line }],
        Withdraw: [Withdraw { reason: Some(text("sold out")) }, Withdraw { reason: None }],
        ForgoSku: [ForgoSku { reserved }],
        UsesSku: [UsesSku { reservation_id }],
    } }
}

fn place(placed_at: i64, expires_at: i64) -> OrderCommand {
    let line = |key, agreed_price| OrderLine { product_id: ProductId::derive("intents", key), quantity: quantity(2), agreed_price };
    let lines = vec![line("p", Some(money(295))), line("q", None)];
    let (placed_at, expires_at) = (Timestamp(placed_at), Timestamp(expires_at));
    OrderCommand::Place { user_id: user_id(), lines, payment_method: text("card"), placed_at, expires_at }
}

fn order_commands() -> Vec<OrderCommand> {
    use OrderCommand::*;
    let payment_id = PaymentId::for_order(order_id());
    samples! { OrderCommand {
        Place: [place(0, 1)],
        AcceptCustomer: [AcceptCustomer],
        RefuseCustomer: [RefuseCustomer { reason: "unknown-customer".into() }],
        RecordReservation: [RecordReservation { line: 0, unit_price: money(295) }],
        RecordRejection: [RecordRejection { line: 1, reason: "insufficient-stock".into() }],
        Confirm: [Confirm { payment_id }],
        RecordDecline: [RecordDecline { payment_id, reason: "no-funds".into() }],
        Cancel: [Cancel { reason: text("changed my mind") }],
        Expire: [Expire { now: Timestamp(0) }],
    } }
}

fn payment_commands() -> Vec<PaymentCommand> {
    use PaymentCommand::*;
    let refund_id = || "r1".to_owned();
    samples! { PaymentCommand {
        Request: [Request { order_id: order_id(), user_id: user_id(), amount: money(885), method: text("card") }],
        RecordAuthorisation: [RecordAuthorisation { reference: "auth-1".into() }],
        RecordDecline: [RecordDecline { reason: "no-funds".into() }],
        RecordCapture: [RecordCapture],
        RecordCaptureFailure: [RecordCaptureFailure { reason: "hold-expired".into() }],
        Void: [Void { reason: "order-cancelled".into() }],
        Refund: [Refund { refund_id: refund_id(), amount: money(100) }],
        RecordRefund: [RecordRefund { refund_id: refund_id() }],
        RecordRefundFailure: [RecordRefundFailure { refund_id: refund_id(), reason: "account-closed".into() }],
        MayAuthorise: [MayAuthorise],
        MayCapture: [MayCapture],
        MayRefund: [MayRefund { refund_id: refund_id() }],
    } }
}

fn notification_commands() -> Vec<NotificationCommand> {
    use NotificationCommand::*;
    let request = |order_id| {
        let (kind, subject, body) = ("order-confirmed".into(), "Your order".into(), "It is on its way.\n".into());
        Request { user_id: user_id(), order_id, kind, subject, body }
    };
    samples! { NotificationCommand {
        Request: [request(Some(order_id())), request(None)],
        RecordDelivery: [RecordDelivery],
        RecordFailure: [RecordFailure { reason: "no address known".into() }],
        MayDeliver: [MayDeliver],
    } }
}

fn reservation_commands() -> Vec<ReservationCommand> {
    use ReservationCommand::*;
    let holder = HolderId(user_id().0);
    samples! { ReservationCommand {
        Reserve: [Reserve { kind: Kind::Email, holder, now: Timestamp(0) }, Reserve { kind: Kind::Sku, holder, now: Timestamp(0) }],
        Await: [Await { kind: Kind::Email, holder, now: Timestamp(0) }],
        End: [End { holder, number: 3 }],
        Open: [Open],
        MayReserve: [MayReserve],
    } }
}

fn lines<A: Aggregate>(commands: Vec<A::Command>) -> impl Iterator<Item = String> {
    commands.into_iter().map(|command| format!("{} {}", A::NAME, command.intent()))
}

fn all_lines() -> BTreeSet<String> {
    let shop = lines::<User>(user_commands()).chain(lines::<Product>(product_commands())).chain(lines::<Order>(order_commands()));
    shop.chain(lines::<Payment>(payment_commands()))
        .chain(lines::<Notification>(notification_commands()))
        .chain(lines::<Reservation>(reservation_commands()))
        .collect()
}

/// The stored lines; on request those that are missing are added first.
fn golden_lines(made: &BTreeSet<String>) -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/intents.txt");
    let mut stored: BTreeSet<String> = fs::read_to_string(&file).unwrap_or_default().lines().map(str::to_owned).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        stored.extend(made.iter().cloned());
        fs::write(&file, stored.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    }
    stored
}

#[test]
fn every_build_means_the_same_by_a_command() {
    let made = all_lines();
    let stored = golden_lines(&made);
    let changed: Vec<_> = stored.difference(&made).collect();
    assert!(changed.is_empty(), "these were meant by earlier builds, and this one means something else: {changed:#?}");
    let missing: Vec<_> = made.difference(&stored).collect();
    assert!(missing.is_empty(), "UPDATE_GOLDEN=1 adds these: {missing:#?}");
}

#[test]
fn a_field_that_says_nothing_leaves_no_trace() {
    assert_eq!(UserCommand::Close { reason: None }.intent(), Intent::of("close"));
    let unsaid = UserCommand::ChangeProfile { email: None, name: Some(text("Ada")), address: None, reserved: None };
    assert_eq!(unsaid.intent(), Intent::of("change-profile").with("name", "Ada"));
}

#[test]
fn what_the_clock_said_leaves_no_trace() {
    assert_eq!(place(0, 1).intent(), place(2, 3).intent());
    let reserve = |now| ReservationCommand::Reserve { kind: Kind::Sku, holder: HolderId(user_id().0), now: Timestamp(now) };
    assert_eq!(reserve(1).intent(), reserve(2).intent());
    assert_eq!(OrderCommand::Expire { now: Timestamp(0) }.intent(), OrderCommand::Expire { now: Timestamp(1) }.intent());
}
