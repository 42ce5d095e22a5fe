//! A payment gateway that declines, delays, fails and forgets, in a process of its own. It moves no money.
//!
//! The payment's method says how it behaves:
//!
//! method | what happens
//! --- | ---
//! `card`, `invoice` | approved
//! `card-declined` | declined
//! `card-slow` | approved after `slow`
//! `card-flaky` | the first two calls fail with 500, then approved
//! `card-forgetful` | approved, but the first answer never comes
//! anything else | declined as `unknown-method`

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How the gateway behaves.
#[derive(Clone, Debug)]
pub struct SimulatedGatewayConfig {
    /// How long `card-slow` takes, and how long a forgotten answer is not given.
    pub slow: Duration,
    /// Where its books are kept, one operation a line; in memory only where none is named.
    pub books: Option<PathBuf>,
}

impl Default for SimulatedGatewayConfig {
    fn default() -> Self {
        Self { slow: Duration::from_secs(1), books: None }
    }
}

/// What was done for a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Account {
    amount: i64,
    authorised: bool,
    declined: Option<String>,
    captured: bool,
    voided: bool,
    refunds: BTreeMap<String, i64>,
}

/// One thing that was done, as the books have it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    payment: String,
    operation: String,
    amount: i64,
    note: String,
}

#[derive(Default)]
struct Books {
    accounts: HashMap<String, Account>,
    counts: BTreeMap<String, u64>,
    calls: HashMap<String, u32>,
    file: Option<File>,
}

impl Books {
    fn open(path: Option<&FilePath>) -> std::io::Result<Self> {
        let mut books = Self::default();
        let Some(path) = path else { return Ok(books) };
        if let Ok(file) = File::open(path) {
            BufReader::new(file)
                .lines()
                .map_while(Result::ok)
                .filter_map(|line| serde_json::from_str(&line).ok())
                .for_each(|entry| books.apply(&entry));
        }
        books.file = Some(OpenOptions::new().create(true).append(true).open(path)?);
        Ok(books)
    }

    fn apply(&mut self, entry: &Entry) {
        let account = self.accounts.entry(entry.payment.clone()).or_default();
        match entry.operation.as_str() {
            "authorise" => (account.authorised, account.amount) = (true, entry.amount),
            "decline" => account.declined = Some(entry.note.clone()),
            "capture" => account.captured = true,
            "void" => account.voided = true,
            _ => drop(account.refunds.insert(entry.note.clone(), entry.amount)),
        }
        *self.counts.entry(entry.operation.clone()).or_default() += 1;
    }

    /// Does something that was not done before, and writes it down.
    fn book(&mut self, payment: &str, operation: &str, amount: i64, note: &str) {
        let entry = Entry { payment: payment.into(), operation: operation.into(), amount, note: note.into() };
        self.apply(&entry);
        if let Some(file) = &mut self.file
            && let Err(error) = writeln!(file, "{}", json!(entry))
        {
            tracing::error!(%error, "the gateway's books cannot be written");
        }
    }

    /// Counts the calls for a payment and operation.
    fn call(&mut self, payment: &str, operation: &str) -> u32 {
        let calls = self.calls.entry(format!("{payment}/{operation}")).or_default();
        *calls += 1;
        *calls
    }
}

#[derive(Clone)]
struct Simulation {
    books: Arc<Mutex<Books>>,
    config: SimulatedGatewayConfig,
}

