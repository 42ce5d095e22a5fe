//! Whatever the shop is sent, it answers a 4xx that says what is wrong and where.

use crate::{
    shop::Shop,
    support::answer::{Answer, Bad},
};
use serde_json::{Value, json};

const ID: &str = "0198c5a2-7b1e-7c3a-9d2f-3b5a1c2d4e6f";

fn malformed(path: &str, body: impl Into<Vec<u8>>, field: &'static str, rule: &'static str) -> Bad {
    Bad::malformed(path, body, field, rule)
}

fn invalid(path: &str, body: &Value, field: &'static str, rule: &'static str) -> Bad {
    Bad::invalid(path, body, field, rule)
}

async fn check(cases: Vec<Bad>) {
    Shop::open().await.served.refuses(cases).await;
}

#[tokio::test]
async fn a_list_of_the_values_is_no_object_that_has_them() {
    let order = |lines: &str, payment: &str| format!("{{\"user_id\":\"{ID}\",\"lines\":[{lines}],\"payment\":{payment}}}");
    let line = format!("{{\"product_id\":\"{ID}\",\"quantity\":1,\"agreed_price\":[1250,\"GBP\"]}}");
    check(vec![
        malformed("/users", "[\"ada@example.com\",\"Ada\",null]", "body", "invalid type: sequence, expected an object"),
        malformed("/products", "{\"sku\":\"85123A\",\"name\":\"x\",\"price\":[1250,\"GBP\"]}", "price", "expected an object"),
        malformed(&format!("/payments/{ID}/refunds"), "{\"amount\":[1250,\"GBP\"]}", "amount", "expected an object"),
        malformed("/orders", order(&format!("[\"{ID}\",1,null]"), "{\"method\":\"card\"}"), "lines[0]", "expected an object"),
        malformed("/orders", order(&line, "{\"method\":\"card\"}"), "lines[0].agreed_price", "expected an object"),
        malformed("/orders", order("", "[\"card\"]"), "payment", "expected an object"),
    ])
    .await;
}

#[tokio::test]
async fn bodies_of_another_shape_than_the_routes() {
    check(vec![
        malformed("/users", "{\"email\":\"a@b.c\",\"email\":\"a@b.c\",\"name\":\"Ada\"}", "email", "duplicate field"),
        malformed("/users", "{\"email\":\"a@b.c\"}", "name", "missing field"),
        malformed("/users", "{\"email\":\"a@b.c\",\"name\":\"Ada\",\"admin\":true}", "admin", "unknown field"),
        malformed("/users", "{\"email\":1,\"name\":\"Ada\"}", "email", "invalid type: integer"),
        malformed(&format!("/products/{ID}/stock-receipts"), "{\"quantity\":\"3\"}", "quantity", "invalid type: string"),
        malformed(&format!("/products/{ID}/stock-receipts"), "{\"quantity\":1.5}", "quantity", "invalid type: floating point"),
        malformed(&format!("/products/{ID}/stock-receipts"), "{\"quantity\":1e999}", "quantity", "number out of range"),
        malformed(&format!("/products/{ID}/stock-receipts"), "{\"quantity\":99999999999999999999}", "quantity", "invalid"),
        malformed("/products", "{\"sku\":\"A\",\"name\":\"B\",\"price\":{\"amount\":1}}", "price.currency", "missing field"),
        malformed(
            "/products",
            "{\"sku\":\"A\",\"name\":\"B\",\"price\":{\"amount\":\"1\",\"currency\":\"GBP\"}}",
            "price.amount",
            "invalid type",
        ),
        malformed(&format!("/payments/{ID}/refunds"), "{\"amount\":{\"currency\":\"GBP\"}}", "amount.amount", "missing field"),
        malformed(&format!("/payments/{ID}/refunds"), "{\"amount\":{\"amount\":1,\"amount\":1}}", "amount.amount", "duplicate field"),
        malformed(&format!("/payments/{ID}/refunds"), "{\"amount\":{\"pence\":1}}", "amount.pence", "unknown field"),
        malformed("/orders", format!("{{\"user_id\":\"{ID}\",\"lines\":[{{\"sku\":7"), "lines[0].sku", "unknown field"),
        malformed("/orders", format!("{{\"user_id\":\"{ID}\",\"lines\":[{{}}]}}"), "lines[0].product_id", "missing field"),
        malformed("/orders", format!("{{\"user_id\":\"{ID}\",\"lines\":[{{\"product_id\":7}}]}}"), "lines[0].product_id", "invalid type"),
        malformed("/orders", format!("{{\"user_id\":\"{ID}\",\"lines\":{{}},\"payment\":{{}}}}"), "lines", "invalid type: map"),
    ])
    .await;
}

