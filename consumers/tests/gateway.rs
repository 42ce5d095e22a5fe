//! The gateway's client against the simulated gateway, over a real socket: it declines, delays, fails and forgets.

use consumers::{
    gateway::{Gateway, GatewayConfig, GatewayError, HttpGateway},
    simulated_gateway::{SimulatedGatewayConfig, serve},
};
use domain::{Money, OrderId, PaymentId};
use std::{collections::BTreeMap, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

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

fn client(url: &str) -> HttpGateway {
    HttpGateway::new(GatewayConfig { timeout: Duration::from_millis(400), ..GatewayConfig::new(url) }).expect("a client")
}

fn payment(name: &str) -> PaymentId {
    PaymentId::for_order(OrderId::derive("test", name))
}

fn pounds(pounds: i64) -> Money {
    Money::new(pounds * 100, "GBP".parse().expect("a currency")).expect("an amount")
}

async fn operations(url: &str) -> BTreeMap<String, u64> {
    reqwest::get(format!("{url}/operations")).await.expect("an answer").json().await.expect("JSON")
}

#[tokio::test]
async fn approves_declines_and_knows_no_other_methods() {
    let simulated = simulated(quick()).await;
    let gateway = client(&simulated.url);
    assert!(gateway.authorise(payment("a"), &pounds(1), "card").await.expect("an answer").is_ok());
    assert_eq!(gateway.authorise(payment("b"), &pounds(1), "card-declined").await.expect("an answer"), Err("insufficient-funds".into()));
    assert_eq!(gateway.authorise(payment("c"), &pounds(1), "shells").await.expect("an answer"), Err("unknown-method".into()));
    assert!(gateway.authorise(payment("d"), &pounds(1), "card-slow").await.expect("an answer").is_ok());
}

#[tokio::test]
async fn what_fails_or_is_forgotten_is_asked_again_and_done_once() {
    let simulated = simulated(quick()).await;
    let gateway = client(&simulated.url);
    for method in ["card-flaky", "card-forgetful"] {
        assert!(gateway.authorise(payment(method), &pounds(1), method).await.expect("an answer").is_ok(), "{method}");
        gateway.capture(payment(method)).await.expect("captured");
        gateway.capture(payment(method)).await.expect("captured again changes nothing");
    }
    let done = operations(&simulated.url).await;
    assert_eq!((done["authorise"], done["capture"]), (2, 2));
}

#[tokio::test]
async fn a_void_that_comes_first_keeps_the_hold_from_being_made() {
    let simulated = simulated(quick()).await;
    let gateway = client(&simulated.url);
    gateway.void(payment("v")).await.expect("voided");
    assert_eq!(gateway.authorise(payment("v"), &pounds(1), "card").await.expect("an answer"), Err("voided".into()));
    assert!(gateway.capture(payment("v")).await.is_err());
}

#[tokio::test]
async fn refunds_are_bounded_and_done_once() {
    let simulated = simulated(quick()).await;
    let gateway = client(&simulated.url);
    gateway.authorise(payment("r"), &pounds(3), "card").await.expect("an answer").expect("approved");
    gateway.capture(payment("r")).await.expect("captured");
    for _ in 0..2 {
        gateway.refund(payment("r"), "one", &pounds(2)).await.expect("refunded");
    }
    assert!(gateway.refund(payment("r"), "two", &pounds(2)).await.is_err(), "more than was captured");
    assert_eq!(operations(&simulated.url).await["refund"], 1);
}

#[tokio::test]
async fn books_survive_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = SimulatedGatewayConfig { books: Some(directory.path().join("books.jsonl")), ..quick() };
    let before = simulated(config.clone()).await;
    client(&before.url).authorise(payment("s"), &pounds(1), "card").await.expect("an answer").expect("approved");
    drop(before);
    let after = simulated(config).await;
    client(&after.url).capture(payment("s")).await.expect("the hold is remembered");
}

#[tokio::test]
async fn a_gateway_that_keeps_failing_is_left_alone_and_tried_again() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = nobody.local_addr().expect("an address");
    drop(nobody);
    let config = GatewayConfig {
        failures: 2,
        retries: 0,
        leave_alone: (Duration::from_secs(1), Duration::from_secs(1)),
        ..GatewayConfig::new(&format!("http://{address}"))
    };
    let gateway = HttpGateway::new(config).expect("a client");
    for _ in 0..2 {
        assert!(matches!(gateway.void(payment("n")).await, Err(GatewayError::Failed(_))));
    }
    assert_eq!(gateway.void(payment("n")).await, Err(GatewayError::LeftAlone));
    let stop = CancellationToken::new();
    tokio::spawn(serve(TcpListener::bind(address).await.expect("the port is free"), quick(), stop.clone()));
    let recovered = async {
        while gateway.void(payment("n")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), recovered).await.expect("it is tried again");
    stop.cancel();
}
