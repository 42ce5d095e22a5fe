//! `saga`: an order from placed to confirmed while nothing else happens, against its appends one after another.

use crate::{
    bare::consumer,
    figure::{Aim, Figure, Measure, Pair, Sample, Set},
    http::{Http, post},
    load::{Call, sample},
    ours::Ours,
    process::Server,
    stage::Stage,
};
use anyhow::{Context, Result};
use event_store::kafka::topic_of;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::Consumer,
    message::{BorrowedMessage, Headers},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Placed, stock reserved, line and order reserved (one command), payment requested, payment authorised, confirmed.
const APPENDS: u64 = 6;
const PARTITIONS: i32 = 4;

/// Hears of confirmed orders from the log itself, with the moment.
fn confirmations(brokers: &str) -> Result<mpsc::UnboundedReceiver<(String, Instant)>> {
    let consumer = consumer(brokers)?;
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        // Asked for now: `Offset::End` would be the end at the first fetch, behind the first orders.
        let (_, end) = consumer.fetch_watermarks(&topic_of("orders"), partition, Duration::from_secs(10))?;
        list.add_partition_offset(&topic_of("orders"), partition, Offset::Offset(end))?;
    }
    consumer.assign(&list)?;
    let (to, heard) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while !to.is_closed() {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100))
                && let Some(order) = confirmed(&message)
            {
                let _ = to.send((order, Instant::now()));
            }
        }
    });
    Ok(heard)
}

fn confirmed(message: &BorrowedMessage<'_>) -> Option<String> {
    let is_it =
        message.headers()?.iter().any(|header| header.key == "ce_type" && header.value == Some(&b"daybook.order.OrderConfirmed"[..]));
    is_it.then(|| message.key().map(|key| String::from_utf8_lossy(key).into_owned()))?
}

/// A shop with a user and a product that is never sold out.
struct Shop {
    http: Http,
    order: String,
}

impl Shop {
    async fn open(server: &Server) -> Result<Self> {
        let http = Http::new(server.address, 201, |_| String::new());
        let key = || uuid::Uuid::new_v4().to_string();
        let id = |answer: Vec<u8>| anyhow::Ok(serde_json::from_slice::<Value>(&answer)?["id"].as_str().context("no id")?.to_owned());
        let user = id(http.ask_patiently(&post("/users", &key(), crate::get::USER)).await?)?;
        let product = json!({"sku": "85123A", "name": "Heart", "price": {"amount": 295, "currency": "GBP"}}).to_string();
        let product = id(http.ask_patiently(&post("/products", &key(), &product)).await?)?;
        let receipt = json!({"quantity": 1_000_000}).to_string();
        let done = Http::new(server.address, 200, |_| String::new());
        done.ask_patiently(&post(&format!("/products/{product}/stock-receipts"), &key(), &receipt)).await?;
        let order = json!({"user_id": user, "lines": [{"product_id": product, "quantity": 1}], "payment": {"method": "card"}}).to_string();
        Ok(Self { http, order })
    }

    /// Places an order, and waits until its confirmation is heard of. From the moment at which the POST is sent.
    async fn order(&self, heard: &mut mpsc::UnboundedReceiver<(String, Instant)>) -> Result<Duration> {
        let began = Instant::now();
        let answer = self.http.ask(&post("/orders", &uuid::Uuid::new_v4().to_string(), &self.order)).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let id = answer["id"].as_str().context("no id")?;
        loop {
            let next = tokio::time::timeout(Duration::from_secs(30), heard.recv()).await.context("an order is not confirmed")?;
            let (order, at) = next.context("the consumer has stopped")?;
            if order == id {
                return Ok(at - began);
            }
        }
    }
}

/// Orders one after another, with a pause in which all that follows them settles.
async fn orders(shop: &Shop, heard: &mut mpsc::UnboundedReceiver<(String, Instant)>, count: usize) -> Result<Sample> {
    let mut latencies = Vec::new();
    let began = Instant::now();
    for _ in 0..count {
        latencies.push(shop.order(heard).await?.as_nanos() as u64);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    sample(latencies, began.elapsed(), 0.0)
}

/// As many appends one after another as an order takes to be confirmed.
async fn appends(ours: &Ours, count: usize) -> Result<Sample> {
    let mut latencies = Vec::new();
    let began = Instant::now();
    for _ in 0..count {
        let chain = Instant::now();
        for number in 0..APPENDS {
            ours.call(number).await?;
        }
        latencies.push(chain.elapsed().as_nanos() as u64);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sample(latencies, began.elapsed(), 0.0)
}

/// `saga`.
pub async fn measure(stage: &Stage) -> Result<Set> {
    let mut set = stage.set("saga");
    let postgres = stage.postgres.as_ref().context("DAYBOOK_POSTGRES is not set: ./bench sets it")?;
    let server = Server::daybook(stage, &["--postgres", postgres]).await?;
    let (shop, mut heard) = (Shop::open(&server).await?, confirmations(&stage.config.brokers)?);
    let ours = Ours::on_kafka(stage, "saga").await?;
    set.figures = vec![Figure::new(
        "an order from its POST to its confirmation",
        "its 6 appends one after another, in process",
        Measure::P50,
        Aim::AtMost(2.0),
    )];
    let count = if stage.short { 10 } else { 30 };
    orders(&shop, &mut heard, count).await?;
    appends(&ours, count).await?;
    for _ in 0..stage.runs {
        let pair = Pair { ours: orders(&shop, &mut heard, count).await?, peer: appends(&ours, count).await? };
        set.figures[0].runs.push(pair);
    }
    ours.stop().await;
    set.notes.push("All services in one process, views in PostgreSQL, the simulated gateway; the rates mean nothing, since both sides pause between orders".into());
    Ok(set)
}
