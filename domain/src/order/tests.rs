use super::*;
use crate::testing::given;

fn gbp(amount: i64) -> Money {
    Money { amount, currency: "GBP".parse().unwrap() }
}

fn eur(amount: i64) -> Money {
    Money { amount, currency: "EUR".parse().unwrap() }
}

fn user() -> UserId {
    UserId::derive("test", "ada")
}

fn payment() -> PaymentId {
    PaymentId::for_order(crate::OrderId::derive("test", "1"))
}

fn line(quantity: i64) -> OrderLine {
    let quantity = serde_json::from_value(quantity.into()).unwrap();
    OrderLine { product_id: ProductId::derive("test", "lantern"), quantity, agreed_price: None }
}

/// Two lines: 2 pieces and 3 pieces.
fn lines() -> Vec<OrderLine> {
    vec![line(2), line(3)]
}

fn card() -> Text {
    "card".parse().unwrap()
}

fn place(lines: Vec<OrderLine>) -> OrderCommand {
    place_until(lines, 2000)
}

fn place_until(lines: Vec<OrderLine>, expires_at: i64) -> OrderCommand {
    let (placed_at, expires_at) = (Timestamp(1000), Timestamp(expires_at));
    OrderCommand::Place { user_id: user(), lines, payment_method: card(), placed_at, expires_at }
}

fn placed_with(lines: Vec<OrderLine>) -> OrderEvent {
    let (placed_at, expires_at) = (Timestamp(1000), Timestamp(2000));
    OrderEvent::Placed(OrderPlaced { user_id: user(), lines, payment_method: card(), placed_at, expires_at, awaits_customer: true })
}

/// As an earlier build wrote it.
fn placed_before() -> OrderEvent {
    let OrderEvent::Placed(placed) = placed() else { panic!("placed") };
    OrderEvent::Placed(OrderPlaced { awaits_customer: false, ..placed })
}

fn accepted() -> OrderEvent {
    OrderEvent::Accepted(OrderAccepted { user_id: user(), lines: lines() })
}

fn refuse() -> OrderCommand {
    OrderCommand::RefuseCustomer { reason: "unknown-customer".into() }
}

fn placed() -> OrderEvent {
    placed_with(lines())
}

fn reserve(line: i32, unit_price: Money) -> OrderCommand {
    OrderCommand::RecordReservation { line, unit_price }
}

fn line_reserved(line: i32, unit_price: Money) -> OrderEvent {
    OrderEvent::LineReserved(OrderLineReserved { line, unit_price })
}

fn reserved(total: Money) -> OrderEvent {
    OrderEvent::Reserved(OrderReserved { user_id: user(), total, payment_method: card() })
}

fn reject(line: i32) -> OrderCommand {
    OrderCommand::RecordRejection { line, reason: "insufficient-stock".into() }
}

fn line_rejected(line: i32) -> OrderEvent {
    OrderEvent::LineRejected(OrderLineRejected { line, reason: "insufficient-stock".into() })
}

fn confirm() -> OrderCommand {
    OrderCommand::Confirm { payment_id: payment() }
}

fn confirmed() -> OrderEvent {
    let at = |line: OrderLine, price| OrderLine { agreed_price: Some(gbp(price)), ..line };
    let lines = vec![at(line(2), 100), at(line(3), 10)];
    OrderEvent::Confirmed(OrderConfirmed { user_id: user(), lines, total: gbp(230), payment_id: payment() })
}

fn decline() -> OrderCommand {
    OrderCommand::RecordDecline { payment_id: payment(), reason: "no money".into() }
}

fn cancel() -> OrderCommand {
    OrderCommand::Cancel { reason: "found it cheaper".parse().unwrap() }
}

fn cancelled(reason: &str) -> OrderEvent {
    OrderEvent::Cancelled(OrderCancelled { user_id: user(), lines: lines(), reason: reason.into() })
}

fn expire(now: i64) -> OrderCommand {
    OrderCommand::Expire { now: Timestamp(now) }
}

fn expired(at: i64) -> OrderEvent {
    OrderEvent::Expired(OrderExpired { user_id: user(), lines: lines(), expired_at: Timestamp(at) })
}

/// Placed and reserved to the last line.
fn complete() -> Vec<OrderEvent> {
    vec![placed(), accepted(), line_reserved(0, gbp(100)), line_reserved(1, gbp(10)), reserved(gbp(230))]
}

/// The events of an ended order, one list for each way to end.
fn ends() -> [Vec<OrderEvent>; 3] {
    let confirmed = complete().into_iter().chain([confirmed()]).collect();
    [confirmed, vec![placed(), cancelled("found it cheaper")], vec![placed(), expired(2000)]]
}

#[test]
fn an_order_is_placed_once() {
    let given = given::<Order>([]).when(place(lines())).then([placed()]);
    assert_eq!(given.state().status(), Some("placed"));
    given.when(place(lines())).refused("already-placed");
    for past in ends() {
        crate::testing::given::<Order>(past).when(place(lines())).refused("already-placed");
    }
}

