//! What a caller hears of a command that was decided.

use crate::shop::{Answer, Heard, Served, Shop, host, routed};
use command_api::{Api, ApiConfig, edge::EdgeConfig};
use domain::{OrderId, PaymentId, Timestamp, UserId, payment::PaymentCommand, user::User};
use event_store::{Cause, CommandMeta, MemoryLog, Position};
use serde_json::{Value, json};
use uuid::Uuid;

fn ada() -> Value {
    json!({"email": "ada@example.com", "name": "Ada"})
}

#[tokio::test]
async fn what_is_made_has_a_place_a_version_and_a_position() {
    let shop = Shop::open().await;
    let made = shop.posted("/users", &ada(), 201).await;
    let id: Uuid = made.id().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(made.body, json!({"id": id.to_string(), "version": 1}));
    assert_eq!(made.header("location"), format!("/users/{id}"));
    assert_eq!(made.header("etag"), "\"1\"");
    assert_eq!(made.header("content-type"), "application/json");
    let position: Position = made.header("daybook-position").parse().unwrap();
    assert_eq!((&*position.service, position.offset), ("users", 1));

    let changed = shop.posted(&format!("/users/{id}/profile-changes"), &json!({"name": "Ada L."}), 200).await;
    assert_eq!((changed.id(), changed.header("etag"), changed.header("location")), (made.id(), "\"2\"", ""));
    let closed = shop.posted(&format!("/users/{id}/closure"), &json!({"reason": null}), 200).await;
    assert_eq!(closed.body["version"], 3);
}

#[tokio::test]
async fn a_repeat_with_the_same_key_hears_the_same() {
    let shop = Shop::open().await;
    let register = || shop.served.post("/users", &ada()).header("idempotency-key", "k-1").header("daybook-actor", "shop/7");
    let (first, again) = (Answer::of(register()).await.expecting(201), Answer::of(register()).await.expecting(201));
    assert_eq!(first.body, again.body);
    for name in ["location", "etag", "daybook-position"] {
        assert_eq!(first.header(name), again.header(name), "{name}");
    }
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!(first.id(), UserId::derive("shop/7", "k-1").to_string());

    let other = json!({"email": "bob@example.com", "name": "Bob"});
    let reused = shop.served.post("/users", &other).header("idempotency-key", "k-1").header("daybook-actor", "shop/7");
    Answer::of(reused).await.expecting(422).is_problem("idempotency-key-reused", "", "");
    let stranger = shop.served.post("/users", &ada()).header("idempotency-key", "k-1").header("daybook-actor", "shop/8");
    assert_ne!(Answer::of(stranger).await.expecting(201).id(), first.id());
}

#[tokio::test]
async fn an_order_is_repeated_although_its_deadline_moves_with_the_clock() {
    let shop = Shop::open().await;
    let line = json!({"product_id": Uuid::now_v7(), "quantity": 2});
    let body = json!({"user_id": Uuid::now_v7(), "lines": [line], "payment": {"method": "card"}});
    let place = || shop.served.post("/orders", &body).header("idempotency-key", "o-1");
    let first = Answer::of(place()).await.expecting(201);
    let millisecond_of = || Timestamp(jiff::Timestamp::now().as_millisecond());
    let placed = millisecond_of();
    while millisecond_of() == placed {
        tokio::task::yield_now().await;
    }
    let again = Answer::of(place()).await.expecting(201);
    assert_eq!((&first.body, again.header("idempotency-replayed")), (&again.body, "true"));
    shop.posted(&format!("/orders/{}/cancellation", first.id()), &json!({"reason": "no more"}), 200).await;
}

#[tokio::test]
async fn a_version_that_was_seen_must_be_the_version_that_is() {
    let shop = Shop::open().await;
    let path = format!("/users/{}/profile-changes", shop.posted("/users", &ada(), 201).await.id());
    let change = |seen: &'static str, name: &str| shop.served.post(&path, &json!({"name": name})).header("if-match", seen);
    Answer::of(change("\"1\"", "One")).await.expecting(200);
    let conflict = Answer::of(change("\"1\"", "Two")).await.expecting(412);
    conflict.is_problem("version-conflict", "", "");
    assert_eq!(conflict.body["detail"], "expected version 1, the aggregate is at 2");
    assert_eq!(Answer::of(change("*", "Three")).await.expecting(200).header("etag"), "\"3\"");
}

#[tokio::test]
async fn a_rule_that_says_no_is_named() {
    let shop = Shop::open().await;
    let unknown = Uuid::now_v7();
    shop.posted(&format!("/users/{unknown}/closure"), &json!({}), 404).await.is_problem("unknown-user", "", "");
    shop.posted(&format!("/products/{unknown}/withdrawal"), &json!({}), 404).await.is_problem("unknown-product", "", "");
    shop.posted(&format!("/orders/{unknown}/cancellation"), &json!({"reason": "x"}), 404).await.is_problem("unknown-order", "", "");
    let user = shop.posted("/users", &ada(), 201).await;
    shop.posted(&format!("/users/{}/closure", user.id()), &json!({}), 200).await;
    shop.posted(&format!("/users/{}/profile-changes", user.id()), &json!({"name": "Eve"}), 422).await.is_problem("user-closed", "", "");
}

