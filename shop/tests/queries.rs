//! The shop's queries over real HTTP, on views that were fed with batches.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/feed.rs"]
mod feed;
#[path = "../../projections/tests/support/mod.rs"]
mod support;

use event_store::BatchHandler;
use feed::{
    Feed, cancelled, line_reserved, listed, order, order_reserved, payment_requested, payment_voided, placed, product, received,
    registered, stock_released, stock_reserved, user,
};
use projections::{ReadState, ViewRunner};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use shop::Settings;
use std::{collections::BTreeSet, time::Duration};
use system::Service;

/// The service of this name.
fn service(name: &str) -> Service {
    shop::system(&Settings::default()).services().iter().find(|service| service.name() == name).unwrap().clone()
}

/// A service's GETs on a port of their own.
struct Api {
    base: String,
    client: reqwest::Client,
    views: ViewRunner,
}

impl Api {
    async fn of(name: &str, fresh: &support::Fresh) -> Self {
        let (database, service, codecs) = (fresh.open().await, service(name), schemas::codecs(schemas::bundled()));
        let views = ViewRunner::new(name, database.clone(), service.views(), codecs.clone()).await.unwrap();
        let state = ReadState::new(name, database, service.views()).with_codecs(codecs).with_wait(Duration::from_millis(300));
        let (router, _) = service.query_routes(state).split_for_parts();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        // An HTTP client needs rustls's provider chosen in the process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { base, client: reqwest::Client::new(), views }
    }

    async fn feed(&self, log: &mut Feed) {
        self.views.apply(&log.batch()).await.unwrap();
    }

    async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.base)).send().await.unwrap()
    }

    async fn get_with(&self, path: &str, header: &str, value: &str) -> Response {
        self.client.get(format!("{}{path}", self.base)).header(header, value).send().await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    /// The problem that answers a path, and its broken fields.
    async fn problem(&self, path: &str, status: u16) -> (Value, Vec<String>) {
        let response = self.get(path).await;
        problem(response, status).await
    }
}

async fn problem(response: Response, status: u16) -> (Value, Vec<String>) {
    assert_eq!(response.status().as_u16(), status, "{}", response.url());
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], status);
    let fields = body["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect();
    (body, fields)
}

