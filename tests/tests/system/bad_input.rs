//! Requests that make no sense are never answered 5xx: each gets a problem that says what is wrong and where.

use reqwest::{Client, Method, header::CONTENT_TYPE};
use serde_json::{Value, json};
use system_tests::process::{Daybook, eventually, free_port};

struct Bad {
    what: &'static str,
    method: Method,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: Vec<u8>,
    status: u16,
    /// A field that `errors` must name, where one is at fault.
    field: Option<&'static str>,
}

fn post(what: &'static str, path: &'static str, body: impl Into<Vec<u8>>, status: u16, field: Option<&'static str>) -> Bad {
    Bad { what, method: Method::POST, path, headers: &[("content-type", "application/json")], body: body.into(), status, field }
}

fn get(what: &'static str, path: &'static str, status: u16) -> Bad {
    Bad { what, method: Method::GET, path, headers: &[], body: Vec::new(), status, field: None }
}

const NOBODY: &str = "/users/00000000-0000-0000-0000-000000000001";
const USER: &str = r#"{"email":"ada@example.com","name":"Ada"}"#;

fn all() -> Vec<Bad> {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let line = r#"{"user_id":"00000000-0000-0000-0000-000000000001","lines":[{"product_id":"nonsense","quantity":0}],"payment":{"method":"card"}}"#;
    let agreed = r#"{"user_id":"00000000-0000-0000-0000-000000000001","lines":[{"product_id":"00000000-0000-0000-0000-000000000001","quantity":1,"agreed_price":{"amount":1,"currency":"GBP"}}],"payment":{"method":"card"}}"#;
    let with = |what, headers, status, field| Bad { what, method: Method::POST, path: "/users", headers, body: USER.into(), status, field };
    vec![
        post("no body", "/users", "", 400, Some("body")),
        post("not JSON", "/users", "{", 400, Some("body")),
        post("not UTF-8", "/users", vec![b'"', 0xff, b'"'], 400, Some("body")),
        post("a field too many", "/users", r#"{"email":"ada@example.com","name":"Ada","admin":true}"#, 400, Some("admin")),
        post("a field too few", "/users", r#"{"email":"ada@example.com"}"#, 400, Some("name")),
        post("a wrong type", "/users", r#"{"email":1,"name":"Ada"}"#, 400, Some("email")),
        post("a field twice", "/users", r#"{"email":"a@b.c","email":"a@b.c","name":"Ada"}"#, 400, None),
        post("something after the body", "/users", format!("{USER} 1"), 400, Some("body")),
        post("deep nesting", "/users", deep, 400, None),
        post("no address", "/users", r#"{"email":"ada","name":"Ada"}"#, 400, Some("email")),
        post("an empty name", "/users", r#"{"email":"ada@example.com","name":" "}"#, 400, Some("name")),
        post(
            "a negative price",
            "/products",
            r#"{"sku":"A","name":"x","price":{"amount":-1,"currency":"GBP"}}"#,
            400,
            Some("price.amount"),
        ),
        post("no currency", "/products", r#"{"sku":"A","name":"x","price":{"amount":1,"currency":"pounds"}}"#, 400, Some("price.currency")),
        post(
            "a number that no i64 holds",
            "/products",
            r#"{"sku":"A","name":"x","price":{"amount":99999999999999999999,"currency":"GBP"}}"#,
            400,
            Some("price.amount"),
        ),
        post("a bad line", "/orders", line, 400, Some("lines[0].quantity")),
        post(
            "no lines",
            "/orders",
            r#"{"user_id":"00000000-0000-0000-0000-000000000001","lines":[],"payment":{"method":"card"}}"#,
            400,
            Some("lines"),
        ),
        post("a price that only merchants agree", "/orders", agreed, 403, Some("lines[0].agreed_price")),
        post("nobody's profile", "/users/00000000-0000-0000-0000-000000000001/profile-changes", r#"{"name":"Ada"}"#, 404, None),
        post("an id that is none", "/users/ada/profile-changes", r#"{"name":"Ada"}"#, 400, Some("id")),
        post("too large a body", "/users", vec![b' '; 2 << 20], 413, None),
        Bad { headers: &[("content-type", "text/plain")], ..post("another content type", "/users", USER, 415, None) },
        Bad { headers: &[], ..post("no content type", "/users", USER, 415, None) },
        with("an empty key", &[("content-type", "application/json"), ("idempotency-key", "")], 400, Some("idempotency-key")),
        with("a key with a space", &[("content-type", "application/json"), ("idempotency-key", "a b")], 400, Some("idempotency-key")),
        with("a version that is none", &[("content-type", "application/json"), ("if-match", "3")], 400, Some("if-match")),
        with("a version that is not there", &[("content-type", "application/json"), ("if-match", "\"3\"")], 412, None),
        get("no such path", "/nothing", 404),
        get("no such user", NOBODY, 404),
        get("an id that is none", "/users/ada", 400),
        get("an unknown filter", "/orders?colour=red", 400),
        get("a status that is none", "/orders?status=lost", 400),
        get("a limit out of bounds", "/orders?limit=100000", 400),
        get("a cursor that is none", "/orders?after=%FF", 400),
        get("a time that is none", "/audit?since=yesterday", 400),
        Bad { headers: &[("daybook-at-least", "nonsense")], ..get("a position that is none", NOBODY, 400) },
        Bad { method: Method::DELETE, ..get("a method that nobody takes", "/users", 405) },
    ]
}

async fn ask(client: &Client, url: &str, bad: &Bad) -> (u16, String, Value) {
    let mut request = client.request(bad.method.clone(), format!("{url}{}", bad.path)).body(bad.body.clone());
    for (name, value) in bad.headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap_or_else(|error| panic!("{}: {error}", bad.what));
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    (response.status().as_u16(), kind, response.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_is_said_and_nothing_breaks() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(daybook) = Daybook::embedded(directory.path(), free_port()).await else { return };
    let client = Client::new();
    let mut wrong = Vec::new();
    for bad in all() {
        let (status, kind, problem) = ask(&client, &daybook.url, &bad).await;
        let named = bad
            .field
            .is_none_or(|field| problem["errors"].as_array().is_some_and(|errors| errors.iter().any(|error| error["field"] == field)));
        let said = problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()) && problem["status"] == json!(status);
        if (status, kind.as_str()) != (bad.status, "application/problem+json") || !named || !said {
            wrong.push(format!("{}: {status} (must be {}) {kind} {problem}", bad.what, bad.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_names_every_path_and_the_metrics_speak() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(daybook) = Daybook::embedded(directory.path(), free_port()).await else { return };
    let (_, description) = daybook.client().get("/openapi.json").await.expect("an answer");
    let paths = description["paths"].as_object().expect("paths");
    let must = [
        "/users",
        "/users/{id}",
        "/users/{id}/orders",
        "/users/{id}/profile-changes",
        "/users/{id}/closure",
        "/products",
        "/products/{id}",
    ];
    let more = [
        "/products/{id}/price-changes",
        "/products/{id}/stock-receipts",
        "/products/{id}/withdrawal",
        "/orders",
        "/orders/{id}",
        "/orders/{id}/cancellation",
    ];
    let rest = [
        "/orders/{id}/timeline",
        "/payments",
        "/payments/{id}",
        "/payments/{id}/refunds",
        "/notifications",
        "/audit",
        "/audit/{aggregate}/{id}",
    ];
    for path in must.iter().chain(&more).chain(&rest) {
        assert!(paths.contains_key(*path), "{path} is not described; there are {:?}", paths.keys());
    }
    let page = reqwest::get(format!("{}/docs/", daybook.url)).await.expect("an answer");
    assert_eq!(page.status(), 200);
    for name in ["daybook_claims_total", "daybook_http_request_seconds", "daybook_reader_next_offset"] {
        eventually(name, async || {
            let metrics = reqwest::get(format!("{}/metrics", daybook.url)).await.ok()?.text().await.ok()?;
            metrics.contains(name).then_some(())
        })
        .await;
    }
    let latest = daybook.client().get("/subjects/daybook.order.OrderPlaced/versions/latest").await.expect("an answer").1;
    assert_eq!(latest["version"], 1);
}
