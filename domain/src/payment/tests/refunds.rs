//! Refunds: a request reserves the amount, settling books it.

use super::*;

/// A refund as earlier builds booked it.
fn refunded(refund_id: &str, amount: i64, in_all: i64) -> PaymentEvent {
    let (amount, refunded) = (gbp(amount), gbp(in_all));
    PaymentEvent::Refunded(PaymentRefunded { order_id: order(), refund_id: refund_id.into(), amount, refunded })
}

/// The sums that are settled and reserved.
fn books(given: &Given<Payment>) -> (i64, i64) {
    let refunds = given.state().refunds().unwrap();
    (refunds.refunded(), refunds.reserved())
}

#[test]
fn a_refund_is_booked_when_it_is_settled() {
    let asked = taken_then([]).when(refund("r1", 400)).then([refund_requested("r1", 400)]);
    assert_eq!(books(&asked), (0, 400));
    let done = asked.when(settle("r1")).then([settled("r1", 400, 400)]);
    assert_eq!(books(&done), (400, 0));
    done.when(settle("r1")).then_nothing().when(fail_refund("r1")).then_nothing().when(refund("r1", 400)).then_nothing();
}

#[test]
fn refunds_add_up_to_what_was_captured() {
    let first = taken_then([refund_requested("r1", 400)]);
    let words = "amount: at most 600 of the captured 1000 are left to refund, 601 were asked for (minor units)";
    first.clone().when(refund("r2", 601)).refused("refund-exceeds-captured").on("amount").saying(words);
    let both = first.when(refund("r2", 600)).then([refund_requested("r2", 600)]);
    both.clone().when(refund("r3", 1)).refused("refund-exceeds-captured");
    let done = both.when(settle("r2")).then([settled("r2", 600, 600)]).when(settle("r1")).then([settled("r1", 400, 1000)]);
    assert_eq!(books(&done), (1000, 0));
    done.when(refund("r3", 1)).refused("refund-exceeds-captured");
}

#[test]
fn a_refund_that_fails_releases_its_amount_once() {
    let failed = taken_then([refund_requested("r1", 1000)]).when(fail_refund("r1")).then([refund_failed("r1", 1000)]);
    assert_eq!(books(&failed), (0, 0));
    let failed = failed.when(fail_refund("r1")).then_nothing();
    failed.when(refund("r2", 1000)).then([refund_requested("r2", 1000)]);
}

#[test]
fn a_refund_that_failed_may_be_asked_for_anew_while_its_amount_is_left() {
    let failed = || taken_then([refund_requested("r1", 400), refund_failed("r1", 400)]);
    let again = failed().when(refund("r1", 400)).then([refund_requested("r1", 400)]);
    again.when(settle("r1")).then([settled("r1", 400, 400)]);
    failed().when(refund("r1", 300)).refused("refund-id-reused");
    let taken_by_another = failed().when(refund("r2", 700)).then([refund_requested("r2", 700)]);
    taken_by_another.when(refund("r1", 400)).refused("refund-exceeds-captured");
}

#[test]
fn a_refund_that_failed_is_settled_when_the_gateway_is_well_again() {
    let failed = || taken_then([refund_requested("r1", 400), refund_failed("r1", 400)]);
    let done = failed().when(settle("r1")).then([settled("r1", 400, 400)]);
    assert_eq!(books(&done), (400, 0));
    done.when(settle("r1")).then_nothing();
    let taken_by_another = failed().when(refund("r2", 700)).then([refund_requested("r2", 700)]);
    let both = taken_by_another.when(settle("r1")).then([settled("r1", 400, 400)]);
    assert_eq!(books(&both), (400, 700), "what the gateway has paid is booked, whatever was promised meanwhile");
    let words = "amount: at most 0 of the captured 1000 are left to refund, 1 were asked for (minor units)";
    both.clone().when(refund("r3", 1)).refused("refund-exceeds-captured").saying(words);
    both.clone().when(void()).then_nothing();
    both.when(fail_refund("r2")).then([refund_failed("r2", 700)]).when(refund("r3", 600)).then([refund_requested("r3", 600)]);
}