#[test]
fn an_order_has_one_line_to_a_thousand() {
    let words = "lines: an order has from 1 to 1000 lines, this one has 0";
    given::<Order>([]).when(place(vec![])).refused("line-count").on("lines").saying(words);
    given::<Order>([]).when(place(vec![line(1); 1001])).refused("line-count").on("lines");
    given::<Order>([]).when(place(vec![line(1); 1000])).then([placed_with(vec![line(1); 1000])]);
}

#[test]
fn a_line_asks_for_pieces_at_a_price() {
    let words = "lines: the quantity of line 1 must be from 1 to 10000000, is 0";
    given::<Order>([]).when(place(vec![line(1), line(0)])).refused("invalid-quantity").on("lines").saying(words);
    let gift = OrderLine { agreed_price: Some(gbp(-1)), ..line(1) };
    let words = "lines: the agreed price of line 0 must be from 0 to 1000000000000 minor units, is -1";
    given::<Order>([]).when(place(vec![gift])).refused("invalid-price").on("lines").saying(words);
}

#[test]
fn the_deadline_lies_after_the_placing() {
    let words = "expires_at: must be after placed_at (1000 ms since 1970), is 1000 ms";
    given::<Order>([]).when(place_until(lines(), 1000)).refused("invalid-deadline").on("expires_at").saying(words);
    given::<Order>([]).when(place_until(lines(), i64::MIN)).refused("invalid-deadline");
}

#[test]
fn lines_are_reserved_in_any_order_and_the_last_wants_the_payment() {
    let given = given::<Order>([placed()]).when(reserve(1, gbp(10))).then([line_reserved(1, gbp(10))]);
    let given = given.when(reserve(0, gbp(100))).then([line_reserved(0, gbp(100)), reserved(gbp(230))]);
    let open = given.state().open().unwrap();
    assert_eq!((open.reserved_lines(), open.unit_price(0)), (2, Some(&gbp(100))));
}

#[test]
fn a_line_is_reserved_once() {
    let given = given::<Order>([placed(), line_reserved(0, gbp(100))]).when(reserve(0, gbp(100))).then_nothing();
    given.when(reserve(0, gbp(7))).then_nothing();
    crate::testing::given::<Order>(complete()).when(reserve(1, gbp(10))).then_nothing();
}

#[test]
fn only_the_orders_own_lines_are_spoken_of() {
    let words = "line: must be from 0 to 1, is 2";
    given::<Order>([placed()]).when(reserve(2, gbp(1))).refused("unknown-line").on("line").saying(words);
    given::<Order>([placed()]).when(reserve(-1, gbp(1))).refused("unknown-line").on("line");
    given::<Order>([placed()]).when(reject(i32::MAX)).refused("unknown-line").on("line");
    given::<Order>([placed()]).when(reject(i32::MIN)).refused("unknown-line").on("line");
}

#[test]
fn a_reservation_has_a_price() {
    let words = "unit_price: must be from 0 to 1000000000000 minor units, is -1";
    given::<Order>([placed()]).when(reserve(0, gbp(-1))).refused("invalid-price").on("unit_price").saying(words);
}

#[test]
fn lines_in_two_currencies_cancel_the_order() {
    let events = [line_reserved(1, eur(10)), cancelled("currency-mismatch")];
    let given = given::<Order>([placed(), line_reserved(0, gbp(100))]).when(reserve(1, eur(10))).then(events);
    assert_eq!(given.state().status(), Some("cancelled"));
}

#[test]
fn a_total_that_cannot_be_paid_cancels_the_order() {
    let past = || given::<Order>([placed(), line_reserved(0, gbp(0))]);
    let events = [line_reserved(1, gbp(Money::MAX)), cancelled("total-too-large")];
    past().when(reserve(1, gbp(Money::MAX))).then(events);
    let most = Money::MAX / 3;
    past().when(reserve(1, gbp(most))).then([line_reserved(1, gbp(most)), reserved(gbp(most * 3))]);
}

#[test]
fn a_total_that_cannot_be_counted_cancels_the_order() {
    let lines = vec![line(Quantity::MAX)];
    let cancelled = OrderCancelled { user_id: user(), lines: lines.clone(), reason: "total-too-large".into() };
    let events = [line_reserved(0, gbp(Money::MAX)), OrderEvent::Cancelled(cancelled)];
    given::<Order>([placed_with(lines)]).when(reserve(0, gbp(Money::MAX))).then(events);
}

#[test]
fn an_order_of_gifts_totals_nothing() {
    let past = [placed(), line_reserved(0, gbp(0))];
    given::<Order>(past).when(reserve(1, gbp(0))).then([line_reserved(1, gbp(0)), reserved(gbp(0))]);
}

#[test]
fn an_order_is_accepted_once_its_customer_is_known() {
    let accept = OrderCommand::AcceptCustomer;
    let given = given::<Order>([placed()]).when(accept.clone()).then([accepted()]);
    assert_eq!(given.state().status(), Some("placed"));
    given.when(accept).then_nothing().when(refuse()).then_nothing();
}

