//! The query API over real HTTP, on views that were fed with batches.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/feed.rs"]
#[allow(dead_code)]
mod feed;
mod support;

use event_store::BatchHandler;
use feed::{
    Feed, cancelled, line_reserved, listed, order, order_reserved, payment_requested, payment_voided, placed, product, received,
    registered, stock_released, stock_reserved, user,
};
use projections::{Database, ReadState, ViewRunner, routes};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use reqwest::{Response, StatusCode};
use schemas::Schemas;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// A service's part of the API on a port of its own.
struct Api {
    base: String,
    client: reqwest::Client,
    database: Database,
    views: ViewRunner,
}

impl Api {
    async fn of(service: &str, fresh: &support::Fresh) -> Self {
        let database = fresh.open().await;
        let views = ViewRunner::new(service, database.clone(), Schemas::bundled()).await.unwrap();
        let state = ReadState::new(service, database.clone()).with_wait(Duration::from_millis(300));
        let (router, _) = routes(state).split_for_parts();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, client: reqwest::Client::new(), database, views }
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

    /// The problem that a path is answered with, and its broken fields.
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
        assert_eq!(audit.problem("/audit?since=now&until=1970-13-01&actor=", 400).await.1, ["actor", "since", "until"]);
        assert_eq!(audit.problem("/audit/basket/1", 400).await.1, ["id", "aggregate"]);
    }
}

/// All pages of a list, glued together.
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
async fn pages_glued_together_are_the_whole() {
    for fresh in support::fresh() {
        let api = Api::of("orders", &fresh).await;
        let mut log = Feed::new("orders", 0);
        let mut random = TestRunner::deterministic();
        // Few moments for many orders, so that ties fall on the edges of pages.
        let moments = proptest::collection::vec(0i64..6, 60).new_tree(&mut random).unwrap().current();
        for (i, moment) in moments.iter().enumerate() {
            let by = if i % 3 == 0 { "Ada" } else { "Bob" };
            log.write(order(&i.to_string()).0, *moment, &placed(by, *moment));
            if i % 4 == 0 {
                log.write(order(&i.to_string()).0, *moment, &cancelled(by));
            }
        }
        api.feed(&mut log).await;
        let everything = pages(&api, "/orders?", 200).await;
        assert_eq!(everything.len(), 60, "{}", fresh.kind);
        let key = |order: &Value| (order["placed_at"].as_str().unwrap().to_owned(), order["order_id"].as_str().unwrap().to_owned());
        assert!(everything.windows(2).all(|pair| key(&pair[0]) > key(&pair[1])), "{}: strictly newest first", fresh.kind);
        for limit in (1..=60u32).new_tree(&mut random).into_iter().map(|tree| tree.current()).chain([1, 7, 59, 60, 61]) {
            assert_eq!(pages(&api, "/orders?", limit).await, everything, "{}: by {limit}", fresh.kind);
        }
        let of = |status: &str, by: &str| {
            let (status, by) = (json!(status), json!(user(by).to_string()));
            everything.iter().filter(|order| order["status"] == status && order["user_id"] == by).cloned().collect::<Vec<_>>()
        };
        let asked = pages(&api, &format!("/orders?user_id={}&status=cancelled&", user("Ada")), 2).await;
        assert_eq!(asked, of("cancelled", "Ada"), "{}", fresh.kind);
        assert!(!asked.is_empty());
        assert_eq!(pages(&api, &format!("/users/{}/orders?status=placed&", user("Bob")), 4).await, of("placed", "Bob"), "{}", fresh.kind);
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
async fn the_audit_answers_for_an_aggregate_an_actor_and_a_time() {
    for fresh in support::fresh() {
        let api = Api::of("audit", &fresh).await;
        let (mut orders, mut users) = (Feed::new("orders", 0), Feed::new("users", 0));
        orders.write(order("a").0, 86_400_000, &placed("Ada", 1)).write(order("a").0, 2 * 86_400_000, &cancelled("Ada"));
        users.write(user("Ada").0, 5, &registered("Ada"));
        api.feed(&mut orders).await;
        api.feed(&mut users).await;
        let history = pages(&api, &format!("/audit/order/{}?", order("a")), 1).await;
        assert_eq!(history.iter().map(|event| event["version"].as_i64()).collect::<Vec<_>>(), [Some(1), Some(2)], "{}", fresh.kind);
        assert_eq!(history[0]["type"], "daybook.order.OrderPlaced");
        assert_eq!((&history[0]["service"], &history[0]["partition"], &history[0]["offset"]), (&json!("orders"), &json!(0), &json!(1)));
        assert_eq!(history[0]["event"]["payment_method"], "card");
        assert_eq!(api.json(&format!("/audit/user/{}", order("a"))).await["items"], json!([]));
        let day = api.json("/audit?actor=user/ada&since=1970-01-02&until=1970-01-02").await;
        assert_eq!(day["items"], json!([history[0]]), "{}: the whole day, and that day alone", fresh.kind);
        assert_eq!(api.json("/audit?actor=user/bob").await["items"], json!([]));
        assert_eq!(pages(&api, "/audit?until=1970-01-03T00:00:00Z&", 1).await.len(), 2, "{}", fresh.kind);
    }
}

#[tokio::test]
async fn at_least_waits_for_the_view_and_says_when_it_is_behind() {
    for fresh in support::fresh() {
        let api = Api::of("orders", &fresh).await;
        let mut log = Feed::new("orders", 3);
        log.write(order("a").0, 10, &placed("Ada", 10));
        let (path, position) = (format!("/orders/{}", order("a")), log.end().to_string());
        let behind = api.get_with(&path, "Daybook-At-Least", &position).await;
        assert_eq!(behind.headers()["retry-after"], "1", "{}", fresh.kind);
        assert_eq!(problem(behind, 503).await.0["type"], "urn:daybook:problem:view-behind");
        let batch = log.batch();
        let (answer, applied) = tokio::join!(api.get_with(&path, "Daybook-At-Least", &position), api.views.apply(&batch));
        applied.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{}", fresh.kind);
        for wrong in ["orders/3", "orders/3/x", "", "users/0/1", "orders/3/1,nonsense/0/1"] {
            let (body, fields) = problem(api.get_with(&path, "Daybook-At-Least", wrong).await, 400).await;
            assert_eq!(fields, ["Daybook-At-Least"], "{wrong}: {body}");
        }
        let both = api.get_with(&path, "Daybook-At-Least", "orders/3/0, orders/3/1").await;
        assert_eq!(both.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_database_that_is_gone_is_a_503_that_tells_no_secrets() {
    for fresh in support::fresh() {
        let api = Api::of("orders", &fresh).await;
        api.database.close().await;
        let (body, _) = api.problem("/orders", 503).await;
        assert_eq!(body["detail"], "the view's database did not answer", "{}", fresh.kind);
    }
}

#[tokio::test]
async fn the_description_names_every_path_and_its_parameters() {
    let fresh = &support::fresh()[0];
    let mut paths = BTreeSet::new();
    for service in projections::DATABASES {
        let (_, described) = routes(ReadState::new(service, fresh.open().await)).split_for_parts();
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