#[tokio::test]
async fn products_are_listed_priced_received_and_withdrawn() {
    let shop = Shop::open().await;
    let listing = json!({"sku": "85123A", "name": "Holder", "price": {"amount": 255, "currency": "GBP"}});
    let product = shop.posted("/products", &listing, 201).await;
    let path = |what: &str| format!("/products/{}/{what}", product.id());
    shop.posted(&path("price-changes"), &json!({"price": {"amount": 295, "currency": "GBP"}}), 200).await;
    shop.posted(&path("stock-receipts"), &json!({"quantity": 10}), 200).await;
    let other = shop.posted(&path("price-changes"), &json!({"price": {"amount": 295, "currency": "EUR"}}), 422).await;
    other.is_problem("currency-mismatch", "price", "");
    assert_eq!(shop.posted(&path("withdrawal"), &json!({"reason": "sold out"}), 200).await.header("etag"), "\"4\"");
    shop.posted(&path("stock-receipts"), &json!({"quantity": 10}), 422).await.is_problem("withdrawn-product", "", "");
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
        let meta = CommandMeta { command_id: Uuid::now_v7(), time: Timestamp(1), expected_version: None, cause };
        shop.payments.execute(id.0, command, meta).await.unwrap();
    }
    let path = format!("/payments/{id}/refunds");
    let amount = |amount: i64| json!({"amount": {"amount": amount, "currency": "GBP"}});
    let refund = || shop.served.post(&path, &amount(600)).header("idempotency-key", "refund-1");
    let (first, again) = (Answer::of(refund()).await.expecting(200), Answer::of(refund()).await.expecting(200));
    assert_eq!((&first.body, again.header("idempotency-replayed")), (&again.body, "true"));
    shop.posted(&path, &amount(500), 422).await.is_problem("refund-exceeds-captured", "amount", "");
    shop.posted(&path, &amount(400), 200).await;
}

#[tokio::test]
async fn only_a_merchant_states_a_price() {
    let shop = Shop::open().await;
    let priced = json!({"product_id": Uuid::now_v7(), "quantity": 1, "agreed_price": {"amount": 5, "currency": "GBP"}});
    let plain = json!({"product_id": Uuid::now_v7(), "quantity": 1});
    let body = json!({"user_id": Uuid::now_v7(), "lines": [plain, priced], "payment": {"method": "card"}});
    shop.posted("/orders", &body, 403).await.is_problem("merchants-only", "lines[1].agreed_price", "merchant/");
    Answer::of(shop.served.post("/orders", &body).header("daybook-actor", "merchants")).await.expecting(403);
    Answer::of(shop.served.post("/orders", &body).header("daybook-actor", "merchant/1")).await.expecting(201);
}

/// The text headers of the last record that the users' log holds.
fn last_record(log: &MemoryLog) -> Vec<(String, String)> {
    let last = (0..2).filter_map(|partition| log.records(partition).into_iter().nth(1)).next_back().unwrap();
    last.headers.iter().map(|(name, value)| (name.to_owned(), String::from_utf8(value.to_vec()).unwrap())).collect()
}

#[tokio::test]
async fn who_asked_and_in_which_trace_is_in_the_log() {
    let shop = Shop::open().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let post = shop.served.post("/users", &ada()).header("daybook-actor", "shop/7").header("traceparent", trace);
    assert_eq!(Answer::of(post).await.expecting(201).header("traceparent"), trace);
    let headers = last_record(&shop.users_log);
    for (name, value) in [("actor", "shop/7"), ("correlation-id", "4bf92f3577b34da6a3ce929d0e0e4736"), ("traceparent", trace)] {
        assert!(headers.contains(&(name.to_owned(), value.to_owned())), "{name} {value} in {headers:?}");
    }
}

#[tokio::test]
async fn a_trace_that_is_malformed_is_replaced_even_where_there_is_a_problem() {
    let shop = Shop::open().await;
    for given in [
        "",
        "nonsense",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        let answer = Answer::of(shop.served.post("/users", &json!({})).header("traceparent", given)).await.expecting(400);
        let made: Vec<&str> = answer.header("traceparent").split('-').collect();
        assert!(matches!(made[..], ["00", trace, span, "01"] if trace.len() == 32 && span.len() == 16), "{made:?}");
        assert_ne!(answer.header("traceparent"), given);
    }
    let correlated = shop.served.post("/users", &ada()).header("daybook-correlation", "import-12");
    Answer::of(correlated).await.expecting(201);
    assert!(last_record(&shop.users_log).contains(&("correlation-id".into(), "import-12".into())));
}

#[tokio::test]
async fn what_nobody_owns_is_to_be_asked_again() {
    let users = routed::<User>(host(&MemoryLog::new(2)), Heard(None));
    let served = Served::start(Api::new(ApiConfig::default()).users(users), EdgeConfig::default()).await;
    let answer = Answer::of(served.post("/users", &ada())).await.expecting(503);
    answer.is_problem("unavailable", "", "");
    assert_eq!(answer.header("retry-after"), "1");
    Answer::of(served.post("/orders", &json!({}))).await.expecting(404).is_problem("unknown-path", "", "");
}
