//! Whatever is sent, the answer is a 4xx that says what is wrong and where.

use crate::shop::{Answer, Shop};
use serde_json::{Value, json};

const ID: &str = "0198c5a2-7b1e-7c3a-9d2f-3b5a1c2d4e6f";

/// What is sent, and what is wrong with it.
struct Bad {
    path: String,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
    field: &'static str,
    rule: &'static str,
}

fn bad(path: &str, body: impl Into<Vec<u8>>, status: u16, code: &'static str, field: &'static str, rule: &'static str) -> Bad {
    Bad { path: path.to_owned(), body: body.into(), status, code, field, rule }
}

fn malformed(path: &str, body: impl Into<Vec<u8>>, field: &'static str, rule: &'static str) -> Bad {
    bad(path, body, 400, "malformed-body", field, rule)
}

fn invalid(path: &str, body: &Value, field: &'static str, rule: &'static str) -> Bad {
    bad(path, body.to_string(), 400, "invalid-request", field, rule)
}

async fn check(cases: Vec<Bad>) {
    let shop = Shop::open().await;
    for Bad { path, body, status, code, field, rule } in cases {
        let sent = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        let request = shop.served.client.post(shop.served.url(&path)).header("content-type", "application/json").body(body);
        let answer = Answer::of(request).await;
        println!("POST {path} {sent}");
        answer.expecting(status).is_problem(code, field, rule);
    }
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
async fn bodies_that_are_no_json_of_the_right_shape() {
    let deep = format!("{{\"email\":{}1{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let deeply_unknown = format!("{{\"x\":{}1{}}}", "{\"y\":".repeat(50_000), "}".repeat(50_000));
    check(vec![
        malformed("/users", "", "body", "EOF"),
        malformed("/users", "   ", "body", "EOF"),
        malformed("/users", "{\"email\":\"ada@exam", "email", "EOF"),
        malformed("/users", "{\"email\":\"ada@example.com\",", "body", "EOF"),
        malformed("/users", "{\"email\":\"a@b.c\",\"name\":\"Ada\"} trailing", "body", "trailing characters"),
        malformed("/users", "{\"email\":\"a@b.c\",\"name\":\"Ada\"}{}", "body", "trailing characters"),
        malformed("/users", b"{\"email\":\"\xff\xfe\",\"name\":\"Ada\"}".to_vec(), "body", "must be UTF-8, is not from byte 10"),
        malformed("/users", "\u{feff}{}", "body", "expected value"),
        malformed("/users", "null", "body", "invalid type: null"),
        malformed("/users", "\"text\"", "body", "invalid type: string"),
        malformed("/users", "{\"email\":\"a@b.c\",\"name\":\"\\ud800\"}", "name", "hex escape"),
        malformed("/users", "{\"email\":\"a@b.c\",\"email\":\"a@b.c\",\"name\":\"Ada\"}", "email", "duplicate field"),
        malformed("/users", "{\"email\":\"a@b.c\"}", "name", "missing field"),
        malformed("/users", "{\"email\":\"a@b.c\",\"name\":\"Ada\",\"admin\":true}", "admin", "unknown field"),
        malformed("/users", "{\"email\":1,\"name\":\"Ada\"}", "email", "invalid type: integer"),
        malformed("/users", deep, "email", "invalid type: sequence"),
        malformed("/users", deeply_unknown, "x", "unknown field"),
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
    let mut fields: Vec<&str> = answer.body["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    let line_fields = ["lines[0].agreed_price.amount", "lines[0].agreed_price.currency", "lines[0].product_id", "lines[0].quantity"];
    assert_eq!(fields, [&line_fields[..], &["payment.method", "user_id"]].concat());
}

#[tokio::test]
async fn an_answer_is_not_larger_than_what_was_sent() {
    let shop = Shop::open().await;
    let lines = vec![json!({"product_id": "x", "quantity": 0}); 20_000];
    let answer = shop.posted("/orders", &json!({"user_id": ID, "lines": lines, "payment": {"method": "card"}}), 400).await;
    answer.is_problem("invalid-request", "lines", "must be 1 to 1000 lines, are 20000");
    assert!(answer.body.to_string().len() < 32_768);
    let answer = shop.posted("/users", &json!({"x".repeat(900_000): 1}), 400).await;
    answer.is_problem("malformed-body", &"x".repeat(300), "unknown field");
    assert!(answer.body.to_string().len() < 4096);
}

#[tokio::test]
async fn headers_that_break_a_rule() {
    let shop = Shop::open().await;
    let long = "k".repeat(201);
    let cases: [(&str, &[u8], &str); 13] = [
        ("idempotency-key", b"", "1 to 200 visible ASCII"),
        ("idempotency-key", b"two words", "1 to 200 visible ASCII"),
        ("idempotency-key", b"caf\xe9", "1 to 200 visible ASCII"),
        ("idempotency-key", long.as_bytes(), "1 to 200 visible ASCII"),
        ("daybook-actor", &long.as_bytes()[..101], "1 to 100 visible ASCII"),
        ("daybook-actor", b"", "1 to 100 visible ASCII"),
        ("daybook-correlation", b"a b", "1 to 100 visible ASCII"),
        ("if-match", b"3", "such as \"3\""),
        ("if-match", b"\"+3\"", "such as \"3\""),
        ("if-match", b"\"03\"", "such as \"3\""),
        ("if-match", b"W/\"3\"", "such as \"3\""),
        ("if-match", b"\"3\", \"4\"", "such as \"3\""),
        ("if-match", b"\"99999999999999999999\"", "such as \"3\""),
    ];
    for (name, value, rule) in cases {
        let request = shop.served.post("/users", &json!({"email": "a@b.c", "name": "Ada"})).header(name, value);
        Answer::of(request).await.expecting(400).is_problem("invalid-request", name, rule);
    }
    let twice = shop.served.post("/users", &json!({"email": "a@b.c", "name": "Ada"}));
    let answer = Answer::of(twice.header("idempotency-key", "a").header("idempotency-key", "b")).await.expecting(400);
    answer.is_problem("invalid-request", "idempotency-key", "must be given once");
}

#[tokio::test]
async fn content_types_sizes_paths_and_methods() {
    let shop = Shop::open().await;
    let (client, url) = (&shop.served.client, shop.served.url("/users"));
    let body = r#"{"email":"a@b.c","name":"Ada"}"#;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let answer = Answer::of(client.post(&url).header("content-type", kind).body(body)).await;
        answer.expecting(415).is_problem("unsupported-media-type", "", "");
    }
    Answer::of(client.post(&url).body(body)).await.expecting(415).is_problem("unsupported-media-type", "", "");
    Answer::of(client.post(&url).header("content-type", "Application/JSON; charset=utf-8").body(body)).await.expecting(201);

    let large = format!("{{\"email\":\"{}\"}}", "x".repeat(1 << 20));
    let answer = Answer::of(client.post(&url).header("content-type", "application/json").body(large)).await;
    answer.expecting(413).is_problem("body-too-large", "", "");

    for (size, status) in [(1 << 20, 400), ((1 << 20) + 1, 413), (3 << 20, 413), (7 << 20, 413)] {
        for path in ["/users", "/users/7/closure"] {
            let request = client.post(shop.served.url(path)).header("content-type", "application/json").body(vec![b'x'; size]);
            let answer = Answer::of(request.header("if-match", "nonsense")).await.expecting(status);
            assert_eq!(answer.header("connection"), "close");
        }
        Answer::of(client.post(&url).header("content-type", "application/json").body(body)).await.expecting(201);
    }

    for path in ["/nothing", "/users/x/y/z", "/%ff", "//users"] {
        Answer::of(client.post(shop.served.url(path))).await.expecting(404).is_problem("unknown-path", "", "");
    }
    for method in [reqwest::Method::PUT, reqwest::Method::DELETE, reqwest::Method::GET, reqwest::Method::from_bytes(b"ODD").unwrap()] {
        let answer = Answer::of(client.request(method, &url)).await.expecting(405);
        answer.is_problem("method-not-allowed", "", "");
        assert_eq!(answer.header("allow"), "POST");
    }
}
