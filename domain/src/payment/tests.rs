use super::*;
use crate::testing::given;

fn gbp(amount: i64) -> Money {
    Money { amount, currency: "GBP".parse().unwrap() }
}

fn order() -> OrderId {
    OrderId::derive("test", "1")
}

fn terms(amount: i64) -> PaymentRequested {
    let user_id = UserId::derive("test", "ada");
    PaymentRequested { order_id: order(), user_id, amount: gbp(amount), method: "card".parse().unwrap() }
}

fn request(amount: i64) -> PaymentCommand {
    let PaymentRequested { order_id, user_id, amount, method } = terms(amount);
    PaymentCommand::Request { order_id, user_id, amount, method }
}

fn requested() -> PaymentEvent {
    PaymentEvent::Requested(terms(1000))
}

fn authorise() -> PaymentCommand {
    PaymentCommand::RecordAuthorisation { reference: "auth-1".into() }
}

fn authorised() -> PaymentEvent {
    PaymentEvent::Authorised(PaymentAuthorised { order_id: order(), reference: "auth-1".into() })
}

fn decline() -> PaymentCommand {
    PaymentCommand::RecordDecline { reason: "no money".into() }
}

fn declined() -> PaymentEvent {
    PaymentEvent::Declined(PaymentDeclined { order_id: order(), reason: "no money".into() })
}

fn captured() -> PaymentEvent {
    PaymentEvent::Captured(PaymentCaptured { order_id: order(), amount: gbp(1000) })
}

fn void() -> PaymentCommand {
    PaymentCommand::Void { reason: "order cancelled".into() }
}

fn voided() -> PaymentEvent {
    PaymentEvent::Voided(PaymentVoided { order_id: order(), reason: "order cancelled".into() })
}

fn refund(refund_id: &str, amount: i64) -> PaymentCommand {
    PaymentCommand::Refund { refund_id: refund_id.into(), amount: gbp(amount) }
}

fn refunded(refund_id: &str, amount: i64, in_all: i64) -> PaymentEvent {
    let (amount, refunded) = (gbp(amount), gbp(in_all));
    PaymentEvent::Refunded(PaymentRefunded { order_id: order(), refund_id: refund_id.into(), amount, refunded })
}

