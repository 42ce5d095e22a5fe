//! An outside system that fails holds up nothing else: a gateway that refuses, a recipient that takes no mail, restarts in between.

use super::shop::Shop;
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
};
use system_tests::{
    process::{Client, Daybook, eventually, free_port, required},
    smtp::MailServer,
};

/// A simulated gateway as a process of its own. It ends with the test.
pub struct Gateway {
    child: Child,
    client: Client,
}

impl Gateway {
    pub async fn start(port: u16) -> Option<Self> {
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(required("DAYBOOK_PROGRAM")?);
        let child = command.args(["gateway", "--http", &address]).stdout(Stdio::null()).spawn().expect("it starts");
        let gateway = Self { child, client: Client::new(&format!("http://{address}")) };
        eventually("the gateway answers", async || gateway.client.get("/operations").await).await;
        Some(gateway)
    }

    async fn done(&self, operation: &str) -> u64 {
        let (_, operations) = self.client.get("/operations").await.expect("an answer");
        operations[operation].as_u64().unwrap_or(0)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const IMPATIENT: [(&str, &str); 2] = [("DAYBOOK_EFFECT_ATTEMPTS", "3"), ("DAYBOOK_EFFECT_LONGEST_PAUSE", "1")];

async fn start(directory: &Path, port: u16, settings: &[(&str, &str)]) -> Option<Daybook> {
    eventually("the log's port is free", async || std::net::TcpListener::bind(("127.0.0.1", port)).ok().map(drop)).await;
    Daybook::embedded_with(&required("DAYBOOK_PROGRAM")?, directory, port, settings).await
}

async fn payment_of(shop: &Shop, order: &str, status: &str) -> Value {
    eventually(&format!("the payment of {order} is {status}"), async || {
        let (_, found) = shop.client.get(&format!("/payments?order_id={order}")).await?;
        let payment = found["items"].get(0)?.clone();
        (payment["status"] == status).then_some(payment)
    })
    .await
}

async fn letters(client: &Client) -> Vec<Value> {
    let (_, found) = client.get("/dead-letters").await.expect("an answer");
    found["items"].as_array().cloned().unwrap_or_default()
}

async fn status_of(client: &Client, path: &str) -> u16 {
    client.post(path, None, json!({})).await.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_order_needs_no_gateway_and_stops_no_other() {
    let directory = tempfile::tempdir().expect("a directory");
    // Nobody listens there.
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let port = free_port();
    let Some(daybook) = start(directory.path(), port, &[("DAYBOOK_GATEWAY_URL", &nowhere)]).await else { return };
    let shop = Shop::open(daybook.client(), "free", 100).await;
    let price = json!({"amount": 0, "currency": "GBP"});
    let gift = shop.client.must("/products", "gift", json!({"sku": "gift", "name": "Gift", "price": price})).await;
    let gift = Shop { product: gift["id"].as_str().expect("an id").to_owned(), user: shop.user.clone(), client: daybook.client() };
    gift.client.must(&format!("/products/{}/stock-receipts", gift.product), "gifts", json!({"quantity": 50})).await;
    for number in 0..20 {
        let order = gift.order(&format!("gift-{number}"), 1, "card").await;
        gift.ended(&order, "confirmed").await;
        payment_of(&gift, &order, "captured").await;
    }
    assert!(daybook.terminate(), "it ends in good order");
    let Some(daybook) = start(directory.path(), port, &[]).await else { return };
    let shop = Shop { client: daybook.client(), ..shop };
    for number in 0..40 {
        let order = shop.order(&format!("paid-{number}"), 1, "card").await;
        shop.ended(&order, "confirmed").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_refuses_one_payment_for_ever_stops_that_payment_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let gateway_port = free_port();
    let Some(gateway) = Gateway::start(gateway_port).await else { return };
    let url = format!("http://127.0.0.1:{gateway_port}");
    let settings = [IMPATIENT[0], IMPATIENT[1], ("DAYBOOK_GATEWAY_URL", url.as_str())];
    let Some(daybook) = start(directory.path(), free_port(), &settings).await else { return };
    let shop = Shop::open(daybook.client(), "stuck", 1000).await;
    let mut stuck = Vec::new();
    // More refusals than the breaker bears of silence.
    let methods = ["card-stuck-404"; 12].into_iter().chain(["card-stuck-402", "card-stuck-500", "card-stuck-silent"]);
    for (number, method) in methods.enumerate() {
        let order = shop.order(&format!("{method}-{number}"), 1, method).await;
        shop.ended(&order, "confirmed").await;
        stuck.push(order);
    }
    for number in 0..200 {
        let order = shop.order(&number.to_string(), 1, "card").await;
        shop.ended(&order, "confirmed").await;
    }
    for order in &stuck {
        payment_of(&shop, order, "capture-failed").await;
    }
    let found = eventually("the captures stand among the dead letters", async || {
        let found = letters(&shop.client).await;
        (found.len() == stuck.len()).then_some(found)
    })
    .await;
    assert!(found.iter().all(|boxed| boxed["letter"]["reader"] == "capture-payment" && boxed["letter"]["reason"] != ""), "{found:?}");
    assert_eq!(status_of(&gateway.client, "/mended").await, 200);
    for (number, boxed) in found.iter().enumerate() {
        let (letter, payment) = (boxed["letter"]["id"].as_str().expect("an id"), boxed["letter"]["aggregate_id"].as_str().expect("an id"));
        let path = format!("/dead-letters/payments/capture-payment/{payment}");
        if number == 0 {
            assert_eq!(status_of(&shop.client, &format!("{path}/drop")).await, 400, "a drop names its letter");
            assert_eq!(status_of(&shop.client, &format!("{path}/drop?letter={letter}")).await, 200);
            assert_eq!(status_of(&shop.client, &format!("{path}/drop?letter={letter}")).await, 404, "said again it takes no other");
        } else {
            assert_eq!(status_of(&shop.client, &format!("{path}/redrive")).await, 200);
            eventually("it is captured", async || {
                let (_, payment) = shop.client.get(&format!("/payments/{payment}")).await?;
                (payment["status"] == "captured").then_some(())
            })
            .await;
        }
    }
    assert!(letters(&shop.client).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_booked_once_it_is_paid() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(daybook) = start(directory.path(), free_port(), &IMPATIENT).await else { return };
    let shop = Shop::open(daybook.client(), "refunds", 10).await;
    let order = shop.order("one", 2, "card").await;
    let payment = payment_of(&shop, &order, "captured").await;
    let path = format!("/payments/{}/refunds", payment["payment_id"].as_str().expect("an id"));
    shop.client.must(&path, "a-part", json!({"amount": {"amount": 90, "currency": "GBP"}})).await;
    let refunded = payment_of(&shop, &order, "partially-refunded").await;
    assert_eq!(refunded["refunded"]["amount"], 90);
    let too_much = shop.client.post(&path, None, json!({"amount": {"amount": 501, "currency": "GBP"}})).await;
    assert_eq!(too_much.status(), 422);
    let told = eventually("the customer is told", async || {
        let (_, found) = shop.client.get(&format!("/notifications?user_id={}", shop.user)).await?;
        let items = found["items"].as_array()?.clone();
        items.iter().any(|told| told["kind"] == "refund-settled").then_some(items)
    })
    .await;
    assert!(told.iter().any(|told| told["body"].as_str().is_some_and(|body| body.contains("£0.90"))), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_was_away_past_a_deadline_is_not_asked_for_what_has_expired() {
    let directory = tempfile::tempdir().expect("a directory");
    let gateway_port = free_port();
    let url = format!("http://127.0.0.1:{gateway_port}");
    let settings = [("DAYBOOK_GATEWAY_URL", url.as_str()), ("DAYBOOK_ORDER_DEADLINE", "2"), IMPATIENT[1]];
    let Some(daybook) = start(directory.path(), free_port(), &settings).await else { return };
    let shop = Shop::open(daybook.client(), "away", 10).await;
    let order = shop.order("late", 1, "card").await;
    shop.ended(&order, "expired").await;
    let Some(gateway) = Gateway::start(gateway_port).await else { return };
    eventually("the hold is lifted", async || (gateway.done("void").await == 1).then_some(())).await;
    assert_eq!(gateway.done("authorise").await, 0);
}

/// All mails of the shop's confirmed orders were taken.
async fn mailed(server: &MailServer, count: usize) {
    eventually(&format!("{count} mails are out"), async || (server.taken().len() == count).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_go_out_once_whatever_is_restarted_or_made_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = MailServer::start().await;
    let (port, settings) = (free_port(), [("DAYBOOK_SMTP_URL", server.url.as_str())]);
    let Some(mut daybook) = start(directory.path(), port, &settings).await else { return };
    let mut shop = Shop::open(daybook.client(), "mails", 1000).await;
    let mut orders = 0;
    for round in 0..3 {
        for number in 0..20 {
            shop.order(&format!("{round}/{number}"), 1, "card").await;
            orders += 1;
        }
        assert!(daybook.terminate(), "it ends in good order, while the saga runs");
        daybook = start(directory.path(), port, &settings).await.expect("it was there before");
        shop = Shop { client: daybook.client(), ..shop };
    }
    mailed(&server, orders).await;
    assert!(server.taken().values().all(|count| *count == 1), "a restart in good order repeats none");
    assert!(daybook.terminate());
    std::fs::remove_dir_all(directory.path().join("views")).expect("the databases are there");
    let daybook = start(directory.path(), port, &settings).await.expect("it was there before");
    let shop = Shop { client: daybook.client(), ..shop };
    let last = shop.order("after", 1, "card").await;
    shop.ended(&last, "confirmed").await;
    mailed(&server, orders + 1).await;
    assert!(server.taken().values().all(|count| *count == 1), "databases that are made anew send nothing again");
    for number in 0..20 {
        shop.order(&format!("cut/{number}"), 1, "card").await;
    }
    daybook.kill();
    let daybook = start(directory.path(), port, &settings).await.expect("it was there before");
    mailed(&server, orders + 21).await;
    let repeated: usize = server.taken().values().map(|count| count - 1).sum();
    assert!(repeated <= 20, "a crash repeats only what was in flight: {repeated}");
    drop(daybook);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_recipient_stops_no_other_and_a_rotated_password_fails_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = MailServer::start().await;
    server.refuse("stuck@", "451 come back later");
    let settings = [IMPATIENT[0], IMPATIENT[1], ("DAYBOOK_SMTP_URL", server.url.as_str())];
    let Some(daybook) = start(directory.path(), free_port(), &settings).await else { return };
    let stuck = Shop::open(daybook.client(), "stuck", 10).await;
    let fine = Shop::open(daybook.client(), "fine", 100).await;
    let order = stuck.order("one", 1, "card").await;
    stuck.ended(&order, "confirmed").await;
    for number in 0..20 {
        fine.order(&number.to_string(), 1, "card").await;
    }
    mailed(&server, 20).await;
    eventually("the mail that nobody takes is a dead letter", async || (letters(&fine.client).await.len() == 1).then_some(())).await;
    server.close(Some("535 authentication failed"));
    fine.order("delayed", 1, "card").await;
    let told = async |status: &str| {
        let (_, found) = fine.client.get(&format!("/notifications?user_id={}", fine.user)).await.expect("an answer");
        found["items"].as_array().expect("a list").iter().filter(|told| told["status"] == status).count()
    };
    eventually("it waits", async || (told("requested").await == 1).then_some(())).await;
    // Longer than its attempts would last if they were counted.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert_eq!((told("failed").await, letters(&fine.client).await.len()), (0, 1));
    server.close(None);
    mailed(&server, 21).await;
}
