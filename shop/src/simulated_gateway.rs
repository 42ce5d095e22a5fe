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
//! `card-forgetful` | approved, but the first answer comes only after ten times `slow`
//! `card-stuck-404` | approved; every capture, void and refund answers 404
//! `card-stuck-402` | approved; every capture, void and refund answers 402 with the reason `stuck`
//! `card-stuck-500` | approved; every capture, void and refund answers 500
//! `card-stuck-silent` | approved; every capture, void and refund answers nothing for ten times `slow`, then 504
//! anything else | declined as `unknown-method`
//!
//! `POST /mended` ends that for good: from then on a stuck payment behaves as one by `card`, so that effects that were given up can be
//! tried again. A call that is refused books nothing (a declined authorisation books the decline). A call whose path or body is malformed
//! gets 4xx and changes nothing.

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
    io::{BufReader, Read, Write},
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How the gateway behaves.
#[derive(Clone, Debug)]
pub struct SimulatedGatewayConfig {
    /// How long `card-slow` takes; `card-forgetful` and `card-stuck-silent` take ten times as long.
    pub slow: Duration,
    /// Where its books are kept, one operation a line; without it, in memory only.
    pub books: Option<PathBuf>,
}

impl Default for SimulatedGatewayConfig {
    fn default() -> Self {
        Self { slow: Duration::from_secs(1), books: None }
    }
}

/// The operations that were done for a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Account {
    /// The method by which it was approved.
    #[serde(skip)]
    method: String,
    amount: i64,
    authorised: bool,
    declined: Option<String>,
    captured: bool,
    voided: bool,
    refunds: BTreeMap<String, i64>,
}

/// One operation, as the books hold it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Booking {
    payment: String,
    operation: String,
    amount: i64,
    note: String,
}

impl Account {
    fn refunded(&self) -> i128 {
        self.refunds.values().copied().map(i128::from).sum()
    }
}

/// The operation of the entry that mends stuck payments. It belongs to no payment.
const MENDED: &str = "mended";

#[derive(Default)]
struct Books {
    accounts: HashMap<String, Account>,
    counts: BTreeMap<String, u64>,
    calls: HashMap<String, u32>,
    mended: bool,
    file: Option<File>,
}

impl Books {
    fn open(path: Option<&FilePath>) -> std::io::Result<Self> {
        let mut books = Self::default();
        let Some(path) = path else { return Ok(books) };
        let mut kept = Vec::new();
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        BufReader::new(&file).read_to_end(&mut kept)?;
        let entries = kept.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        entries.for_each(|entry| books.apply(&entry));
        if kept.last().is_some_and(|last| *last != b'\n') {
            // A crash tore the last line: the next entry must not become part of it.
            file.write_all(b"\n")?;
        }
        books.file = Some(file);
        Ok(books)
    }

    fn apply(&mut self, entry: &Booking) {
        if entry.operation == MENDED {
            self.mended = true;
            return;
        }
        let account = self.accounts.entry(entry.payment.clone()).or_default();
        match entry.operation.as_str() {
            "authorise" => {
                (account.authorised, account.amount) = (true, entry.amount);
                account.method.clone_from(&entry.note);
            }
            "decline" => account.declined = Some(entry.note.clone()),
            "capture" => account.captured = true,
            "void" => account.voided = true,
            _ => drop(account.refunds.insert(entry.note.clone(), entry.amount)),
        }
        *self.counts.entry(entry.operation.clone()).or_default() += 1;
    }

    /// Does an operation that was not done before, and writes it into the books.
    fn book(&mut self, payment: &str, operation: &str, amount: i64, note: &str) {
        let entry = Booking { payment: payment.into(), operation: operation.into(), amount, note: note.into() };
        self.apply(&entry);
        if let Some(file) = &mut self.file
            && let Err(error) = writeln!(file, "{}", json!(entry))
        {
            tracing::error!(%error, "the gateway's books cannot be written");
        }
    }

    /// Counts a call for a payment and operation; answers the count.
    fn call(&mut self, payment: &str, operation: &str) -> u32 {
        let calls = self.calls.entry(format!("{payment}/{operation}")).or_default();
        *calls = calls.saturating_add(1);
        *calls
    }

