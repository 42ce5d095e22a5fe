//! A sample of each event, with each optional field once there and once not.

use domain::{
    Email, HolderId, Money, OrderId, PaymentId, ProductId, Quantity, ReservationId, Sku, Timestamp, UserId, notification::*, order::*,
    payment::*, product::*, reservation::*, user::*,
};
use event_sourcing::{AnyEvent, Event};

/// An event, and the bytes that this build writes of it.
pub struct Sample {
    pub event: AnyEvent,
    pub bytes: Vec<u8>,
}

fn sample<E: Event>(event: E) -> Sample {
    let bytes = schemas::bundled().encode(&event).expect("a sample fits its schema");
    Sample { event: AnyEvent::new(event), bytes }
}

fn money(amount: i64) -> Money {
    Money::new(amount, "GBP".parse().expect("a currency")).expect("an amount")
}

fn quantity(pieces: i64) -> Quantity {
    Quantity::new(pieces).expect("a quantity")
}

pub fn all() -> Vec<Sample> {
    let (user_id, order_id, product_id) = (UserId::derive("t", "u"), OrderId::derive("t", "o"), ProductId::derive("t", "p"));
    let payment_id = PaymentId::for_order(order_id);
    let text = |words: &str| words.parse().expect("a text");
    let lines = vec![
        OrderLine { product_id, quantity: quantity(2), agreed_price: Some(money(1250)) },
        OrderLine { product_id, quantity: quantity(1), agreed_price: None },
    ];
    let at = Timestamp(1_700_000_000_123);
    let (email, sku): (Email, Sku) = ("ada@example.com".parse().expect("an address"), "85123A".parse().expect("a sku"));
    let held = Reserved { reservation_id: ReservationId::of_email(&email), number: 1 };
    let unit = Reserved { reservation_id: ReservationId::of_sku(&sku), number: 3 };
    let holder = HolderId(user_id.0);
    vec![
        sample(UserEvent::Registered(UserRegistered {
            email: email.clone(),
            name: text("Ada"),
            address: Some(text("1 High St")),
            reserved: Some(held),
        })),
        sample(UserEvent::ProfileChanged(UserProfileChanged {
            email: None,
            name: Some(text("Ada L.")),
            address: None,
            reserved: None,
            left: Some(held),
        })),
        sample(UserEvent::Closed(UserClosed { reason: None, left: Some(held) })),
        sample(UserEvent::EmailForgone(UserEmailForgone { reserved: held })),
        sample(UserEvent::Vouched(CustomerVouched { order_id })),
        sample(UserEvent::Refused(CustomerRefused { order_id, reason: "unknown-customer".into() })),
        sample(ProductEvent::Listed(ProductListed { sku, name: text("Heart"), price: money(295), reserved: Some(unit) })),
        sample(ProductEvent::PriceChanged(PriceChanged { price: money(0) })),
        sample(ProductEvent::StockReceived(StockReceived { quantity: quantity(10) })),
        sample(ProductEvent::StockReserved(StockReserved { order_id, line: 0, quantity: quantity(2), unit_price: money(295) })),
        sample(ProductEvent::ReservationRejected(ReservationRejected {
            order_id,
            line: 1,
            quantity: quantity(9),
            reason: "insufficient-stock".into(),
        })),
        sample(ProductEvent::StockReleased(StockReleased { order_id, line: 0, quantity: quantity(2) })),
        sample(ProductEvent::StockShipped(StockShipped { order_id, line: 0, quantity: quantity(2) })),
        sample(ProductEvent::Withdrawn(ProductWithdrawn { reason: Some(text("sold out")), left: Some(unit) })),
        sample(ProductEvent::SkuForgone(ProductSkuForgone { reserved: unit })),
        sample(ReservationEvent::Made(ReservationMade { kind: Kind::Email, holder, reserved_at: at })),
        sample(ReservationEvent::Awaited(ReservationAwaited { kind: Kind::Email, holder })),
        sample(ReservationEvent::Ended(ReservationEnded { holder, number: 1 })),
        sample(ReservationEvent::Opened(ReservationsOpened {})),
        sample(OrderEvent::Placed(OrderPlaced {
            user_id,
            lines: lines.clone(),
            payment_method: text("card"),
            placed_at: at,
            expires_at: at.plus_millis(900_000),
            awaits_customer: true,
        })),
        sample(OrderEvent::Accepted(OrderAccepted { user_id, lines: lines.clone() })),
        sample(OrderEvent::LineReserved(OrderLineReserved { line: 0, unit_price: money(295) })),
        sample(OrderEvent::LineRejected(OrderLineRejected { line: 1, reason: "insufficient-stock".into() })),
        sample(OrderEvent::Reserved(OrderReserved { user_id, total: money(885), payment_method: text("card") })),
        sample(OrderEvent::Confirmed(OrderConfirmed { user_id, lines: lines.clone(), total: money(885), payment_id })),
        sample(OrderEvent::Cancelled(OrderCancelled { user_id, lines: lines.clone(), reason: "payment-declined".into() })),
        sample(OrderEvent::Expired(OrderExpired { user_id, lines, expired_at: at })),
        sample(PaymentEvent::Requested(PaymentRequested { order_id, user_id, amount: money(885), method: text("card") })),
        sample(PaymentEvent::Authorised(PaymentAuthorised { order_id, reference: "auth-1".into() })),
        sample(PaymentEvent::Declined(PaymentDeclined { order_id, reason: "no-funds".into() })),
        sample(PaymentEvent::Captured(PaymentCaptured { order_id, amount: money(885) })),
        sample(PaymentEvent::Voided(PaymentVoided { order_id, reason: "order-cancelled".into(), amount: Some(money(885)) })),
        sample(PaymentEvent::Refunded(PaymentRefunded { order_id, refund_id: "r1".into(), amount: money(100), refunded: money(200) })),
        sample(PaymentEvent::CaptureFailed(PaymentCaptureFailed { order_id, user_id, amount: money(885), reason: "hold-expired".into() })),
        sample(PaymentEvent::RefundRequested(PaymentRefundRequested { order_id, user_id, refund_id: "r1".into(), amount: money(100) })),
        sample(PaymentEvent::RefundSettled(PaymentRefundSettled {
            order_id,
            user_id,
            refund_id: "r1".into(),
            amount: money(100),
            refunded: money(200),
        })),
        sample(PaymentEvent::RefundFailed(PaymentRefundFailed {
            order_id,
            user_id,
            refund_id: "r1".into(),
            amount: money(100),
            reason: "account-closed".into(),
        })),
        sample(NotificationEvent::Requested(NotificationRequested {
            user_id,
            order_id: Some(order_id),
            kind: "order-confirmed".into(),
            subject: "Your order".into(),
            body: "It is on its way.".into(),
        })),
        sample(NotificationEvent::Delivered(NotificationDelivered { user_id })),
        sample(NotificationEvent::Failed(NotificationFailed { user_id, reason: "no address known".into() })),
    ]
}