#[test]
fn an_order_of_nobody_is_cancelled_before_anything_is_reserved() {
    let given = given::<Order>([placed()]).when(refuse()).then([cancelled("unknown-customer")]);
    given.when(OrderCommand::AcceptCustomer).then_nothing().when(refuse()).then_nothing();
}

#[test]
fn an_order_of_an_earlier_build_asks_no_customer() {
    let reserved = [placed_before(), line_reserved(0, gbp(100))];
    for past in [vec![placed_before()], reserved.to_vec()] {
        let given = given::<Order>(past).when(OrderCommand::AcceptCustomer).then_nothing();
        given.when(refuse()).then_nothing();
    }
    given::<Order>(reserved).when(reserve(1, gbp(10))).then([line_reserved(1, gbp(10)), super::tests::reserved(gbp(230))]);
    let json = serde_json::json!({"user_id": user(), "lines": [], "payment_method": "card", "placed_at": 1, "expires_at": 2});
    assert!(!serde_json::from_value::<OrderPlaced>(json).unwrap().awaits_customer);
}

#[test]
fn a_line_that_an_earlier_builds_node_reserved_lets_the_order_go_on() {
    let past = [placed(), line_reserved(0, gbp(100))];
    given::<Order>(past.clone()).when(OrderCommand::AcceptCustomer).then_nothing();
    given::<Order>(past).when(refuse()).then_nothing();
}

#[test]
fn a_rejected_line_cancels_the_order() {
    let events = [line_rejected(1), cancelled("insufficient-stock")];
    let given = given::<Order>([placed(), line_reserved(0, gbp(100))]).when(reject(1)).then(events);
    assert_eq!(given.state().status(), Some("cancelled"));
}

#[test]
fn the_products_first_answer_to_a_line_stands() {
    given::<Order>([placed(), line_reserved(0, gbp(100))]).when(reject(0)).then_nothing();
    given::<Order>(complete()).when(reject(0)).then_nothing();
}

#[test]
fn a_reserved_order_is_confirmed_at_its_reserved_prices() {
    let given = given::<Order>(complete()).when(confirm()).then([confirmed()]);
    assert_eq!(given.state().status(), Some("confirmed"));
}

#[test]
fn an_order_is_not_confirmed_before_all_is_reserved() {
    let words = "the order cannot be confirmed before all of its 2 lines are reserved: 1 are";
    let past = [placed(), line_reserved(1, gbp(10))];
    given::<Order>(past).when(confirm()).refused("not-reserved").saying(words);
    given::<Order>([placed()]).when(confirm()).refused("not-reserved");
}

#[test]
fn a_declined_payment_cancels_the_order() {
    given::<Order>(complete()).when(decline()).then([cancelled("payment-declined")]);
    given::<Order>([placed()]).when(decline()).then([cancelled("payment-declined")]);
}

#[test]
fn an_order_is_cancelled_until_it_ends() {
    given::<Order>([placed()]).when(cancel()).then([cancelled("found it cheaper")]).when(cancel()).then_nothing();
    given::<Order>(complete()).when(cancel()).then([cancelled("found it cheaper")]);
    let [confirmed, _, expired] = ends();
    let words = "the order is already confirmed and cannot be cancelled: refund the payment instead";
    given::<Order>(confirmed).when(cancel()).refused("already-confirmed").saying(words);
    given::<Order>(expired).when(cancel()).refused("already-expired");
}

#[test]
fn an_order_expires_at_its_deadline_and_not_before() {
    let words = "now: the order expires at 2000 ms since 1970, it is 1999 ms";
    given::<Order>([placed()]).when(expire(1999)).refused("not-due").on("now").saying(words);
    given::<Order>([placed()]).when(expire(2000)).then([expired(2000)]);
    let given = given::<Order>(complete()).when(expire(i64::MAX)).then([expired(i64::MAX)]);
    assert_eq!(given.state().status(), Some("expired"));
}

#[test]
fn steps_of_the_saga_that_come_after_the_end_make_no_event() {
    for past in ends() {
        let end = given::<Order>(past);
        assert!(end.state().is_terminal());
        let end = end.when(reserve(0, gbp(1))).then_nothing().when(reject(0)).then_nothing();
        let end = end.when(OrderCommand::AcceptCustomer).then_nothing().when(refuse()).then_nothing();
        let end = end.when(reserve(99, gbp(1))).then_nothing().when(confirm()).then_nothing();
        end.when(decline()).then_nothing().when(expire(0)).then_nothing().when(expire(9999)).then_nothing();
    }
}

#[test]
fn an_order_that_was_never_placed_is_not_found() {
    for command in [OrderCommand::AcceptCustomer, refuse(), reserve(0, gbp(1)), reject(0), confirm(), decline(), cancel(), expire(9999)] {
        given::<Order>([]).when(command).not_found("unknown-order");
    }
}
