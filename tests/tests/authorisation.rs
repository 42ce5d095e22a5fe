//! Who may what, tried from outside: every operation of `/openapi.json` with every kind of token, against a real process and an issuer of our
//! own.

use access::{
    Reach,
    simulated::{Bearer, Signer, Simulated, forged::TokenKind},
};
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use std::time::Duration;
use system_tests::process::{Daybook, free_port, required};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// A shop that asks for tokens, and who gives them.
struct Shop {
    daybook: Daybook,
    signer: Signer,
    http: reqwest::Client,
    _data: TempDir,
}

impl Shop {
    async fn open() -> Option<Self> {
        let program = required("DAYBOOK_PROGRAM")?;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let issuer = Simulated::new(listener, "daybook", &["customer"]).expect("a loopback address");
        let (url, signer) = (issuer.url().to_owned(), issuer.signer().clone());
        tokio::spawn(issuer.serve(std::future::pending()));
        let data = TempDir::new().expect("a directory");
        let daybook = Daybook::embedded_with(&program, data.path(), free_port(), &[("DAYBOOK_OIDC_ISSUER", &url)]).await?;
        Some(Self { daybook, signer, http: reqwest::Client::new(), _data: data })
    }

    fn token(&self, subject: &str, roles: &[&str]) -> String {
        self.signer.token(&Bearer::new(subject, roles)).expect("a token")
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.daybook.url)).timeout(Duration::from_secs(20))
    }

    async fn send(&self, request: RequestBuilder) -> (StatusCode, HeaderMap, Value) {
        let response = request.send().await.expect("it answers");
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, response.json().await.unwrap_or_default())
    }

    async fn post(&self, token: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let (status, _, answer) = self.send(self.request(Method::POST, path).bearer_auth(token).json(&body)).await;
        (status, answer)
    }

    async fn get(&self, token: &str, path: &str) -> (StatusCode, Value) {
        let (status, _, answer) = self.send(self.request(Method::GET, path).bearer_auth(token)).await;
        (status, answer)
    }

    /// Posts until it is taken; answers the id.
    async fn made(&self, token: &str, path: &str, body: Value) -> String {
        let (status, answer) = self.post(token, path, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer["id"].as_str().expect("an id").to_owned()
    }
}

/// What two customers, ada and bob, have in a shop.
struct Things {
    ada: String,
    bob: String,
    product: String,
    order: String,
    payment: String,
    notification: String,
}

impl Things {
    /// Ada buys something; bob has an account.
    async fn of(shop: &Shop) -> Self {
        let (ada, bob) = (shop.token("ada", &["customer"]), shop.token("bob", &["customer"]));
        let (merchant, support) = (shop.token("mia", &["merchant"]), shop.token("sue", &["support"]));
        let ada_id = shop.made(&ada, "/users", json!({"email": "ada@example.com", "name": "Ada"})).await;
        let bob_id = shop.made(&bob, "/users", json!({"email": "bob@example.com", "name": "Bob"})).await;
        let price = json!({"amount": 295, "currency": "GBP"});
        let product = shop.made(&merchant, "/products", json!({"sku": "85123A", "name": "Heart", "price": price})).await;
        shop.made(&merchant, &format!("/products/{product}/stock-receipts"), json!({"quantity": 1000})).await;
        let order = shop.made(&ada, "/orders", order_of(&product)).await;
        let payment = found(shop, &support, &format!("/payments?order_id={order}"), "payment_id").await;
        let notification = found(shop, &support, &format!("/notifications?user_id={ada_id}"), "notification_id").await;
        Self { ada: ada_id, bob: bob_id, product, order, payment, notification }
    }
}

fn order_of(product: &str) -> Value {
    json!({"lines": [{"product_id": product, "quantity": 1}], "payment": {"method": "card"}})
}

