//! The shop's HTTP API as the import sees it, in memory: idempotent by key, and scripted to be busy, to break and to decline.

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use domain::{OrderId, PaymentId, ProductId, UserId};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// A POST that was answered: its path and its key.
type Asked = (String, String);

/// How the shop behaves.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Of so many POSTs, one is answered with 503.
    pub busy_every: Option<u64>,
    /// After so many POSTs, each further one is answered with 500.
    pub breaks_after: Option<u64>,
    /// Orders with one of these keys are cancelled: the payment is declined.
    pub declines: Vec<&'static str>,
    /// Orders with one of these keys stay placed: their saga never ends.
    pub forgets: Vec<&'static str>,
    /// Refunds with one of these keys are refused.
    pub keeps: Vec<&'static str>,
    /// Of so many POSTs, one is done and answered with 504.
    pub unknown_every: Option<u64>,
    /// The payments of orders with one of these keys stay in this state.
    pub payments: BTreeMap<&'static str, &'static str>,
    /// Accounts that are closed, by the key that registered them.
    pub closed: Vec<&'static str>,
    /// Products that are withdrawn, by the key that listed them.
    pub withdrawn: Vec<&'static str>,
    /// Stock codes that only the products with these ids may have: somebody listed them by hand.
    pub by_hand: BTreeMap<&'static str, String>,
}

/// An order, and how often it was read.
#[derive(Clone, Debug, PartialEq)]
struct Order {
    key: String,
    body: Value,
    looks: u32,
    reason: Option<String>,
}

/// The state of the shop.
#[derive(Clone, Debug, Default)]
pub struct Books {
    answers: BTreeMap<Asked, (Value, String)>,
    users: BTreeMap<String, Value>,
    products: BTreeMap<String, Value>,
    stock: BTreeMap<String, i64>,
    orders: BTreeMap<String, Order>,
    refunded: BTreeMap<String, i64>,
    /// The refunds of each payment: the key and the amount.
    refunds: BTreeMap<String, Vec<(String, i64)>>,
    /// POSTs that came, repeats included.
    pub posts: u64,
    /// POSTs that changed something.
    pub changes: u64,
    busy: u64,
}

impl Books {
    /// The facts that must be the same after an import, however often it was begun: how often requests came does not count.
    pub fn facts(&self) -> Value {
        let orders: BTreeMap<_, _> = self.orders.iter().map(|(id, order)| (id, (&order.key, &order.body, &order.reason))).collect();
        json!({"users": self.users, "products": self.products, "stock": self.stock, "orders": orders, "refunded": self.refunded, "changes": self.changes})
    }

    /// Pieces and pence of the confirmed orders, the pence less the refunds; and how many orders are confirmed.
    pub fn sold(&self) -> (i64, i64, usize) {
        let confirmed = || self.orders.values().filter(|order| order.reason.is_none());
        let lines = || confirmed().flat_map(|order| order.body["lines"].as_array().expect("lines"));
        let quantity = |line: &Value| line["quantity"].as_i64().expect("a quantity");
        let pence: i64 = lines().map(|line| quantity(line) * line["agreed_price"]["amount"].as_i64().expect("a price")).sum();
        (lines().map(quantity).sum(), pence - self.refunded.values().sum::<i64>(), confirmed().count())
    }

    /// A product, by the key that made it.
    pub fn product(&self, key: &str) -> &Value {
        &self.products[&ProductId::derive("merchant/import", key).to_string()]
    }

    /// How many pieces of a product are left.
    pub fn left(&self, key: &str) -> i64 {
        self.stock[&ProductId::derive("merchant/import", key).to_string()]
    }
}

/// The shop, serving until it is dropped.
pub struct Shop {
    pub url: String,
    pub script: Arc<Mutex<Script>>,
    pub books: Arc<Mutex<Books>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shop {
    pub async fn open(script: Script) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (script, books) = (Arc::new(Mutex::new(script)), Arc::new(Mutex::new(Books::default())));
        let router = Router::new().fallback(answer).with_state((script.clone(), books.clone()));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, script, books, serving }
    }
}

type Everything = (Arc<Mutex<Script>>, Arc<Mutex<Books>>);

async fn answer(State((script, books)): State<Everything>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let (script, mut books) = (script.lock().clone(), books.lock());
    let path: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    if method == Method::GET {
        return books
            .get(&script, &path, uri.query().unwrap_or_default())
            .map_or_else(|| problem(StatusCode::NOT_FOUND, "not-found"), |found| Json(found).into_response());
    }
    books.posts += 1;
    if script.breaks_after.is_some_and(|most| books.posts > most) {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, "broken");
    }
    if script.busy_every.is_some_and(|every| books.posts % every == 0) {
        books.busy += 1;
        return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response();
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (key, actor) = (header("idempotency-key"), header("daybook-actor"));
    let sound = (1..=200).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) && actor.starts_with("merchant/");
    let Ok(body) = serde_json::from_slice::<Value>(&body) else { return problem(StatusCode::BAD_REQUEST, "invalid-request") };
    let unknown = script.unknown_every.is_some_and(|every| books.posts % every == 0);
    let answer = if sound { books.once(&script, &path, &actor, key, body) } else { problem(StatusCode::BAD_REQUEST, "invalid-request") };
    if unknown { StatusCode::GATEWAY_TIMEOUT.into_response() } else { answer }
}