#[test]
fn a_refund_that_nobody_asked_for_is_neither_settled_nor_failed() {
    let words = "refund_id: the payment has no refund \"r1\": request it first";
    taken_then([]).when(settle("r1")).refused("unknown-refund").on("refund_id").saying(words);
    taken_then([]).when(fail_refund("r1")).refused("unknown-refund").on("refund_id");
    given::<Payment>([requested(), authorised()]).when(settle("r1")).refused("unknown-refund");
}

#[test]
fn what_was_taken_is_refunded_when_it_is_voided() {
    let asked = taken_then([]).when(void()).then([refund_requested(VOID_REFUND, 1000)]).when(void()).then_nothing();
    asked.when(settle(VOID_REFUND)).then([settled(VOID_REFUND, 1000, 1000)]).when(void()).then_nothing();
    taken_then([refund_requested("r1", 400)]).when(void()).then([refund_requested(VOID_REFUND, 600)]);
    taken_then([refund_requested("r1", 400), settled("r1", 400, 400)]).when(void()).then([refund_requested(VOID_REFUND, 600)]);
    taken_then([refund_requested("r1", 1000)]).when(void()).then_nothing();
}

#[test]
fn the_refund_of_a_void_keeps_its_amount() {
    let partly = || taken_then([refund_requested("r1", 400), refund_requested(VOID_REFUND, 600), refund_failed("r1", 400)]);
    partly().when(void()).then_nothing();
    let failed = partly().when(fail_refund(VOID_REFUND)).then([refund_failed(VOID_REFUND, 600)]);
    failed.clone().when(void()).then([refund_requested(VOID_REFUND, 600)]);
    let taken_by_another = failed.when(refund("r2", 500)).then([refund_requested("r2", 500)]);
    taken_by_another.when(void()).refused("refund-exceeds-captured");
}

#[test]
fn a_refund_gives_something_back() {
    let words = "amount: must be at least 1 minor unit, is 0";
    taken_then([]).when(refund("r1", 0)).refused("invalid-amount").on("amount").saying(words);
    taken_then([]).when(refund("r1", i64::MIN)).refused("invalid-amount").on("amount");
    taken_then([]).when(refund("r1", i64::MAX)).refused("refund-exceeds-captured");
}

#[test]
fn a_refund_keeps_the_currency() {
    let amount = Money { amount: 1, currency: "EUR".parse().unwrap() };
    let words = "amount: must be in GBP, the currency of the payment, is in EUR";
    let command = PaymentCommand::Refund { refund_id: "r1".into(), amount };
    taken_then([]).when(command).refused("currency-mismatch").on("amount").saying(words);
}

#[test]
fn a_refunds_name_stands_for_one_amount() {
    let past = || taken_then([refund_requested("r1", 400)]);
    past().when(refund("r1", 400)).then_nothing();
    let words = "refund_id: \"r1\" already names a refund of £4.00, this one is of £3.00";
    past().when(refund("r1", 300)).refused("refund-id-reused").on("refund_id").saying(words);
}

#[test]
fn no_refund_takes_the_name_of_the_void() {
    let words = "refund_id: \"void\" is kept for the refund that voiding a captured payment makes";
    taken_then([]).when(refund(VOID_REFUND, 1)).refused("reserved-refund-id").on("refund_id").saying(words);
    taken_then([refund_requested(VOID_REFUND, 1000)]).when(refund(VOID_REFUND, 1000)).then_nothing();
}

#[test]
fn only_what_was_captured_is_refunded() {
    for (status, past) in pasts().into_iter().filter(|(status, _)| *status != "captured") {
        let words = format!("the payment cannot be refunded before it is captured: it is {status}");
        given::<Payment>(past).when(refund("r1", 1)).refused("not-captured").saying(&words);
    }
}

#[test]
fn a_refund_that_an_earlier_build_booked_is_settled() {
    let old = || taken_then([refunded("r1", 400, 400)]);
    assert_eq!(books(&old()), (400, 0));
    old().when(refund("r1", 400)).then_nothing().when(settle("r1")).then_nothing().when(fail_refund("r1")).then_nothing();
    old().when(refund("r1", 300)).refused("refund-id-reused");
    old().when(void()).then([refund_requested(VOID_REFUND, 600)]).when(settle(VOID_REFUND)).then([settled(VOID_REFUND, 600, 1000)]);
}
