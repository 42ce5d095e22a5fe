mod questions;
mod refunds;

use super::*;
use crate::{
    UserId,
    testing::{Given, given},
};

fn gbp(amount: i64) -> Money {
    Money { amount, currency: "GBP".parse().unwrap() }
}

fn order() -> OrderId {
    OrderId::derive("test", "1")
}

fn user() -> UserId {
    UserId::derive("test", "ada")
}

fn terms(amount: i64) -> PaymentRequested {
    PaymentRequested { order_id: order(), user_id: user(), amount: gbp(amount), method: "card".parse().unwrap() }
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

fn fail_capture() -> PaymentCommand {
    PaymentCommand::RecordCaptureFailure { reason: "hold expired".into() }
}

fn capture_failed() -> PaymentEvent {
    let reason = "hold expired".into();
    PaymentEvent::CaptureFailed(PaymentCaptureFailed { order_id: order(), user_id: user(), amount: gbp(1000), reason })
}

fn void() -> PaymentCommand {
    PaymentCommand::Void { reason: "order cancelled".into() }
}

fn voided() -> PaymentEvent {
    PaymentEvent::Voided(PaymentVoided { order_id: order(), reason: "order cancelled".into(), amount: Some(gbp(1000)) })
}

fn refund(refund_id: &str, amount: i64) -> PaymentCommand {
    PaymentCommand::Refund { refund_id: refund_id.into(), amount: gbp(amount) }
}

fn refund_requested(refund_id: &str, amount: i64) -> PaymentEvent {
    let refund_id = refund_id.into();
    PaymentEvent::RefundRequested(PaymentRefundRequested { order_id: order(), user_id: user(), refund_id, amount: gbp(amount) })
}

fn settle(refund_id: &str) -> PaymentCommand {
    PaymentCommand::RecordRefund { refund_id: refund_id.into() }
}

fn settled(refund_id: &str, amount: i64, in_all: i64) -> PaymentEvent {
    let (refund_id, amount, refunded) = (refund_id.into(), gbp(amount), gbp(in_all));
    PaymentEvent::RefundSettled(PaymentRefundSettled { order_id: order(), user_id: user(), refund_id, amount, refunded })
}

fn fail_refund(refund_id: &str) -> PaymentCommand {
    PaymentCommand::RecordRefundFailure { refund_id: refund_id.into(), reason: "account closed".into() }
}

fn refund_failed(refund_id: &str, amount: i64) -> PaymentEvent {
    let (refund_id, amount, reason) = (refund_id.into(), gbp(amount), "account closed".into());
    PaymentEvent::RefundFailed(PaymentRefundFailed { order_id: order(), user_id: user(), refund_id, amount, reason })
}

/// Events that lead to each status, by the status' name.
fn pasts() -> [(&'static str, Vec<PaymentEvent>); 6] {
    [
        ("requested", vec![requested()]),
        ("authorised", vec![requested(), authorised()]),
        ("capture-failed", vec![requested(), authorised(), capture_failed()]),
        ("captured", taken()),
        ("declined", vec![requested(), declined()]),
        ("voided", vec![requested(), authorised(), voided()]),
    ]
}

fn taken() -> Vec<PaymentEvent> {
    vec![requested(), authorised(), captured()]
}

/// A captured payment with these further events.
fn taken_then(events: impl IntoIterator<Item = PaymentEvent>) -> Given<Payment> {
    given(taken().into_iter().chain(events))
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
fn a_capture_that_fails_is_recorded_once_and_may_yet_succeed() {
    let failed = given::<Payment>([requested(), authorised()]).when(fail_capture()).then([capture_failed()]);
    let failed = failed.when(fail_capture()).then_nothing();
    let taken = failed.clone().when(PaymentCommand::RecordCapture).then([captured()]);
    taken.when(fail_capture()).then_nothing();
    let voided = failed.when(void()).then([voided()]);
    voided.when(fail_capture()).then_nothing();
}

#[test]
fn only_what_is_authorised_can_fail_to_be_captured() {
    given::<Payment>([requested()]).when(fail_capture()).refused("not-authorised");
    given::<Payment>([requested(), declined()]).when(fail_capture()).refused("payment-declined");
}

#[test]
fn what_was_not_taken_is_voided_once() {
    given::<Payment>([requested()]).when(void()).then([voided()]).when(void()).then_nothing();
    given::<Payment>([requested(), authorised()]).when(void()).then([voided()]).when(void()).then_nothing();
    given::<Payment>([requested(), declined()]).when(void()).then_nothing();
}

#[test]
fn a_payment_that_nobody_requested_is_not_found() {
    let records = [authorise(), decline(), PaymentCommand::RecordCapture, fail_capture(), settle("r1"), fail_refund("r1")];
    for command in records.into_iter().chain([void(), refund("r1", 1)]) {
        given::<Payment>([]).when(command).not_found("unknown-payment");
    }
}

#[test]
fn a_void_of_an_earlier_build_does_not_say_what_would_have_been_taken() {
    let json = serde_json::json!({ "order_id": order(), "reason": "order cancelled" });
    let voided = serde_json::from_value::<PaymentVoided>(json).unwrap();
    assert_eq!(voided, PaymentVoided { order_id: order(), reason: "order cancelled".into(), amount: None });
}