    /// How the gateway refuses to capture, void or refund this payment; none where it does not.
    fn stuck(&self, payment: &str) -> Option<Stuck> {
        self.accounts.get(payment).filter(|_| !self.mended).and_then(|account| Stuck::of(&account.method))
    }
}

/// How a payment is stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stuck {
    NotFound,
    Declined,
    Failing,
    Silent,
}

impl Stuck {
    fn of(method: &str) -> Option<Self> {
        match method {
            "card-stuck-404" => Some(Self::NotFound),
            "card-stuck-402" => Some(Self::Declined),
            "card-stuck-500" => Some(Self::Failing),
            "card-stuck-silent" => Some(Self::Silent),
            _ => None,
        }
    }

    async fn answer(self, slow: Duration) -> Response {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "no such payment").into_response(),
            Self::Declined => refused("stuck"),
            Self::Failing => (StatusCode::INTERNAL_SERVER_ERROR, "try again").into_response(),
            Self::Silent => {
                tokio::time::sleep(slow.saturating_mul(10)).await;
                (StatusCode::GATEWAY_TIMEOUT, "it took too long").into_response()
            }
        }
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
        .route("/mended", post(mended))
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

async fn mended(State(simulation): State<Simulation>) -> Response {
    let mut books = simulation.books.lock();
    if !books.mended {
        books.book("", MENDED, 0, "");
    }
    fine()
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
    if asked.amount.amount < 0 {
        return malformed("amount: must be at least 0");
    }
    let call = simulation.books.lock().call(&id, "authorise");
    match asked.method.as_str() {
        "card-flaky" if call <= 2 => return (StatusCode::INTERNAL_SERVER_ERROR, "try again").into_response(),
        "card-slow" => tokio::time::sleep(simulation.config.slow).await,
        _ => {}
    }
    let answer = decide(&simulation, &id, &asked);
    if asked.method == "card-forgetful" && call == 1 {
        tokio::time::sleep(simulation.config.slow.saturating_mul(10)).await;
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
        method if Stuck::of(method).is_some() => None,
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

fn malformed(why: &'static str) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, why).into_response()
}

fn fine() -> Response {
    Json::<Value>(json!({"done": true})).into_response()
}

/// Does an operation for a payment, unless that is stuck.
async fn unless_stuck(simulation: &Simulation, payment: &str, act: impl FnOnce(&mut Books, Account) -> Response) -> Response {
    let stuck = {
        let mut books = simulation.books.lock();
        let Some(stuck) = books.stuck(payment) else {
            let account = books.accounts.get(payment).cloned().unwrap_or_default();
            return act(&mut books, account);
        };
        stuck
    };
    stuck.answer(simulation.config.slow).await
}

async fn capture(State(simulation): State<Simulation>, Path(id): Path<String>) -> Response {
    let act = |books: &mut Books, account: Account| {
        if !account.authorised || account.voided {
            return refused("not-authorised");
        }
        if !account.captured {
            books.book(&id, "capture", account.amount, "");
        }
        fine()
    };
    unless_stuck(&simulation, &id, act).await
}

async fn void(State(simulation): State<Simulation>, Path(id): Path<String>) -> Response {
    let act = |books: &mut Books, account: Account| {
        if account.captured {
            return refused("captured");
        }
        if !account.voided {
            books.book(&id, "void", account.amount, "");
        }
        fine()
    };
    unless_stuck(&simulation, &id, act).await
}

async fn refund(State(simulation): State<Simulation>, Path((id, refund)): Path<(String, String)>, Json(asked): Json<RefundOf>) -> Response {
    let amount = asked.amount.amount;
    if amount < 1 {
        return malformed("amount: must be at least 1");
    }
    let act = |books: &mut Books, account: Account| {
        if account.refunds.contains_key(&refund) {
            return fine();
        }
        if !account.captured || account.refunded() + i128::from(amount) > i128::from(account.amount) {
            return refused("more-than-captured");
        }
        books.book(&id, "refund", amount, &refund);
        fine()
    };
    unless_stuck(&simulation, &id, act).await
}

#[derive(Deserialize)]
struct RefundOf {
    amount: Amount,
}

#[cfg(test)]
mod tests;
