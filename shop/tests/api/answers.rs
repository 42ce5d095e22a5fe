//! The shop's answers to commands that were decided.

use crate::{shop::Shop, support::answer::Answer};
use domain::{OrderId, PaymentId, ProductId, Timestamp, UserId, payment::PaymentCommand};
use event_store::{Cause, CommandMeta};
use serde_json::{Value, json};
use uuid::Uuid;

fn ada() -> Value {
    json!({"email": "ada@example.com", "name": "Ada"})
}

fn listing() -> Value {
    json!({"sku": "85123A", "name": "Holder", "price": {"amount": 255, "currency": "GBP"}})
}

fn order() -> Value {
    let line = json!({"product_id": Uuid::now_v7(), "quantity": 2});
    json!({"user_id": Uuid::now_v7(), "lines": [line], "payment": {"method": "card"}})
}

/// The same, with an address or a stock-keeping unit of its own.
fn other(body: &Value) -> Value {
    let mut other = body.clone();
    for (field, value) in [("email", "eve@example.com"), ("sku", "85123B")] {
        if body.get(field).is_some() {
            other[field] = json!(value);
        }
    }
    other
}

#[tokio::test]
async fn what_is_made_has_a_place_and_an_id_that_follows_from_the_key() {
    let shop = Shop::open().await;
    let derived = [
        ("/users", ada(), UserId::derive("shop/7", "k-1").to_string()),
        ("/products", listing(), ProductId::derive("shop/7", "k-1").to_string()),
        ("/orders", order(), OrderId::derive("shop/7", "k-1").to_string()),
    ];
    for (path, body, id) in derived {
        let made = Answer::of(shop.served.post(path, &body).header("idempotency-key", "k-1").header("daybook-actor", "shop/7")).await;
        let made = made.expecting(201);
        assert_eq!((made.id(), made.header("location")), (&*id, &*format!("{path}/{id}")));
        let without_key = shop.served.posted(path, &other(&body), 201).await;
        assert_eq!(without_key.id().parse::<Uuid>().unwrap().get_version_num(), 7);
        assert_eq!(without_key.header("location"), format!("{path}/{}", without_key.id()));
    }
}

#[tokio::test]
async fn an_account_is_opened_changed_and_closed() {
    let shop = Shop::open().await;
    let made = shop.served.posted("/users", &ada(), 201).await;
    let path = |what: &str| format!("/users/{}/{what}", made.id());
    let changed = shop.served.posted(&path("profile-changes"), &json!({"name": "Ada L."}), 200).await;
    assert_eq!((changed.id(), changed.header("etag"), changed.header("location")), (made.id(), "\"2\"", ""));
    let closed = shop.served.posted(&path("closure"), &json!({"reason": null}), 200).await;
    assert_eq!(closed.body["version"], 3);
}

#[tokio::test]
async fn an_order_is_repeated_although_its_deadline_moves_with_the_clock() {
    let shop = Shop::open().await;
    let body = order();
    let place = || shop.served.post("/orders", &body).header("idempotency-key", "o-1");
    let first = Answer::of(place()).await.expecting(201);
    let millisecond_of = || Timestamp(jiff::Timestamp::now().as_millisecond());
    let placed = millisecond_of();
    while millisecond_of() == placed {
        tokio::task::yield_now().await;
    }
    let again = Answer::of(place()).await.expecting(201);
    assert_eq!((&first.body, again.header("idempotency-replayed")), (&again.body, "true"));
    shop.served.posted(&format!("/orders/{}/cancellation", first.id()), &json!({"reason": "no more"}), 200).await;
}