/// The id of the first item of a list, once there is one.
async fn found(shop: &Shop, token: &str, path: &str, id: &str) -> String {
    let until = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        let (status, page) = shop.get(token, path).await;
        if let Some(id) = page["items"][0][id].as_str() {
            return id.to_owned();
        }
        assert!(std::time::Instant::now() < until, "{path} stays empty: {status} {page}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An operation of the description, asked of ada's things.
struct Operation {
    method: Method,
    path: String,
    action: String,
    body: Option<Value>,
    /// True for a POST that makes something, instead of changing what its path names.
    creates: bool,
}

impl Operation {
    fn all(description: &Value, things: &Things) -> Vec<Self> {
        let paths = description["paths"].as_object().expect("paths");
        let methods = paths.iter().flat_map(|(path, item)| item.as_object().into_iter().flatten().map(move |one| (path, one)));
        methods.filter_map(|(path, (method, operation))| Self::of(path, method, operation, things)).collect()
    }

    /// None for what everybody may see.
    fn of(path: &str, method: &str, operation: &Value, things: &Things) -> Option<Self> {
        let public = ["/", "/health/live", "/health/ready"].contains(&path);
        let action = operation["x-action"].as_str().map(str::to_owned);
        assert!(public || action.is_some(), "{method} {path} names no action");
        let creates = method == "post" && !path.contains('{');
        let method = method.to_uppercase().parse().expect("a method");
        Some(Self {
            method,
            path: filled(path, things),
            body: operation.get("requestBody").map(|_| body(path, things)),
            creates,
            action: action?,
        })
    }

    fn request(&self, shop: &Shop, token: Option<&str>) -> RequestBuilder {
        let request = shop.request(self.method.clone(), &self.path);
        let request = match &self.body {
            Some(body) => request.json(body),
            None => request,
        };
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

fn filled(path: &str, things: &Things) -> String {
    let id = match path.split('/').nth(1).expect("a first part") {
        "users" => &things.ada,
        "products" => &things.product,
        "payments" => &things.payment,
        "notifications" => &things.notification,
        _ => &things.order,
    };
    let filled = path.replace("{id}", id).replace("{aggregate}", "order").replace("{aggregate_id}", &things.order);
    filled.replace("{database}", "orders").replace("{reader}", "orders")
}

fn body(path: &str, things: &Things) -> Value {
    let price = json!({"amount": 1, "currency": "GBP"});
    match path {
        "/users" => json!({"email": "eve@example.com", "name": "Eve"}),
        "/users/{id}/profile-changes" => json!({"name": "Eve"}),
        "/orders" => json!({"user_id": things.ada, "lines": order_of(&things.product)["lines"], "payment": {"method": "card"}}),
        "/orders/{id}/cancellation" => json!({"reason": "because"}),
        "/products" => json!({"sku": "22752", "name": "Bottle", "price": price}),
        "/products/{id}/price-changes" => json!({"price": price}),
        "/products/{id}/stock-receipts" => json!({"quantity": 1}),
        "/payments/{id}/refunds" => json!({"amount": price}),
        _ => json!({}),
    }
}

/// What a cell of the matrix must answer, or why it is wrong.
fn judge(
    kind: TokenKind,
    reach: Reach,
    operation: &Operation,
    (status, headers, answer): &(StatusCode, HeaderMap, Value),
    ada: &Things,
) -> Option<String> {
    let challenged = headers.get("www-authenticate").is_some_and(|value| value.to_str().is_ok_and(|text| text.starts_with("Bearer ")));
    let right = match kind {
        TokenKind::MissingScope => *status == 403 && challenged,
        TokenKind::SomebodyElse => match reach {
            Reach::No => *status == 403 && challenged,
            Reach::Own => is_nothing(operation, *status, answer, ada),
            Reach::Any => status.is_success(),
        },
        TokenKind::Right => ![401, 403].contains(&status.as_u16()) && !status.is_server_error(),
        _ => *status == 401 && challenged,
    };
    (!right).then(|| format!("{status} {answer}"))
}

/// True if an answer tells nothing of ada's: it is not found, an empty page, or about the asker's own account.
fn is_nothing(operation: &Operation, status: StatusCode, answer: &Value, ada: &Things) -> bool {
    let text = answer.to_string();
    let silent = ["ada@example.com", "\"Ada\"", "\"user_id\":\""].iter().all(|secret| !text.contains(secret));
    let answered = match answer["items"].as_array() {
        Some(items) => status == 200 && items.is_empty(),
        // `POST /users` is the asker's own account, `POST /orders` in ada's name is refused by the field.
        None if operation.creates => [400, 422, 201].contains(&status.as_u16()) && answer["id"] != ada.ada.as_str(),
        None => status == 404,
    };
    silent && answered
}

#[tokio::test]
async fn every_operation_lets_in_whom_the_table_names_and_nobody_else() {
    let Some(shop) = Shop::open().await else { return };
    let things = Things::of(&shop).await;
    let (_, _, description) = shop.send(shop.request(Method::GET, "/openapi.json")).await;
    let operations = Operation::all(&description, &things);
    let system = shop::system(&shop::Settings::default());
    let unused: Vec<_> = system.policy().actions().filter(|action| operations.iter().all(|one| one.action != *action)).collect();
    assert_eq!(unused, ["orders.agree-prices"], "actions of the table that no route names");
    let mut wrong = Vec::new();
    for operation in &operations {
        let reach = system.policy().reach(&operation.action, ["customer"]);
        for kind in TokenKind::ALL {
            // The right one is last, since it may change what it is about.
            let roles: &[&str] = if kind == TokenKind::SomebodyElse { &["customer"] } else { system.policy().roles() };
            let token = kind
                .token(&shop.signer, &Bearer::new(if kind == TokenKind::SomebodyElse { "bob" } else { "ada" }, roles))
                .expect("a token");
            let answer = shop.send(operation.request(&shop, token.as_deref())).await;
            let why = judge(kind, reach, operation, &answer, &things);
            wrong.extend(why.map(|why| format!("{} {} ({}) with {kind:?}: {why}", operation.method, operation.path, operation.action)));
        }
    }
    println!("{} x {} cells, {} wrong", operations.len(), TokenKind::ALL.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(operations.len() >= 29, "the description names {} operations", operations.len());
}

#[tokio::test]
async fn a_customer_has_one_account_and_orders_in_their_own_name() {
    let Some(shop) = Shop::open().await else { return };
    let things = Things::of(&shop).await;
    let (ada, bob) = (shop.token("ada", &["customer"]), shop.token("bob", &["customer"]));
    let (status, again) = shop.post(&ada, "/users", json!({"email": "ada@example.org", "name": "Ada"})).await;
    assert_eq!((status.as_u16(), again["type"].as_str()), (422, Some("urn:daybook:problem:already-registered")), "{again}");
    let (_, own) = shop.get(&ada, "/orders").await;
    assert_eq!(own["items"][0]["user_id"], things.ada.as_str(), "an order without a customer is the caller's own: {own}");
    // One key, two callers: neither gets the other's order.
    let keyed = |token: &str| {
        shop.request(Method::POST, "/orders").bearer_auth(token).header("idempotency-key", "k").json(&order_of(&things.product))
    };
    let (first, second) = (shop.send(keyed(&ada)).await.2, shop.send(keyed(&bob)).await.2);
    assert_ne!(first["id"], second["id"]);
    let (status, _, refused) = shop.send(keyed(&ada).header("daybook-actor", "somebody")).await;
    assert!(status == 400 && refused["detail"].as_str().is_some_and(|text| text.contains("the token says who asks")), "{refused}");
    let (_, audit) = shop.get(&shop.token("ida", &["auditor"]), &format!("/audit/order/{}", things.order)).await;
    assert_eq!(audit["items"][0]["actor"], format!("{}#ada", shop.signer.issuer()), "{audit}");
}

#[tokio::test]
async fn owasp_api_top_ten_2023() {
    let Some(shop) = Shop::open().await else { return };
    let things = Things::of(&shop).await;
    let bob = shop.token("bob", &["customer"]);
    let status_of = async |method: Method, path: &str, token: &str, body: Value| {
        shop.send(shop.request(method, path).bearer_auth(token).json(&body)).await
    };
    // API1 Broken object level authorization.
    for path in ["", "/timeline", "?at=2099-01-01T00:00:00Z", "?consistency=strong"] {
        assert_eq!(shop.get(&bob, &format!("/orders/{}{path}", things.order)).await.0, 404, "API1 {path}");
    }
    let (status, _, answer) =
        status_of(Method::POST, &format!("/orders/{}/cancellation", things.order), &bob, json!({"reason": "mine now"})).await;
    let (never, _, nothing) =
        status_of(Method::POST, "/orders/0198c5a2-7b1e-7c3a-9d2f-3b5a1c2d4e6f/cancellation", &bob, json!({"reason": "x"})).await;
    assert_eq!(
        (status, answer["type"].clone(), answer["detail"].clone()),
        (never, nothing["type"].clone(), nothing["detail"].clone()),
        "API1: an order of somebody else is as one that does not exist"
    );
    // API2 Broken authentication: a token in the address is none; two are none.
    assert_eq!(shop.send(shop.request(Method::GET, &format!("/orders?access_token={bob}"))).await.0, 401, "API2");
    let twice = shop
        .request(Method::GET, "/orders")
        .header("authorization", format!("Bearer {bob}"))
        .header("authorization", format!("Bearer {bob}"));
    assert_eq!(shop.send(twice).await.0, 401, "API2");
    // API3 Broken object property level authorization: a customer names a price of their own, or a field that is not theirs to set.
    let mut cheap = order_of(&things.product);
    cheap["lines"][0]["agreed_price"] = json!({"amount": 0, "currency": "GBP"});
    assert_eq!(shop.post(&bob, "/orders", cheap).await.0, 403, "API3");
    let profile = format!("/users/{}/profile-changes", things.bob);
    assert_eq!(shop.post(&bob, &profile, json!({"name": "Bob", "roles": ["support"]})).await.0, 400, "API3");
    // API4 Unrestricted resource consumption.
    assert_eq!(shop.get(&bob, "/orders?limit=100000").await.0, 400, "API4");
    assert_eq!(shop.post(&bob, "/orders", json!({"x": "x".repeat(2 << 20)})).await.0, 413, "API4");
    // API5 Broken function level authorization.
    assert_eq!(shop.post(&bob, &format!("/products/{}/stock-receipts", things.product), json!({"quantity": 1})).await.0, 403, "API5");
    assert_eq!(shop.get(&bob, "/metrics").await.0, 403, "API5");
    // API6 Unrestricted access to sensitive business flows: nobody orders in another's name.
    let mut theirs = order_of(&things.product);
    theirs["user_id"] = json!(things.ada);
    assert_eq!(shop.post(&bob, "/orders", theirs).await.0, 400, "API6");
    // API7 Server side request forgery: no token says where its key is to be fetched.
    let stranger = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "theirs", "jku": format!("http://{}/jwks", stranger.local_addr().expect("an address"))});
    let forged = shop.signer.sign(&header, &shop.signer.claims(&Bearer::new("ada", &["support"]))).expect("a token");
    assert_eq!(shop.get(&forged, "/orders").await.0, 401, "API7");
    assert!(tokio::time::timeout(Duration::from_millis(200), stranger.accept()).await.is_err(), "API7: nobody is asked");
    // API8 Security misconfiguration: see `strangers_are_not_let_in_by_accident`. A token is in no log line.
    let log = std::fs::read_to_string(shop._data.path().join("daybook.log")).expect("a log");
    assert!(!log.contains(&bob) && !log.contains("Bearer ey"), "API8");
    // API9 Improper inventory management: what is not described is not there.
    assert_eq!(shop.get(&bob, "/admin").await.0, 404, "API9");
    // API10 Unsafe consumption of APIs: the issuer's answers are bounded (access/tests), the gateway's too (reactions).
    assert_eq!(shop.get(&bob, &format!("/orders/{}", things.order)).await.1["status"], 404, "API10");
}

#[tokio::test]
async fn strangers_are_not_let_in_by_accident() {
    let Some(program) = required("DAYBOOK_PROGRAM") else { return };
    let data = TempDir::new().expect("a directory");
    let run = |settings: &[(&str, &str)]| {
        let mut command = std::process::Command::new(&program);
        for name in ["DAYBOOK_KAFKA", "DAYBOOK_POSTGRES", "SCHEMA_REGISTRY_URL"] {
            command.env_remove(name);
        }
        let output = command
            .arg("run")
            .env("DAYBOOK_DATA", data.path())
            .env("DAYBOOK_BROKER_PORT", free_port().to_string())
            .envs(settings.iter().copied())
            .output();
        let output = output.expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[("DAYBOOK_HTTP", "0.0.0.0:0")], "DAYBOOK_OPEN=i-know"),
        (&[("DAYBOOK_HTTP", "0.0.0.0:0"), ("DAYBOOK_OPEN", "yes")], "i-know"),
        (&[("DAYBOOK_HTTP", "0.0.0.0:0"), ("DAYBOOK_SECURE", "yes")], "gives any role to whoever asks"),
        (&[("DAYBOOK_OIDC_ISSUER", "http://id.example.com")], "https"),
        (&[("DAYBOOK_OIDC_ISSUER", "https://id.example.com"), ("DAYBOOK_SECURE", "yes")], "exclude each other"),
        (&[("DAYBOOK_OIDC_ISSUER", "https://id.example.com"), ("DAYBOOK_OPEN", "i-know")], "unset one of them"),
    ];
    for (settings, says) in cases {
        let (code, said) = run(settings);
        assert!(code == Some(2) && said.contains(says) && said.lines().count() == 1, "{settings:?}: {code:?} {said}");
    }
    assert_eq!(data.path().read_dir().expect("it is there").count(), 0, "nothing was made");
}
