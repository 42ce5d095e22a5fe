use super::{SimulatedGatewayConfig, serve};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, DropGuard};

const SLOW: Duration = Duration::from_millis(20);
const STUCK: [(&str, u16); 4] = [("card-stuck-404", 404), ("card-stuck-402", 402), ("card-stuck-500", 500), ("card-stuck-silent", 504)];

struct Gateway {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Gateway {
    async fn start(books: Option<&Path>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let config = SimulatedGatewayConfig { slow: SLOW, books: books.map(Path::to_owned) };
        tokio::spawn(serve(listener, config, stop.clone()));
        Self { address, _stop: stop.drop_guard() }
    }

    /// The status of a call and its body, JSON or text.
    async fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n");
        let request = format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap_or_else(|_| json!(body)))
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call("POST", path, &body.to_string()).await
    }

    async fn authorise(&self, payment: &str, method: &str) -> u16 {
        self.post(&format!("/payments/{payment}/authorisation"), json!({"amount": {"amount": 300}, "method": method})).await.0
    }

    async fn refund(&self, payment: &str, refund: &str, amount: i64) -> u16 {
        self.post(&format!("/payments/{payment}/refunds/{refund}"), json!({"amount": {"amount": amount}})).await.0
    }

    async fn capture_void_refund(&self, payment: &str) -> [u16; 3] {
        let capture = self.post(&format!("/payments/{payment}/capture"), json!({})).await.0;
        let void = self.post(&format!("/payments/{payment}/void"), json!({})).await.0;
        [capture, void, self.refund(payment, "r", 100).await]
    }

    async fn operations(&self) -> Value {
        self.call("GET", "/operations", "").await.1
    }
}

#[tokio::test]
async fn a_stuck_payment_is_approved_and_nothing_more_is_ever_done_for_it() {
    let gateway = Gateway::start(None).await;
    for (method, status) in STUCK {
        assert_eq!(gateway.authorise(method, method).await, 200, "{method}");
        assert_eq!(gateway.capture_void_refund(method).await, [status; 3], "{method}");
    }
    assert_eq!(gateway.operations().await, json!({"authorise": 4}));
    assert_eq!(gateway.post("/payments/card-stuck-402/capture", json!({})).await.1, json!({"reason": "stuck"}));
}

#[tokio::test]
async fn a_stuck_payment_holds_no_other_up() {
    let gateway = Gateway::start(None).await;
    gateway.authorise("silent", "card-stuck-silent").await;
    gateway.authorise("other", "card").await;
    let begun = tokio::time::Instant::now();
    let (silent, other) = tokio::join!(gateway.post("/payments/silent/capture", json!({})), async {
        let status = gateway.post("/payments/other/capture", json!({})).await.0;
        (status, begun.elapsed())
    });
    assert_eq!((silent.0, other.0), (504, 200));
    assert!(begun.elapsed() >= SLOW * 10 && other.1 < SLOW * 10, "{:?}", other.1);
}

#[tokio::test]
async fn what_is_mended_behaves_as_a_card_and_stays_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("books.jsonl");
    let stuck = Gateway::start(Some(&path)).await;
    stuck.authorise("before", "card-stuck-500").await;
    assert_eq!(stuck.capture_void_refund("before").await, [500; 3]);
    drop(stuck);

    let gateway = Gateway::start(Some(&path)).await;
    assert_eq!(gateway.capture_void_refund("before").await, [500; 3], "a restart mends nothing");
    for _ in 0..2 {
        assert_eq!(gateway.post("/mended", json!({})).await.0, 200);
    }
    gateway.authorise("after", "card-stuck-404").await;
    for payment in ["before", "after"] {
        assert_eq!(gateway.capture_void_refund(payment).await, [200, 402, 200], "{payment}: captured, so not to be voided");
    }
    drop(gateway);

    let again = Gateway::start(Some(&path)).await;
    again.authorise("later", "card-stuck-404").await;
    assert_eq!(again.capture_void_refund("later").await, [200, 402, 200]);
    assert_eq!(again.operations().await, json!({"authorise": 3, "capture": 3, "refund": 3}));
}

#[tokio::test]
async fn what_is_malformed_is_refused_and_changes_nothing() {
    let gateway = Gateway::start(None).await;
    gateway.authorise("a", "card").await;
    gateway.post("/payments/a/capture", json!({})).await;
    let before = gateway.operations().await;
    for (path, body) in [
        ("/payments/b/authorisation", ""),
        ("/payments/b/authorisation", "{"),
        ("/payments/b/authorisation", "[]"),
        ("/payments/b/authorisation", r#"{"amount": {"amount": 1}}"#),
        ("/payments/b/authorisation", r#"{"amount": {"amount": -1}, "method": "card"}"#),
        ("/payments/b/authorisation", r#"{"amount": {"amount": 1e30}, "method": "card"}"#),
        ("/payments/%ff/authorisation", r#"{"amount": {"amount": 1}, "method": "card"}"#),
        ("/payments/%ff/capture", "{}"),
        ("/payments/%ff/void", "{}"),
        ("/payments//capture", "{}"),
        ("/payments/a/refunds/%ff", r#"{"amount": {"amount": 1}}"#),
        ("/payments/a/refunds/r", r#"{"amount": {}}"#),
        ("/payments/a/refunds/r", r#"{"amount": {"amount": 0}}"#),
        ("/payments/a/refunds/r", r#"{"amount": {"amount": -9223372036854775808}}"#),
        ("/payments/a/refunds/r", r#"{"amount": {"amount": 9223372036854775807}}"#),
    ] {
        let (status, answer) = gateway.call("POST", path, body).await;
        assert!((400..500).contains(&status), "{path} {body}: {status} {answer}");
    }
    assert_eq!(gateway.call("GET", "/payments/%ff", "").await.0, 400);
    assert_eq!(gateway.operations().await, before);
    assert_eq!(gateway.refund("a", "one", 200).await, 200);
    assert_eq!(gateway.refund("a", "two", i64::MAX).await, 402, "more than was captured, whatever the sum");
}

#[tokio::test]
async fn a_line_that_a_crash_tore_spoils_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("books.jsonl");
    let before = Gateway::start(Some(&path)).await;
    before.authorise("a", "card").await;
    drop(before);
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{whole}{}\u{7f}", &whole[..9])).unwrap();
    for captures in 1..=2 {
        let gateway = Gateway::start(Some(&path)).await;
        assert_eq!(gateway.post("/payments/a/capture", json!({})).await.0, 200);
        assert_eq!(gateway.operations().await, json!({"authorise": 1, "capture": 1}), "start {captures}");
    }
}
