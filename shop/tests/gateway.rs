//! The gateway's client against the simulated gateway, over a real socket: it declines, delays, fails and forgets.

use consumers::{Effect, Fault, NotNow, Outcome, Perform};
use domain::{
    Money, OrderId, PaymentId,
    payment::{Payment, PaymentCommand},
};
use event_sourcing::AnyCommand;
use shop::{
    payments::{
        effects::{AUTHORISE, Authorise, CAPTURE, Payments, REFUND, Refund, VOID},
        gateway::{Answer, HttpGateway},
    },
    simulated_gateway::{SimulatedGatewayConfig, serve},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[path = "../../tests/src/silence.rs"]
#[allow(dead_code, reason = "other tests need the rest of it")]
mod silence;

use silence::silent_peer;

struct Simulated {
    url: String,
    stop: CancellationToken,
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn simulated(config: SimulatedGatewayConfig) -> Simulated {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (url, stop) = (format!("http://{}", listener.local_addr().expect("an address")), CancellationToken::new());
    tokio::spawn(serve(listener, config, stop.clone()));
    Simulated { url, stop }
}

fn quick() -> SimulatedGatewayConfig {
    SimulatedGatewayConfig { slow: Duration::from_millis(100), books: None }
}

fn client(url: &str) -> Payments {
    Payments { gateway: Arc::new(HttpGateway::new(url).expect("an address")) }
}

fn payment(name: &str) -> PaymentId {
    PaymentId::for_order(OrderId::derive("test", name))
}

fn pounds(pounds: i64) -> Money {
    Money::new(pounds * 100, "GBP".parse().expect("a currency")).expect("an amount")
}

async fn operations(url: &str) -> BTreeMap<String, u64> {
    // An HTTP client needs rustls's provider chosen in the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::get(format!("{url}/operations")).await.expect("an answer").json().await.expect("JSON")
}

fn authorise(name: &str, amount: Money, method: &str) -> Effect {
    Effect::new(AUTHORISE, payment(name).0).with(&Authorise { amount, method: method.to_owned() })
}

fn capture(name: &str) -> Effect {
    Effect::new(CAPTURE, payment(name).0)
}

fn refund(name: &str, id: &str, amount: Money) -> Effect {
    let question = PaymentCommand::MayRefund { refund_id: id.to_owned() };
    let payload = Refund { refund_id: id.to_owned(), amount };
    Effect::new(REFUND, payment(name).0).with(&payload).while_allowed::<Payment>(&question)
}

fn records(name: &str, command: &PaymentCommand) -> Option<AnyCommand> {
    Some(AnyCommand::to::<Payment>(payment(name).0, command))
}

fn approved(name: &str) -> Outcome {
    let reference = format!("sim-{}", payment(name));
    Outcome::Done(records(name, &PaymentCommand::RecordAuthorisation { reference }))
}

fn declined(name: &str, reason: &str) -> Outcome {
    Outcome::Refused(records(name, &PaymentCommand::RecordDecline { reason: reason.to_owned() }))
}

fn captured(name: &str) -> Outcome {
    Outcome::Done(records(name, &PaymentCommand::RecordCapture))
}

fn fault(outcome: &Outcome) -> Option<Fault> {
    if let Outcome::NotNow(NotNow { fault, .. }) = outcome { Some(*fault) } else { None }
}

#[tokio::test]
async fn approves_declines_and_knows_no_other_methods() {
    let simulated = simulated(quick()).await;
    let gateway = client(&simulated.url);
    assert_eq!(gateway.perform(&authorise("a", pounds(1), "card")).await, approved("a"));
    assert_eq!(gateway.perform(&authorise("b", pounds(1), "card-declined")).await, declined("b", "insufficient-funds"));
    assert_eq!(gateway.perform(&authorise("c", pounds(1), "shells")).await, declined("c", "unknown-method"));
    assert_eq!(gateway.perform(&authorise("d", pounds(1), "card-slow")).await, approved("d"));
}

#[tokio::test]
async fn what_fails_is_asked_again_and_done_once() {
    let simulated = simulated(quick()).await;
    let gateway = client(&simulated.url);
    let effect = authorise("f", pounds(1), "card-flaky");
    for _ in 0..2 {
        assert_eq!(fault(&gateway.perform(&effect).await), Some(Fault::Unclear));
    }
    assert_eq!(gateway.perform(&effect).await, approved("f"));
    for _ in 0..2 {
        assert_eq!(gateway.perform(&capture("f")).await, captured("f"), "captured again changes nothing");
    }
    let done = operations(&simulated.url).await;
    assert_eq!((done["authorise"], done["capture"]), (1, 1));
}

#[tokio::test]
async fn a_void_that_comes_first_keeps_the_hold_from_being_made() {
    let simulated = simulated(quick()).await;
    let gateway = client(&simulated.url);
    assert_eq!(gateway.perform(&Effect::new(VOID, payment("v").0)).await, Outcome::Done(None));
    assert_eq!(gateway.perform(&authorise("v", pounds(1), "card")).await, declined("v", "voided"));
    assert_eq!(fault(&gateway.perform(&capture("v")).await), Some(Fault::Effect), "what may not be taken is never refused for good");
}

#[tokio::test]
async fn refunds_are_bounded_and_done_once() {
    let simulated = simulated(quick()).await;
    let gateway = client(&simulated.url);
    gateway.perform(&authorise("r", pounds(3), "card")).await;
    gateway.perform(&capture("r")).await;
    let settled = Outcome::Done(records("r", &PaymentCommand::RecordRefund { refund_id: "one".into() }));
    for _ in 0..2 {
        assert_eq!(gateway.perform(&refund("r", "one", pounds(2))).await, settled);
    }
    let more = refund("r", "two", pounds(2));
    assert_eq!(fault(&gateway.perform(&more).await), Some(Fault::Effect), "more than was captured");
    let given_up = records("r", &PaymentCommand::RecordRefundFailure { refund_id: "two".into(), reason: "no".into() });
    assert_eq!(gateway.give_up(&more, "no"), given_up);
    assert_eq!(operations(&simulated.url).await["refund"], 1);
}

#[tokio::test]
async fn books_survive_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = SimulatedGatewayConfig { books: Some(directory.path().join("books.jsonl")), ..quick() };
    let before = simulated(config.clone()).await;
    client(&before.url).perform(&authorise("s", pounds(1), "card")).await;
    drop(before);
    let after = simulated(config).await;
    assert_eq!(client(&after.url).perform(&capture("s")).await, captured("s"), "the hold is remembered");
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_no_fault_of_the_payment() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", nobody.local_addr().expect("an address"));
    drop(nobody);
    assert_eq!(fault(&client(&url).perform(&capture("n")).await), Some(Fault::Destination));
    for wrong in ["somewhere", "localhost:9300", "file:///gateway"] {
        assert!(HttpGateway::new(wrong).is_err_and(|error| error.to_string().contains("DAYBOOK_GATEWAY_URL must be")), "{wrong}");
    }
}

#[tokio::test]
async fn a_gateway_that_falls_silent_is_waited_for_within_a_bound_at_every_stage() {
    let stages = ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{\"a\":"];
    for first in stages {
        let url = format!("http://{}", silent_peer(first).await);
        let gateway = HttpGateway::answering_within(&url, Duration::from_millis(300)).expect("an address");
        let answer = tokio::time::timeout(Duration::from_secs(5), gateway.capture(payment("silent"))).await;
        assert!(matches!(&answer, Ok(Answer::Failed(NotNow { fault: Fault::Unclear, .. }))), "{first:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_gateway_is_shown_the_token() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a caller");
        let (mut heard, mut part) = (String::new(), [0; 1024]);
        while !heard.contains("\r\n\r\n") {
            let read = stream.read(&mut part).await.expect("a request");
            heard.push_str(&String::from_utf8_lossy(&part[..read]));
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.expect("it listens");
        heard
    });
    let gateway = HttpGateway::new(&url).expect("an address").with_token(Some("t0ken"));
    assert!(matches!(gateway.capture(payment("token")).await, Answer::Done(_)));
    let heard = heard.await.expect("it listened").to_ascii_lowercase();
    assert!(heard.contains("authorization: bearer t0ken\r\n"), "{heard}");
}
