//! A sample of each event, with each optional field once there and once not.

use domain::{
    Money, OrderId, PaymentId, ProductId, Quantity, Timestamp, UserId, notification::*, order::*, payment::*, product::*, user::*,
};
use schemas::AnyEvent;

fn money(amount: i64) -> Money {
    Money::new(amount, "GBP".parse().expect("a currency")).expect("an amount")
}

fn quantity(pieces: i64) -> Quantity {
    Quantity::new(pieces).expect("a quantity")
}

pub fn all() -> Vec<AnyEvent> {
    let (user_id, order_id, product_id) = (UserId::derive("t", "u"), OrderId::derive("t", "o"), ProductId::derive("t", "p"));
    let payment_id = PaymentId::for_order(order_id);
    let text = |words: &str| words.parse().expect("a text");
    let lines = vec![
        OrderLine { product_id, quantity: quantity(2), agreed_price: Some(money(1250)) },
        OrderLine { product_id, quantity: quantity(1), agreed_price: None },
    ];
    let at = Timestamp(1_700_000_000_123);
    vec![
        UserEvent::Registered(UserRegistered {
            email: "ada@example.com".parse().expect("an address"),
            name: text("Ada"),
            address: Some(text("1 High St")),
        })
        .into(),
        UserEvent::ProfileChanged(UserProfileChanged { email: None, name: Some(text("Ada L.")), address: None }).into(),
        UserEvent::Closed(UserClosed { reason: None }).into(),
        ProductEvent::Listed(ProductListed { sku: "85123A".parse().expect("a sku"), name: text("Heart"), price: money(295) }).into(),
        ProductEvent::PriceChanged(PriceChanged { price: money(0) }).into(),
        ProductEvent::StockReceived(StockReceived { quantity: quantity(10) }).into(),
        ProductEvent::StockReserved(StockReserved { order_id, line: 0, quantity: quantity(2), unit_price: money(295) }).into(),
        ProductEvent::ReservationRejected(ReservationRejected {
            order_id,
            line: 1,
            quantity: quantity(9),
            reason: "insufficient-stock".into(),
        })
        .into(),
        ProductEvent::StockReleased(StockReleased { order_id, line: 0, quantity: quantity(2) }).into(),
        ProductEvent::StockShipped(StockShipped { order_id, line: 0, quantity: quantity(2) }).into(),
        ProductEvent::Withdrawn(ProductWithdrawn { reason: Some(text("sold out")) }).into(),
        OrderEvent::Placed(OrderPlaced {
            user_id,
            lines: lines.clone(),
            payment_method: text("card"),
            placed_at: at,
            expires_at: at.plus_millis(900_000),
        })
        .into(),
        OrderEvent::LineReserved(OrderLineReserved { line: 0, unit_price: money(295) }).into(),
        OrderEvent::LineRejected(OrderLineRejected { line: 1, reason: "insufficient-stock".into() }).into(),
        OrderEvent::Reserved(OrderReserved { user_id, total: money(885), payment_method: text("card") }).into(),
        OrderEvent::Confirmed(OrderConfirmed { user_id, lines: lines.clone(), total: money(885), payment_id }).into(),
        OrderEvent::Cancelled(OrderCancelled { user_id, lines: lines.clone(), reason: "payment-declined".into() }).into(),
        OrderEvent::Expired(OrderExpired { user_id, lines, expired_at: at }).into(),
        PaymentEvent::Requested(PaymentRequested { order_id, user_id, amount: money(885), method: text("card") }).into(),
        PaymentEvent::Authorised(PaymentAuthorised { order_id, reference: "auth-1".into() }).into(),
        PaymentEvent::Declined(PaymentDeclined { order_id, reason: "no-funds".into() }).into(),
        PaymentEvent::Captured(PaymentCaptured { order_id, amount: money(885) }).into(),
        PaymentEvent::Voided(PaymentVoided { order_id, reason: "order-cancelled".into() }).into(),
        PaymentEvent::Refunded(PaymentRefunded { order_id, refund_id: "r1".into(), amount: money(100), refunded: money(200) }).into(),
        NotificationEvent::Requested(NotificationRequested {
            user_id,
            order_id: Some(order_id),
            kind: "order-confirmed".into(),
            subject: "Your order".into(),
            body: "It is on its way.".into(),
        })
        .into(),
        NotificationEvent::Delivered(NotificationDelivered { user_id }).into(),
        NotificationEvent::Failed(NotificationFailed { user_id, reason: "no address known".into() }).into(),
    ]
}
