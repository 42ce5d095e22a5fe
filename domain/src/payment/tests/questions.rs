//! The questions that are asked before the gateway is called.

use super::*;

fn may_refund(refund_id: &str) -> PaymentCommand {
    PaymentCommand::MayRefund { refund_id: refund_id.into() }
}

/// Checks the answer to a question in each status: the refusal, or none.
fn answers(question: PaymentCommand, expected: [(&str, Option<&str>); 6]) {
    for ((status, past), (expected_status, refusal)) in pasts().into_iter().zip(expected) {
        assert_eq!(status, expected_status);
        let decided = given::<Payment>(past).when(question.clone());
        match refusal {
            None => drop(decided.then_nothing()),
            Some(code) => drop(decided.refused(code)),
        }
    }
}

#[test]
fn the_gateway_is_asked_for_a_hold_until_it_has_answered() {
    answers(
        PaymentCommand::MayAuthorise,
        [
            ("requested", None),
            ("authorised", Some("already-answered")),
            ("capture-failed", Some("already-answered")),
            ("captured", Some("already-answered")),
            ("declined", Some("already-answered")),
            ("voided", Some("payment-voided")),
        ],
    );
    let words = "the gateway has already answered: the payment is declined";
    given::<Payment>([requested(), declined()]).when(PaymentCommand::MayAuthorise).refused("already-answered").saying(words);
}

#[test]
fn the_gateway_is_asked_for_the_money_while_it_is_held() {
    answers(
        PaymentCommand::MayCapture,
        [
            ("requested", Some("not-authorised")),
            ("authorised", None),
            ("capture-failed", None),
            ("captured", Some("already-captured")),
            ("declined", Some("payment-declined")),
            ("voided", Some("payment-voided")),
        ],
    );
}

#[test]
fn the_gateway_is_asked_for_a_refund_that_waits() {
    let asked = taken_then([refund_requested("r1", 400)]).when(may_refund("r1")).then_nothing();
    let words = "refund_id: \"r1\" was already settled: its money is given back once";
    let done = asked.when(settle("r1")).then([settled("r1", 400, 400)]);
    done.when(may_refund("r1")).refused("refund-settled").on("refund_id").saying(words);
}

#[test]
fn the_gateway_is_asked_again_for_a_refund_that_failed_while_its_amount_is_left() {
    let failed = taken_then([refund_requested("r1", 400), refund_failed("r1", 400)]).when(may_refund("r1")).then_nothing();
    let taken_by_another = failed.when(refund("r2", 601)).then([refund_requested("r2", 601)]);
    taken_by_another.when(may_refund("r1")).refused("refund-exceeds-captured").on("amount");
}

#[test]
fn the_gateway_is_not_asked_for_a_refund_that_nobody_wants() {
    for (_, past) in pasts() {
        given::<Payment>(past).when(may_refund("r1")).refused("unknown-refund").on("refund_id");
    }
}

#[test]
fn the_gateway_is_not_asked_about_a_payment_that_nobody_requested() {
    for question in [PaymentCommand::MayAuthorise, PaymentCommand::MayCapture, may_refund("r1")] {
        given::<Payment>([]).when(question).not_found("unknown-payment");
    }
}