#[tokio::test]
async fn fields_that_break_a_rule() {
    let profile = format!("/users/{ID}/profile-changes");
    let order = |line: Value| json!({"user_id": ID, "lines": [line], "payment": {"method": "card"}});
    let price = |amount: i64, currency: &str| json!({"price": {"amount": amount, "currency": currency}});
    let prices = format!("/products/{ID}/price-changes");
    check(vec![
        invalid("/users", &json!({"email": "nobody", "name": "Ada"}), "email", "such as ada@example.com"),
        invalid("/users", &json!({"email": "a..b@example.com", "name": "Ada"}), "email", "two in a row"),
        invalid("/users", &json!({"email": "ada@example.com>", "name": "Ada"}), "email", "inner dashes"),
        invalid("/users", &json!({"email": "ada@-x-", "name": "Ada"}), "email", "a dot within"),
        invalid("/users", &json!({"email": "a@b.c", "name": "\u{3164}"}), "name", "can be seen"),
        invalid("/users", &json!({"email": "a@b.c", "name": "Ada\u{202e}"}), "name", "U+202E"),
        invalid("/users", &json!({"email": "a@b.c", "name": "Ada", "address": "\u{200b}"}), "address", "can be seen"),
        invalid(&format!("/users/{ID}/closure"), &json!({"reason": "\u{2067}x"}), "reason", "U+2067"),
        invalid("/products", &json!({"sku": "A\u{115f}", "name": "B", "price": {"amount": 1, "currency": "GBP"}}), "sku", "1 to 64"),
        invalid("/products", &json!({"sku": "A", "name": "\u{feff}", "price": {"amount": 1, "currency": "GBP"}}), "name", "can be seen"),
        invalid(&format!("/products/{ID}/withdrawal"), &json!({"reason": "\u{2800}"}), "reason", "can be seen"),
        invalid(&format!("/orders/{ID}/cancellation"), &json!({"reason": "x\u{2028}y"}), "reason", "U+2028"),
        invalid("/users", &json!({"email": "a@b.c", "name": "  "}), "name", "must be 1 to 200 characters"),
        invalid("/users", &json!({"email": "a@b.c", "name": "a\u{0}b"}), "name", "control character"),
        invalid("/users", &json!({"email": "a@b.c", "name": "x".repeat(201)}), "name", "must be 1 to 200 characters"),
        invalid("/users", &json!({"email": "a@b.c", "name": "Ada", "address": ""}), "address", "must be 1 to 200"),
        invalid(&profile, &json!({"email": "x"}), "email", "e-mail"),
        invalid("/users/7/profile-changes", &json!({}), "id", "must be a UUID"),
        invalid("/users/%ff/profile-changes", &json!({}), "id", "UTF-8"),
        invalid(&format!("/users/%7b{ID}%7d/closure"), &json!({}), "id", "must be a UUID"),
        invalid("/products", &json!({"sku": "a/b", "name": "B", "price": {"amount": 1, "currency": "GBP"}}), "sku", "1 to 64"),
        invalid(&prices, &price(-1, "GBP"), "price.amount", "must be from 0 to 1000000000000 minor units, is -1"),
        invalid(&prices, &price(1, "pounds"), "price.currency", "ISO 4217"),
        invalid(&prices, &price(i64::MAX, "GBP"), "price.amount", "is 9223372036854775807"),
        invalid(&format!("/products/{ID}/stock-receipts"), &json!({"quantity": 0}), "quantity", "must be from 1 to 10000000, is 0"),
        invalid("/orders", &order(json!({"product_id": ID, "quantity": 0})), "lines[0].quantity", "must be from 1 to 10000000, is 0"),
        invalid("/orders", &order(json!({"product_id": "x", "quantity": 1})), "lines[0].product_id", "must be a UUID"),
        invalid("/orders", &json!({"user_id": ID, "lines": [], "payment": {"method": "card"}}), "lines", "must be 1 to 1000 lines, are 0"),
        invalid(&format!("/orders/{ID}/cancellation"), &json!({"reason": ""}), "reason", "must be 1 to 200"),
        invalid(&format!("/payments/{ID}/refunds"), &json!({"amount": {"amount": -5, "currency": "GBP"}}), "amount.amount", "is -5"),
    ])
    .await;
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once() {
    let shop = Shop::open().await;
    let line = json!({"product_id": "x", "quantity": 0, "agreed_price": {"amount": -1, "currency": "gbp"}});
    let body = json!({"user_id": "7", "lines": [line], "payment": {"method": " "}});
    let answer = Answer::of(shop.served.post("/orders", &body).header("daybook-actor", "merchant/1")).await.expecting(400);
    let line_fields = ["lines[0].agreed_price.amount", "lines[0].agreed_price.currency", "lines[0].product_id", "lines[0].quantity"];
    assert_eq!(answer.wrong_fields(), [&line_fields[..], &["payment.method", "user_id"]].concat());
}

#[tokio::test]
async fn an_answer_is_not_larger_than_what_was_sent() {
    let shop = Shop::open().await;
    let lines = vec![json!({"product_id": "x", "quantity": 0}); 20_000];
    let answer = shop.served.posted("/orders", &json!({"user_id": ID, "lines": lines, "payment": {"method": "card"}}), 400).await;
    answer.is_problem("invalid-request", "lines", "must be 1 to 1000 lines, are 20000");
    assert!(answer.body.to_string().len() < 32_768);
}