#[tokio::test]
async fn an_order_is_shown_with_its_version_as_its_tag() {
    for fresh in support::fresh() {
        let api = Api::of("orders", &fresh).await;
        let mut log = Feed::new("orders", 0);
        log.write(order("a").0, 10, &placed("Ada", 10)).write(order("a").0, 12, &line_reserved());
        log.write(order("a").0, 13, &order_reserved("Ada"));
        api.feed(&mut log).await;
        let path = format!("/orders/{}", order("a"));
        let response = api.get(&path).await;
        assert_eq!(response.headers()["etag"], "\"3\"", "{}", fresh.kind);
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["status"], "placed");
        assert_eq!(body["placed_at"], "1970-01-01T00:00:00.010Z");
        assert_eq!(body["total"], json!({ "amount": 510, "currency": "GBP" }));
        assert_eq!(body["lines"][0]["unit_price"]["amount"], 255);
        assert_eq!(api.get_with(&path, "If-None-Match", "\"2\", W/\"3\"").await.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(api.get_with(&path, "If-None-Match", "\"2\"").await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn who_is_unknown_is_not_found_and_what_is_no_id_is_refused() {
    for fresh in support::fresh() {
        for (service, path) in [
            ("users", "/users"),
            ("products", "/products"),
            ("orders", "/orders"),
            ("payments", "/payments"),
            ("notifications", "/notifications"),
        ] {
            let api = Api::of(service, &fresh).await;
            let (body, _) = api.problem(&format!("{path}/{}", user("nobody")), 404).await;
            assert_eq!(body["type"], "urn:daybook:problem:not-found");
            let (body, fields) = api.problem(&format!("{path}/17"), 400).await;
            assert_eq!((body["type"].as_str(), fields), (Some("urn:daybook:problem:invalid-request"), vec!["id".to_owned()]));
            assert_eq!(api.problem(&format!("{path}/%ff"), 400).await.1, ["path"]);
        }
    }
}

#[tokio::test]
async fn every_wrong_parameter_is_named_with_its_rule() {
    for fresh in support::fresh() {
        let api = Api::of("orders", &fresh).await;
        let (body, fields) = api.problem("/orders?status=lost&user_id=7&limit=201&after=zz&colour=red", 400).await;
        let named: BTreeSet<&str> = fields.iter().map(String::as_str).collect();
        assert_eq!(named, BTreeSet::from(["status", "user_id", "limit", "after", "colour"]), "{body}");
        let rules = body["errors"].to_string();
        assert!(rules.contains("placed, confirmed, cancelled, expired") && rules.contains("from 1 to 200"), "{rules}");
        for wrong in ["limit=3&limit=4", "limit=0", "limit=-1", "limit=x", "limit=", "after=", "after=5b5d", "status=Placed"] {
            let (_, fields) = api.problem(&format!("/orders?{wrong}"), 400).await;
            assert_eq!(fields, [wrong.split('=').next().unwrap()], "{wrong}");
        }
        assert_eq!(api.problem(&format!("/orders/{}?x=1", order("a")), 400).await.1, ["x"]);
        let audit = Api::of("audit", &fresh).await;
        let (body, fields) = audit.problem("/audit/basket/1", 400).await;
        assert_eq!(fields, ["id", "aggregate"]);
        assert!(body["detail"].as_str().unwrap().contains("user, product, order, payment, notification"), "{body}");
    }
}

/// All items of a list, page by page.
async fn pages(api: &Api, path: &str, limit: u32) -> Vec<Value> {
    let mut whole = Vec::new();
    let mut next = Some(format!("{path}limit={limit}"));
    while let Some(path) = next.take() {
        let response = api.get(&path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let link = response.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        let body: Value = response.json().await.unwrap();
        let items = body["items"].as_array().unwrap();
        assert!(items.len() <= limit as usize);
        whole.extend(items.iter().cloned());
        assert_eq!(link.is_some(), body["next"].is_string(), "the header and the body agree");
        next = link.map(|link| link.trim_start_matches('<').split('>').next().unwrap().to_owned());
        assert!(next.is_none() || items.len() == limit as usize, "a page before the last is full");
    }
    whole
}

#[tokio::test]
async fn orders_are_listed_newest_first_by_user_and_status() {
    for fresh in support::fresh() {
        let api = Api::of("orders", &fresh).await;
        let mut log = Feed::new("orders", 0);
        for number in 0..12 {
            let (id, by, moment) = (order(&number.to_string()), if number % 3 == 0 { "Ada" } else { "Bob" }, number % 4);
            log.write(id.0, moment, &placed(by, moment));
            if number % 2 == 0 {
                log.write(id.0, moment, &cancelled(by));
            }
        }
        api.feed(&mut log).await;
        let everything = pages(&api, "/orders?", 200).await;
        let key = |order: &Value| (order["placed_at"].as_str().unwrap().to_owned(), order["order_id"].as_str().unwrap().to_owned());
        assert_eq!(everything.len(), 12, "{}", fresh.kind);
        assert!(everything.windows(2).all(|pair| key(&pair[0]) > key(&pair[1])), "{}: strictly newest first", fresh.kind);
        let of = |status: &str, by: &str| {
            let (status, by) = (json!(status), json!(user(by).to_string()));
            everything.iter().filter(|order| order["status"] == status && order["user_id"] == by).cloned().collect::<Vec<_>>()
        };
        let asked = pages(&api, &format!("/orders?user_id={}&status=cancelled&", user("Ada")), 1).await;
        assert_eq!((asked.len(), asked), (2, of("cancelled", "Ada")), "{}", fresh.kind);
        assert_eq!(pages(&api, &format!("/users/{}/orders?status=placed&", user("Bob")), 4).await, of("placed", "Bob"), "{}", fresh.kind);
    }
}

#[tokio::test]
async fn an_order_is_shown_as_it_was_by_its_service_and_by_the_auditor() {
    for fresh in support::fresh() {
        let (orders, audit) = (Api::of("orders", &fresh).await, Api::of("audit", &fresh).await);
        let mut log = Feed::new("orders", 0);
        log.write(order("a").0, 10, &placed("Ada", 10)).write(order("a").0, 2_000, &cancelled("Ada"));
        let batch = log.batch();
        orders.views.apply(&batch).await.unwrap();
        audit.views.apply(&batch).await.unwrap();
        for (api, path) in [(&orders, format!("/orders/{}", order("a"))), (&audit, format!("/audit/order/{}/state", order("a")))] {
            let then = api.json(&format!("{path}?at=orders/0/1")).await;
            assert_eq!((&then["status"], &then["as_of"]["position"]), (&json!("placed"), &json!("orders/0/1")), "{}: {path}", fresh.kind);
            assert_eq!(api.json(&format!("{path}?at=1970-01-01T00:00:02Z")).await["status"], "cancelled", "{}: {path}", fresh.kind);
            api.problem(&format!("{path}?at=1970-01-01T00:00:00Z"), 404).await;
            for elsewhere in ["orders/7/999999999", "orders/1/1", "payments/0/1"] {
                assert_eq!(api.problem(&format!("{path}?at={elsewhere}"), 400).await.1, ["at"], "{}: {elsewhere}", fresh.kind);
            }
        }
    }
}

#[tokio::test]
async fn a_product_is_found_by_its_sku() {
    for fresh in support::fresh() {
        let api = Api::of("products", &fresh).await;
        let mut log = Feed::new("products", 0);
        log.write(product("a").0, 1, &listed("85123A")).write(product("b").0, 2, &listed("85123B")).write(product("a").0, 3, &received(4));
        api.feed(&mut log).await;
        let found = api.json("/products?sku=85123A").await;
        assert_eq!(found["items"].as_array().unwrap().len(), 1, "{}", fresh.kind);
        assert_eq!((&found["items"][0]["available"], &found["next"]), (&json!(4), &Value::Null));
        assert_eq!(api.json("/products?sku=nothing").await, json!({ "items": [], "next": null }));
        assert_eq!(api.json(&format!("/products/{}", product("b"))).await["sku"], "85123B");
    }
}

#[tokio::test]
async fn a_payment_is_found_by_its_order() {
    for fresh in support::fresh() {
        let api = Api::of("payments", &fresh).await;
        let mut log = Feed::new("payments", 0);
        let (id, requested) = payment_requested(order("a"));
        log.write(id.0, 1, &requested);
        api.feed(&mut log).await;
        let found = api.json(&format!("/payments?order_id={}", order("a"))).await;
        assert_eq!(found["items"][0]["payment_id"], id.to_string(), "{}", fresh.kind);
        assert_eq!(found["items"][0], api.json(&format!("/payments/{id}")).await);
        assert_eq!(api.json(&format!("/payments?order_id={}", order("b"))).await["items"], json!([]));
    }
}

#[tokio::test]
async fn the_timeline_tells_an_orders_story_across_the_services() {
    for fresh in support::fresh() {
        let api = Api::of("orders", &fresh).await;
        let o = order("a");
        let path = format!("/orders/{o}/timeline");
        api.problem(&path, 404).await;
        let (mut orders, mut products, mut payments) = (Feed::new("orders", 0), Feed::new("products", 2), Feed::new("payments", 1));
        orders.write(o.0, 1000, &placed("Ada", 1000));
        products.write(product("lantern").0, 900, &received(5)).write(product("lantern").0, 1100, &stock_reserved(o, 2));
        orders.write(o.0, 1200, &line_reserved()).write(o.0, 1200, &order_reserved("Ada"));
        let (payment, requested) = payment_requested(o);
        payments.write(payment.0, 1300, &requested);
        for log in [&mut orders, &mut products, &mut payments] {
            api.feed(log).await;
        }
        let open = api.json(&path).await;
        assert_eq!((open["status"].as_str(), open["waiting_for"].as_str()), (Some("placed"), Some("payment")), "{}", fresh.kind);
        assert_eq!((&open["until"], &open["compensations"]), (&json!("1970-01-01T00:15:01.000Z"), &json!([])));
        orders.write(o.0, 1400, &cancelled("Ada"));
        products.write(product("lantern").0, 1500, &stock_released(o, 2));
        payments.write(payment.0, 1600, &payment_voided(o));
        for log in [&mut orders, &mut products, &mut payments] {
            api.feed(log).await;
        }
        let off = api.json(&path).await;
        assert_eq!((&off["status"], &off["waiting_for"], &off["until"]), (&json!("cancelled"), &Value::Null, &Value::Null));
        assert_eq!(off["compensations"], json!(["stock-released", "payment-voided"]), "{}", fresh.kind);
        let told: Vec<&str> = off["entries"].as_array().unwrap().iter().map(|entry| entry["event"].as_str().unwrap()).collect();
        let story = [
            "OrderPlaced",
            "StockReserved",
            "OrderLineReserved",
            "OrderReserved",
            "PaymentRequested",
            "OrderCancelled",
            "StockReleased",
            "PaymentVoided",
        ];
        assert_eq!(told, story, "{}", fresh.kind);
        assert_eq!(off["entries"][1]["position"], "products/2/2");
    }
}

#[tokio::test]
async fn the_audit_answers_for_every_kind_of_aggregate() {
    for fresh in support::fresh() {
        let api = Api::of("audit", &fresh).await;
        let (mut orders, mut users) = (Feed::new("orders", 0), Feed::new("users", 0));
        orders.write(order("a").0, 10, &placed("Ada", 1)).write(order("a").0, 20, &cancelled("Ada"));
        users.write(user("Ada").0, 5, &registered("Ada"));
        api.feed(&mut orders).await;
        api.feed(&mut users).await;
        let history = pages(&api, &format!("/audit/order/{}?", order("a")), 1).await;
        assert_eq!(history.iter().map(|event| event["version"].as_i64()).collect::<Vec<_>>(), [Some(1), Some(2)], "{}", fresh.kind);
        assert_eq!(history[0]["type"], "daybook.order.OrderPlaced");
        assert_eq!(history[0]["event"]["payment_method"], "card");
        for aggregate in ["user", "product", "payment", "notification"] {
            assert_eq!(api.json(&format!("/audit/{aggregate}/{}", order("a"))).await["items"], json!([]), "{aggregate}");
        }
    }
}

#[tokio::test]
async fn the_description_names_every_path_and_its_parameters() {
    let fresh = &support::fresh()[0];
    let mut paths = BTreeSet::new();
    for service in shop::system(&Settings::default()).services() {
        let state = ReadState::new(service.name(), fresh.open().await, service.views());
        let (_, described) = service.query_routes(state).split_for_parts();
        let described = serde_json::to_value(described).unwrap();
        paths.extend(described["paths"].as_object().unwrap().keys().cloned());
        for (path, item) in described["paths"].as_object().unwrap() {
            assert!(item["get"]["parameters"].to_string().contains("Daybook-At-Least"), "{path}");
        }
    }
    let expected = [
        "/audit",
        "/audit/{aggregate}/{id}",
        "/audit/{aggregate}/{id}/state",
        "/notifications",
        "/notifications/{id}",
        "/orders",
        "/orders/{id}",
        "/orders/{id}/timeline",
        "/payments",
        "/payments/{id}",
        "/products",
        "/products/{id}",
        "/users/{id}",
        "/users/{id}/orders",
    ];
    assert_eq!(paths.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
