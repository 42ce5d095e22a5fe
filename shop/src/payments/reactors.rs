//! The reactors of payments: they make commands of orders' events, and effects at the gateway of payments' events.

use super::effects::{AUTHORISE, Authorise, CAPTURE, REFUND, Refund, VOID};
use consumers::{Effect, Reaction, Reactor};
use domain::{
    Money, OrderId, PaymentId,
    order::{OrderConfirmed, OrderEvent, OrderReserved},
    payment::{Payment, PaymentCommand, PaymentEvent, PaymentRequested},
};
use event_sourcing::Recorded;

/// The payment service's reactors.
pub fn reactors() -> Vec<Reactor> {
    vec![Reactor::of::<OrderEvent>(on_order), Reactor::of::<PaymentEvent>(on_payment)]
}

fn ask(reactor: &'static str, payment: PaymentId, command: &PaymentCommand) -> Vec<Reaction> {
    vec![Reaction::command::<Payment>(reactor, payment.0, command)]
}

fn on_order(event: &Recorded<OrderEvent>) -> Vec<Reaction> {
    let order = OrderId(event.aggregate_id);
    match &event.event {
        OrderEvent::Reserved(reserved) => request(order, reserved),
        OrderEvent::Confirmed(confirmed) => capture(confirmed),
        OrderEvent::Cancelled(cancelled) => void(order, &cancelled.reason),
        OrderEvent::Expired(_) => void(order, "order-expired"),
        OrderEvent::Placed(_) | OrderEvent::Accepted(_) | OrderEvent::LineReserved(_) | OrderEvent::LineRejected(_) => Vec::new(),
    }
}

fn request(order_id: OrderId, reserved: &OrderReserved) -> Vec<Reaction> {
    let OrderReserved { user_id, total: amount, payment_method: method } = reserved.clone();
    ask("request-payment", PaymentId::for_order(order_id), &PaymentCommand::Request { order_id, user_id, amount, method })
}

/// Where the total is 0, nothing is held, and the gateway is not asked to take anything.
fn capture(confirmed: &OrderConfirmed) -> Vec<Reaction> {
    let payment = confirmed.payment_id;
    if confirmed.total.amount == 0 {
        return ask("capture-payment", payment, &PaymentCommand::RecordCapture);
    }
    let effect = Effect::new(CAPTURE, payment.0).while_allowed::<Payment>(&PaymentCommand::MayCapture);
    vec![Reaction::effect("capture-payment", effect)]
}

fn void(order: OrderId, reason: &str) -> Vec<Reaction> {
    ask("void-payment", PaymentId::for_order(order), &PaymentCommand::Void { reason: reason.to_owned() })
}

fn on_payment(event: &Recorded<PaymentEvent>) -> Vec<Reaction> {
    let payment = PaymentId(event.aggregate_id);
    match &event.event {
        PaymentEvent::Requested(requested) => authorise(payment, requested),
        PaymentEvent::Voided(voided) => lift_hold(payment, voided.amount.as_ref()),
        PaymentEvent::RefundRequested(asked) => {
            let question = PaymentCommand::MayRefund { refund_id: asked.refund_id.clone() };
            let effect = refund(payment, &asked.refund_id, &asked.amount).while_allowed::<Payment>(&question);
            vec![Reaction::effect("refund-payment", effect)]
        }
        // An earlier build booked the refund before it was done, so no question can tell whether it was.
        PaymentEvent::Refunded(booked) => vec![Reaction::effect("refund-payment", refund(payment, &booked.refund_id, &booked.amount))],
        PaymentEvent::Authorised(_)
        | PaymentEvent::Declined(_)
        | PaymentEvent::Captured(_)
        | PaymentEvent::CaptureFailed(_)
        | PaymentEvent::RefundSettled(_)
        | PaymentEvent::RefundFailed(_) => Vec::new(),
    }
}

fn authorise(payment: PaymentId, requested: &PaymentRequested) -> Vec<Reaction> {
    // Nothing to hold: the gateway is not asked.
    if requested.amount.amount == 0 {
        return ask("authorise-payment", payment, &PaymentCommand::RecordAuthorisation { reference: "nothing-to-pay".into() });
    }
    let payload = Authorise { amount: requested.amount.clone(), method: requested.method.to_string() };
    let effect = Effect::new(AUTHORISE, payment.0).with(&payload).while_allowed::<Payment>(&PaymentCommand::MayAuthorise);
    vec![Reaction::effect("authorise-payment", effect)]
}

/// Asks the gateway to lift the hold, unless the amount was 0. A void of an earlier build does not state the amount: there may be a hold.
fn lift_hold(payment: PaymentId, amount: Option<&Money>) -> Vec<Reaction> {
    if amount.is_some_and(|amount| amount.amount == 0) {
        return Vec::new();
    }
    vec![Reaction::effect("void-hold", Effect::new(VOID, payment.0))]
}

fn refund(payment: PaymentId, refund_id: &str, amount: &Money) -> Effect {
    let payload = Refund { refund_id: refund_id.to_owned(), amount: amount.clone() };
    Effect::new(REFUND, payment.0).keyed(&format!("{payment}/{refund_id}")).with(&payload)
}