fn problem(status: StatusCode, code: &str) -> Response {
    (status, Json(json!({"type": format!("urn:daybook:problem:{code}"), "detail": format!("it is {code}")}))).into_response()
}

impl Books {
    /// Answers a repeat of a key with the first answer, if the body is the same.
    fn once(&mut self, script: &Script, path: &[&str], actor: &str, key: String, body: Value) -> Response {
        let asked = (path.join("/"), key.clone());
        if let Some((first, id)) = self.answers.get(&asked) {
            let same = *first == body;
            return if same {
                ([("idempotency-replayed", "true")], made(id)).into_response()
            } else {
                problem(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused")
            };
        }
        match self.post(script, path, actor, &key, &body) {
            Ok(id) => {
                self.changes += 1;
                let answer = made(&id);
                self.answers.insert(asked, (body, id));
                answer
            }
            Err((status, code)) => problem(status, code),
        }
    }

    fn post(&mut self, script: &Script, path: &[&str], actor: &str, key: &str, body: &Value) -> Result<String, (StatusCode, &'static str)> {
        match path {
            ["users"] => {
                let id = UserId::derive(actor, key).to_string();
                self.users.insert(id.clone(), body.clone());
                Ok(id)
            }
            ["products"] if body["sku"].as_str().is_some_and(|sku| script.by_hand.contains_key(sku)) => {
                Err((StatusCode::CONFLICT, "sku-taken"))
            }
            ["products"] => {
                let id = ProductId::derive(actor, key).to_string();
                self.products.insert(id.clone(), body.clone());
                Ok(id)
            }
            ["products", id, "stock-receipts"] if is_made_by::<ProductId>(&script.withdrawn, id) => {
                Err((StatusCode::UNPROCESSABLE_ENTITY, "withdrawn-product"))
            }
            ["products", id, "stock-receipts"] if self.is_product(script, id) => {
                *self.stock.entry((*id).to_owned()).or_default() += body["quantity"].as_i64().expect("a quantity");
                Ok((*id).to_owned())
            }
            ["orders"] => Ok(self.place(script, &OrderId::derive(actor, key).to_string(), key, body)),
            ["payments", id, "refunds"] => self.refund(script, id, key, body),
            _ => Err((StatusCode::NOT_FOUND, "not-found")),
        }
    }

    /// Runs the whole saga at once; its end shows at the third look.
    fn place(&mut self, script: &Script, id: &str, key: &str, body: &Value) -> String {
        let user = body["user_id"].as_str().expect("a user");
        assert!(self.users.contains_key(user) && !is_made_by::<UserId>(&script.closed, user), "orders are placed by users that are there");
        let mut left = self.stock.clone();
        for line in body["lines"].as_array().expect("lines") {
            *left.entry(line["product_id"].as_str().expect("a product").to_owned()).or_default() -=
                line["quantity"].as_i64().expect("pieces");
        }
        let reason = match (left.values().any(|pieces| *pieces < 0), script.declines.contains(&key)) {
            (true, _) => Some("insufficient-stock".to_owned()),
            (false, true) => Some("payment-declined".to_owned()),
            (false, false) => None,
        };
        if reason.is_none() {
            self.stock = left;
        }
        self.orders.insert(id.to_owned(), Order { key: key.to_owned(), body: body.clone(), looks: 0, reason });
        id.to_owned()
    }

    fn refund(&mut self, script: &Script, id: &str, key: &str, body: &Value) -> Result<String, (StatusCode, &'static str)> {
        let paid = self.orders.iter().any(|(order, found)| payment_of(order) == id && found.reason.is_none());
        if !paid {
            return Err((StatusCode::NOT_FOUND, "not-found"));
        }
        if body["amount"]["currency"] != "GBP" {
            return Err((StatusCode::UNPROCESSABLE_ENTITY, "currency-mismatch"));
        }
        if script.keeps.contains(&key) {
            return Err((StatusCode::UNPROCESSABLE_ENTITY, "refund-exceeds-captured"));
        }
        self.refunds.entry(id.to_owned()).or_default().push((key.to_owned(), body["amount"]["amount"].as_i64().expect("an amount")));
        *self.refunded.entry(id.to_owned()).or_default() += body["amount"]["amount"].as_i64().expect("an amount");
        Ok(id.to_owned())
    }

    fn is_product(&self, script: &Script, id: &str) -> bool {
        self.products.contains_key(id) || script.by_hand.values().any(|by_hand| by_hand == id)
    }

    fn get(&mut self, script: &Script, path: &[&str], query: &str) -> Option<Value> {
        let strong = query.contains("consistency=strong");
        match path {
            ["health", "ready"] => Some(json!({"status": "ready"})),
            ["users", id, "orders"] => Some(self.orders_of(id)),
            ["users", id] => {
                let status = if is_made_by::<UserId>(&script.closed, id) { "closed" } else { "active" };
                self.users.contains_key(*id).then(|| json!({"status": status}))
            }
            ["products"] => Some(self.listed(script, query)),
            ["products", id] => {
                let withdrawn = is_made_by::<ProductId>(&script.withdrawn, id);
                self.products.get(*id).map(|product| json!({"sku": product["sku"], "withdrawn": withdrawn}))
            }
            ["orders", id] if strong => self.orders.get(*id).map(|order| order.row(id, "placed")),
            ["orders", id] => self.orders.get_mut(*id).and_then(|order| order.look(script, id)),
            ["orders", id, "timeline"] => Some(self.timeline(id)),
            ["payments", id] => {
                let of = self.orders.iter_mut().find(|(order, _)| payment_of(order) == *id);
                of.and_then(|(_, order)| order.capture(script))
            }
            _ => None,
        }
    }

    fn orders_of(&self, user: &str) -> Value {
        let of_user = self.orders.iter().filter(|(_, order)| order.body["user_id"] == user && order.reason.is_none());
        json!({"items": of_user.map(|(id, order)| order.row(id, "confirmed")).collect::<Vec<_>>(), "next": null})
    }

    fn listed(&self, script: &Script, query: &str) -> Value {
        let asked = |sku: &str| query.split('&').any(|part| part == format!("sku={sku}"));
        let by_hand = script.by_hand.iter().filter(|(sku, _)| asked(sku));
        json!({"items": by_hand.map(|(_, id)| json!({"product_id": id, "withdrawn": false})).collect::<Vec<_>>(), "next": null})
    }

    fn timeline(&self, order: &str) -> Value {
        let refunds = self.refunds.get(&payment_of(order)).into_iter().flatten();
        let entry = |(key, amount): &(String, i64)| {
            let data = json!({"refund_id": key, "amount": {"amount": amount, "currency": "GBP"}});
            json!({"event": "PaymentRefundRequested", "actor": "merchant/import", "data": data})
        };
        json!({"entries": refunds.map(entry).collect::<Vec<_>>()})
    }
}

/// True where one of these keys made this aggregate.
fn is_made_by<I: Derived>(keys: &[&str], id: &str) -> bool {
    keys.iter().any(|key| I::of(key) == id)
}

trait Derived {
    fn of(key: &str) -> String;
}

impl Derived for UserId {
    fn of(key: &str) -> String {
        Self::derive("merchant/import", key).to_string()
    }
}

impl Derived for ProductId {
    fn of(key: &str) -> String {
        Self::derive("merchant/import", key).to_string()
    }
}

fn made(id: &str) -> Response {
    (StatusCode::CREATED, Json(json!({"id": id, "version": 1}))).into_response()
}

fn payment_of(order: &str) -> String {
    PaymentId::for_order(order.parse().expect("an order's id")).to_string()
}

impl Order {
    /// At the first look the view is behind; at the second the saga has not ended yet.
    fn look(&mut self, script: &Script, id: &str) -> Option<Value> {
        self.looks += 1;
        let forgotten = script.forgets.contains(&self.key.as_str());
        match (self.looks, &self.reason) {
            (1, _) => None,
            (2, _) => Some(self.row(id, "placed")),
            (_, _) if forgotten => Some(self.row(id, "placed")),
            (_, Some(_)) => Some(self.row(id, "cancelled")),
            (_, None) => Some(self.row(id, "confirmed")),
        }
    }

    /// The order as the view shows it in a state.
    fn row(&self, id: &str, status: &str) -> Value {
        let line = |line: &Value| {
            let price = if self.reason.is_none() { &line["agreed_price"] } else { &Value::Null };
            json!({"product_id": line["product_id"], "quantity": line["quantity"], "unit_price": price})
        };
        let lines: Vec<Value> = self.body["lines"].as_array().expect("lines").iter().map(line).collect();
        let payment = (status == "confirmed").then(|| payment_of(id));
        json!({
            "order_id": id, "user_id": self.body["user_id"], "status": status, "lines": lines, "payment_id": payment,
            "reason": self.reason, "total": {"currency": "GBP"},
        })
    }

    /// The payment is captured a moment after the order is confirmed: not at the first look.
    fn capture(&mut self, script: &Script) -> Option<Value> {
        self.looks += 1;
        let status = match script.payments.get(self.key.as_str()) {
            Some(status) => status,
            None if self.looks > 4 => "captured",
            None => "authorised",
        };
        self.reason.is_none().then(|| json!({"status": status, "reason": "card-expired"}))
    }
}