/// A past for each status, by its name.
fn pasts() -> [(&'static str, Vec<PaymentEvent>); 5] {
    [
        ("requested", vec![requested()]),
        ("authorised", vec![requested(), authorised()]),
        ("captured", taken()),
        ("declined", vec![requested(), declined()]),
        ("voided", vec![requested(), authorised(), voided()]),
    ]
}

fn taken() -> Vec<PaymentEvent> {
    vec![requested(), authorised(), captured()]
}

#[test]
fn the_past_gives_the_status() {
    assert_eq!(given::<Payment>([]).state().status(), None);
    for (status, past) in pasts() {
        let given = given::<Payment>(past);
        assert_eq!((given.state().status(), given.state().request()), (Some(status), Some(&terms(1000))));
    }
}

#[test]
fn a_payment_is_requested_once() {
    given::<Payment>([]).when(request(1000)).then([requested()]);
    for (_, past) in pasts() {
        given::<Payment>(past.clone()).when(request(1000)).then_nothing();
        given::<Payment>(past).when(request(999)).refused("already-requested");
    }
}

#[test]
fn an_amount_is_from_nothing_to_the_largest() {
    given::<Payment>([]).when(request(0)).then([PaymentEvent::Requested(terms(0))]);
    let words = "amount: must be from 0 to 1000000000000 minor units, is -1";
    given::<Payment>([]).when(request(-1)).refused("invalid-amount").on("amount").saying(words);
    given::<Payment>([]).when(request(i64::MAX)).refused("invalid-amount").on("amount");
}

#[test]
fn the_gateways_first_answer_stands() {
    given::<Payment>([requested()]).when(authorise()).then([authorised()]);
    given::<Payment>([requested()]).when(decline()).then([declined()]);
    for (_, past) in pasts().into_iter().skip(1) {
        given::<Payment>(past).when(authorise()).then_nothing().when(decline()).then_nothing();
    }
}

#[test]
fn what_is_authorised_is_captured_in_full_once() {
    let past = [requested(), authorised()];
    let given = given::<Payment>(past).when(PaymentCommand::RecordCapture).then([captured()]);
    given.when(PaymentCommand::RecordCapture).then_nothing();
}

#[test]
fn only_what_is_authorised_is_captured() {
    given::<Payment>([requested()]).when(PaymentCommand::RecordCapture).refused("not-authorised");
    given::<Payment>([requested(), declined()]).when(PaymentCommand::RecordCapture).refused("payment-declined");
    given::<Payment>([requested(), voided()]).when(PaymentCommand::RecordCapture).refused("payment-voided");
}

#[test]
fn what_was_not_taken_is_voided_once() {
    given::<Payment>([requested()]).when(void()).then([voided()]).when(void()).then_nothing();
    given::<Payment>([requested(), authorised()]).when(void()).then([voided()]).when(void()).then_nothing();
    given::<Payment>([requested(), declined()]).when(void()).then_nothing();
}

#[test]
fn what_was_taken_is_refunded_when_it_is_voided() {
    given::<Payment>(taken()).when(void()).then([refunded(VOID_REFUND, 1000, 1000)]).when(void()).then_nothing();
    let partly = taken().into_iter().chain([refunded("r1", 400, 400)]);
    given::<Payment>(partly).when(void()).then([refunded(VOID_REFUND, 600, 1000)]);
    let wholly = taken().into_iter().chain([refunded("r1", 1000, 1000)]);
    given::<Payment>(wholly).when(void()).then_nothing();
}

#[test]
fn refunds_add_up_to_what_was_captured() {
    let given = given::<Payment>(taken()).when(refund("r1", 400)).then([refunded("r1", 400, 400)]);
    let words = "amount: at most 600 of the captured 1000 are left to refund, 601 were asked for (minor units)";
    given.clone().when(refund("r2", 601)).refused("refund-exceeds-captured").on("amount").saying(words);
    let given = given.when(refund("r2", 600)).then([refunded("r2", 600, 1000)]);
    assert_eq!(given.state().refunds().unwrap().refunded(), 1000);
    given.when(refund("r3", 1)).refused("refund-exceeds-captured");
}

#[test]
fn a_refund_gives_something_back() {
    let words = "amount: must be at least 1 minor unit, is 0";
    given::<Payment>(taken()).when(refund("r1", 0)).refused("invalid-amount").on("amount").saying(words);
    given::<Payment>(taken()).when(refund("r1", i64::MIN)).refused("invalid-amount").on("amount");
    given::<Payment>(taken()).when(refund("r1", i64::MAX)).refused("refund-exceeds-captured");
}

#[test]
fn a_refund_keeps_the_currency() {
    let amount = Money { amount: 1, currency: "EUR".parse().unwrap() };
    let words = "amount: must be in GBP, the currency of the payment, is in EUR";
    let command = PaymentCommand::Refund { refund_id: "r1".into(), amount };
    given::<Payment>(taken()).when(command).refused("currency-mismatch").on("amount").saying(words);
}

#[test]
fn a_refunds_name_stands_for_one_amount() {
    let past = || given::<Payment>(taken().into_iter().chain([refunded("r1", 400, 400)]));
    past().when(refund("r1", 400)).then_nothing();
    let words = "refund_id: \"r1\" already names a refund of 400 GBP, this one is of 300 GBP";
    past().when(refund("r1", 300)).refused("refund-id-reused").on("refund_id").saying(words);
}

#[test]
fn no_refund_takes_the_name_of_the_void() {
    let words = "refund_id: \"void\" is kept for the refund that voiding a captured payment makes";
    given::<Payment>(taken()).when(refund(VOID_REFUND, 1)).refused("reserved-refund-id").on("refund_id").saying(words);
    let voided = taken().into_iter().chain([refunded(VOID_REFUND, 1000, 1000)]);
    given::<Payment>(voided).when(refund(VOID_REFUND, 1000)).then_nothing();
}

#[test]
fn only_what_was_captured_is_refunded() {
    for (status, past) in pasts().into_iter().filter(|(status, _)| *status != "captured") {
        let words = format!("the payment cannot be refunded before it is captured: it is {status}");
        given::<Payment>(past).when(refund("r1", 1)).refused("not-captured").saying(&words);
    }
}

#[test]
fn a_payment_that_nobody_requested_is_not_found() {
    for command in [authorise(), decline(), PaymentCommand::RecordCapture, void(), refund("r1", 1)] {
        given::<Payment>([]).when(command).not_found("unknown-payment");
    }
}