/// Serves until `shutdown`.
pub async fn serve(listener: TcpListener, config: SimulatedGatewayConfig, shutdown: CancellationToken) -> std::io::Result<()> {
    let books = Arc::new(Mutex::new(Books::open(config.books.as_deref())?));
    let app = Router::new()
        .route("/health", get(|| async { "live" }))
        .route("/operations", get(operations))
        .route("/payments/{id}", get(account))
        .route("/payments/{id}/authorisation", post(authorise))
        .route("/payments/{id}/capture", post(capture))
        .route("/payments/{id}/void", post(void))
        .route("/payments/{id}/refunds/{refund}", post(refund))
        .with_state(Simulation { books, config });
    axum::serve(listener, app).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

async fn operations(State(simulation): State<Simulation>) -> Json<BTreeMap<String, u64>> {
    Json(simulation.books.lock().counts.clone())
}

async fn account(State(simulation): State<Simulation>, Path(id): Path<String>) -> Response {
    let found = simulation.books.lock().accounts.get(&id).cloned();
    found.map_or(StatusCode::NOT_FOUND.into_response(), |account| Json(account).into_response())
}

#[derive(Deserialize)]
struct Amount {
    amount: i64,
}

#[derive(Deserialize)]
struct Authorisation {
    amount: Amount,
    method: String,
}

async fn authorise(State(simulation): State<Simulation>, Path(id): Path<String>, Json(asked): Json<Authorisation>) -> Response {
    let call = simulation.books.lock().call(&id, "authorise");
    match asked.method.as_str() {
        "card-flaky" if call <= 2 => return (StatusCode::INTERNAL_SERVER_ERROR, "try again").into_response(),
        "card-slow" => tokio::time::sleep(simulation.config.slow).await,
        _ => {}
    }
    let answer = decide(&simulation, &id, &asked);
    if asked.method == "card-forgetful" && call == 1 {
        tokio::time::sleep(simulation.config.slow * 10).await;
    }
    answer
}

fn decide(simulation: &Simulation, id: &str, asked: &Authorisation) -> Response {
    let mut books = simulation.books.lock();
    let account = books.accounts.get(id).cloned().unwrap_or_default();
    let reason = match asked.method.as_str() {
        _ if account.voided => Some("voided".to_owned()),
        _ if account.authorised || account.declined.is_some() => account.declined,
        "card" | "invoice" | "card-slow" | "card-flaky" | "card-forgetful" => None,
        "card-declined" => Some("insufficient-funds".to_owned()),
        _ => Some("unknown-method".to_owned()),
    };
    let settled = books.accounts.get(id).is_some_and(|account| account.authorised || account.declined.is_some());
    match (&reason, settled) {
        (_, true) => {}
        (Some(reason), false) => books.book(id, "decline", asked.amount.amount, reason),
        (None, false) => books.book(id, "authorise", asked.amount.amount, &asked.method),
    }
    match reason {
        Some(reason) => (StatusCode::PAYMENT_REQUIRED, Json(json!({"reason": reason}))).into_response(),
        None => Json(json!({"reference": format!("sim-{id}")})).into_response(),
    }
}

fn refused(reason: &str) -> Response {
    (StatusCode::PAYMENT_REQUIRED, Json(json!({"reason": reason}))).into_response()
}

fn fine() -> Response {
    Json::<Value>(json!({"done": true})).into_response()
}

async fn capture(State(simulation): State<Simulation>, Path(id): Path<String>) -> Response {
    let mut books = simulation.books.lock();
    let account = books.accounts.get(&id).cloned().unwrap_or_default();
    if !account.authorised || account.voided {
        return refused("not-authorised");
    }
    if !account.captured {
        books.book(&id, "capture", account.amount, "");
    }
    fine()
}

async fn void(State(simulation): State<Simulation>, Path(id): Path<String>) -> Response {
    let mut books = simulation.books.lock();
    let account = books.accounts.get(&id).cloned().unwrap_or_default();
    if account.captured {
        return refused("captured");
    }
    if !account.voided {
        books.book(&id, "void", account.amount, "");
    }
    fine()
}

async fn refund(State(simulation): State<Simulation>, Path((id, refund)): Path<(String, String)>, Json(asked): Json<RefundOf>) -> Response {
    let mut books = simulation.books.lock();
    let account = books.accounts.get(&id).cloned().unwrap_or_default();
    if account.refunds.contains_key(&refund) {
        return fine();
    }
    if !account.captured || account.refunds.values().sum::<i64>() + asked.amount.amount > account.amount {
        return refused("more-than-captured");
    }
    books.book(&id, "refund", asked.amount.amount, &refund);
    fine()
}

#[derive(Deserialize)]
struct RefundOf {
    amount: Amount,
}