#[tokio::test]
async fn a_rule_that_says_no_is_named() {
    let shop = Shop::open().await;
    let unknown = Uuid::now_v7();
    shop.served.posted(&format!("/users/{unknown}/closure"), &json!({}), 404).await.is_problem("unknown-user", "", "");
    shop.served.posted(&format!("/products/{unknown}/withdrawal"), &json!({}), 404).await.is_problem("unknown-product", "", "");
    shop.served.posted(&format!("/orders/{unknown}/cancellation"), &json!({"reason": "x"}), 404).await.is_problem("unknown-order", "", "");
    let user = shop.served.posted("/users", &ada(), 201).await;
    shop.served.posted(&format!("/users/{}/closure", user.id()), &json!({}), 200).await;
    shop.served.posted(&format!("/users/{}/profile-changes", user.id()), &json!({"name": "Eve"}), 422).await.is_problem(
        "user-closed",
        "",
        "",
    );
}

#[tokio::test]
async fn products_are_listed_priced_received_and_withdrawn() {
    let shop = Shop::open().await;
    let product = shop.served.posted("/products", &listing(), 201).await;
    let path = |what: &str| format!("/products/{}/{what}", product.id());
    shop.served.posted(&path("price-changes"), &json!({"price": {"amount": 295, "currency": "GBP"}}), 200).await;
    shop.served.posted(&path("stock-receipts"), &json!({"quantity": 10}), 200).await;
    let other = shop.served.posted(&path("price-changes"), &json!({"price": {"amount": 295, "currency": "EUR"}}), 422).await;
    other.is_problem("currency-mismatch", "price", "");
    assert_eq!(shop.served.posted(&path("withdrawal"), &json!({"reason": "sold out"}), 200).await.header("etag"), "\"4\"");
    shop.served.posted(&path("stock-receipts"), &json!({"quantity": 10}), 422).await.is_problem("withdrawn-product", "", "");
}

#[tokio::test]
async fn a_refund_is_made_once_for_a_key_and_never_of_more_than_was_captured() {
    let shop = Shop::open().await;
    let id = PaymentId(Uuid::now_v7());
    let money = |amount| domain::Money::new(amount, "GBP".parse().unwrap()).unwrap();
    let (order_id, user_id) = (OrderId(Uuid::now_v7()), UserId(Uuid::now_v7()));
    let request = PaymentCommand::Request { order_id, user_id, amount: money(1000), method: "card".parse().unwrap() };
    for command in [request, PaymentCommand::RecordAuthorisation { reference: "r".into() }, PaymentCommand::RecordCapture] {
        let cause = Cause { actor: "test".into(), correlation_id: "c".into(), causation_id: None, traceparent: None };
        let meta = CommandMeta { command_id: Uuid::now_v7(), time: Timestamp(1), expected_version: None, only_of: None, cause };
        shop.payments.execute(id.0, command, meta).await.unwrap();
    }
    let path = format!("/payments/{id}/refunds");
    let amount = |amount: i64| json!({"amount": {"amount": amount, "currency": "GBP"}});
    let refund = || shop.served.post(&path, &amount(600)).header("idempotency-key", "refund-1");
    let (first, again) = (Answer::of(refund()).await.expecting(200), Answer::of(refund()).await.expecting(200));
    assert_eq!((&first.body, again.header("idempotency-replayed")), (&again.body, "true"));
    shop.served.posted(&path, &amount(500), 422).await.is_problem("refund-exceeds-captured", "amount", "");
    shop.served.posted(&path, &amount(400), 200).await;
}

#[tokio::test]
async fn only_a_merchant_states_a_price() {
    let shop = Shop::open().await;
    let priced = json!({"product_id": Uuid::now_v7(), "quantity": 1, "agreed_price": {"amount": 5, "currency": "GBP"}});
    let plain = json!({"product_id": Uuid::now_v7(), "quantity": 1});
    let body = json!({"user_id": Uuid::now_v7(), "lines": [plain, priced], "payment": {"method": "card"}});
    shop.served.posted("/orders", &body, 403).await.is_problem("merchants-only", "lines[1].agreed_price", "merchant/");
    Answer::of(shop.served.post("/orders", &body).header("daybook-actor", "merchants")).await.expecting(403);
    Answer::of(shop.served.post("/orders", &body).header("daybook-actor", "merchant/1")).await.expecting(201);
}
