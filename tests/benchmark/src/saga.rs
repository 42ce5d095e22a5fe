//! `saga`: an order from placed to confirmed, alone and at half load, against its appends one after another.

use crate::{
    bare::consumer,
    figure::{Aim, Figure, Measure, Pair, Sample, Set},
    http::{Http, get, post},
    load::{Call, paced, sample},
    ours::Ours,
    process::Server,
    stage::Stage,
};
use anyhow::{Context, Result, bail};
use event_store::kafka::topic_of;
use parking_lot::Mutex;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::{BorrowedMessage, Headers},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Placed, vouched for, accepted, stock reserved, line and order reserved (one command), payment requested, payment authorised, confirmed.
const APPENDS: u64 = 8;
const PARTITIONS: i32 = 4;
/// How many products the orders are for, in turn: with a single product one aggregate would take all reservations.
const PRODUCTS: usize = 64;
/// Customers who together order as fast as the system can do; half load is half of that.
const CUSTOMERS: u64 = 64;
/// How many such full loads run first and are not counted.
const WARM: usize = 4;
/// After this time the work that follows orders is done, above all views and notifications.
const SETTLED: Duration = Duration::from_secs(3);

/// After this time the work that follows one order is done.
const PAUSE: Duration = Duration::from_millis(150);

/// A caller that waits for an order's confirmation, or a confirmation that came before its caller.
enum Heard {
    Awaited(oneshot::Sender<Instant>),
    At(Instant),
}

/// Hears of confirmed orders from the log itself, with the moment.
#[derive(Default)]
struct Confirmations(Mutex<HashMap<String, Heard>>);

impl Confirmations {
    fn listen(brokers: &str) -> Result<Arc<Self>> {
        let consumer = consumer(brokers)?;
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            // The end of now: `Offset::End` would be the end at the first fetch, which may lie behind the first orders.
            let (_, end) = consumer.fetch_watermarks(&topic_of("orders"), partition, Duration::from_secs(10))?;
            list.add_partition_offset(&topic_of("orders"), partition, Offset::Offset(end))?;
        }
        consumer.assign(&list)?;
        let this = Arc::new(Self::default());
        let heard_by = Arc::downgrade(&this);
        std::thread::spawn(move || Self::hear(&consumer, &heard_by));
        Ok(this)
    }

    /// Reads confirmations until the last reference to them is dropped.
    fn hear(consumer: &BaseConsumer, heard_by: &Weak<Self>) {
        while let Some(this) = heard_by.upgrade() {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100))
                && let Some(order) = confirmed(&message)
            {
                this.tell(order, Instant::now());
            }
        }
    }

    fn tell(&self, order: String, at: Instant) {
        let mut all = self.0.lock();
        match all.remove(&order) {
            Some(Heard::Awaited(waiting)) => drop(waiting.send(at)),
            Some(Heard::At(_)) | None => drop(all.insert(order, Heard::At(at))),
        }
    }

    /// When this order was confirmed.
    async fn of(&self, order: &str) -> Result<Instant> {
        let (waiting, heard) = oneshot::channel();
        {
            let mut all = self.0.lock();
            if let Some(Heard::At(at)) = all.insert(order.to_owned(), Heard::Awaited(waiting)) {
                all.remove(order);
                return Ok(at);
            }
        }
        tokio::time::timeout(Duration::from_secs(30), heard).await.context("an order is not confirmed")?.context("the consumer has stopped")
    }
}

fn confirmed(message: &BorrowedMessage<'_>) -> Option<String> {
    let is_it =
        message.headers()?.iter().any(|header| header.key == "ce_type" && header.value == Some(&b"daybook.order.OrderConfirmed"[..]));
    is_it.then(|| message.key().map(|key| String::from_utf8_lossy(key).into_owned()))?
}

/// A shop with a user, and products that are never sold out.
struct Shop {
    http: Http,
    reads: Http,
    orders: Vec<String>,
    confirmations: Arc<Confirmations>,
}

impl Shop {
    async fn open(server: &Server, brokers: &str) -> Result<Self> {
        let http = Http::new(server.address, 201, |_| String::new());
        let key = || uuid::Uuid::new_v4().to_string();
        let id = |answer: Vec<u8>| anyhow::Ok(serde_json::from_slice::<Value>(&answer)?["id"].as_str().context("no id")?.to_owned());
        let user = id(http.ask_patiently(&post("/users", &key(), &crate::get::user())).await?)?;
        let done = Http::new(server.address, 200, |_| String::new());
        let mut orders = Vec::new();
        for number in 0..PRODUCTS {
            let product = json!({"sku": format!("{}-{number}", key()), "name": "Heart", "price": {"amount": 295, "currency": "GBP"}});
            let product = id(http.ask_patiently(&post("/products", &key(), &product.to_string())).await?)?;
            let receipt = json!({"quantity": 1_000_000}).to_string();
            done.ask_patiently(&post(&format!("/products/{product}/stock-receipts"), &key(), &receipt)).await?;
            let lines = json!([{"product_id": product, "quantity": 1}]);
            orders.push(json!({"user_id": user, "lines": lines, "payment": {"method": "card"}}).to_string());
        }
        Ok(Self { http, reads: done, orders, confirmations: Confirmations::listen(brokers)? })
    }

    /// Places an order, and waits until its confirmation is heard of. Answers its id, and the time from the moment at which the POST is sent.
    async fn order(&self, number: u64) -> Result<(String, Duration)> {
        let (began, order) = (Instant::now(), &self.orders[number as usize % PRODUCTS]);
        let answer = self.http.ask(&post("/orders", &uuid::Uuid::new_v4().to_string(), order)).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let id = answer["id"].as_str().context("no id")?.to_owned();
        let took = self.confirmations.of(&id).await? - began;
        Ok((id, took))
    }

    /// Places an order whose payment is authorised, but never captured.
    async fn stuck(&self) -> Result<()> {
        let order = self.orders[0].replace("\"card\"", "\"card-stuck-500\"");
        self.http.ask(&post("/orders", &uuid::Uuid::new_v4().to_string(), &order)).await.map(drop)
    }

    /// Waits until an order's money and goods have moved, its customer is to hear of it, and the views show all of that.
    async fn settled(&self, order: &str) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            // 404 until the view knows of the order.
            let timeline = self.reads.ask(&get(&format!("/orders/{order}/timeline"))).await.unwrap_or_default();
            let timeline = String::from_utf8_lossy(&timeline);
            if ["PaymentCaptured", "StockShipped", "NotificationRequested"].iter().all(|last| timeline.contains(last)) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("an order is not settled")
    }
}

async fn customer(shop: Arc<Shop>, first: u64, orders: u64) -> Result<()> {
    let mut last = None;
    for number in first..first + orders {
        last = Some(shop.order(number).await?.0);
    }
    shop.settled(&last.context("a customer orders something")?).await
}

/// How many orders a second the system takes with all that follows them: customers order again when an order is confirmed, and the time
/// ends when the last orders are settled. If only confirmations counted, work that is put off would seem to be done.
async fn capacity(shop: &Arc<Shop>, orders: u64) -> Result<f64> {
    let began = Instant::now();
    let customers: Vec<_> = (0..CUSTOMERS).map(|number| tokio::spawn(customer(shop.clone(), number * orders, orders))).collect();
    for customer in customers {
        customer.await??;
    }
    Ok((CUSTOMERS * orders) as f64 / began.elapsed().as_secs_f64())
}

impl Call for Shop {
    async fn call(&self, number: u64) -> Result<()> {
        self.order(number).await.map(drop)
    }
}

/// Runs one after another, each after the same pause, in which the work that follows an order ends. Both sides pause, since a machine is
/// slower after a pause.
async fn rested(count: u64, one: impl AsyncFn(u64) -> Result<Duration>) -> Result<Sample> {
    let mut latencies = Vec::new();
    let began = Instant::now();
    for number in 0..count {
        latencies.push(one(number).await?.as_nanos() as u64);
        tokio::time::sleep(PAUSE).await;
    }
    sample(latencies, began.elapsed(), 0.0)
}

async fn orders(shop: &Shop, count: u64) -> Result<Sample> {
    rested(count, async |number| Ok(shop.order(number).await?.1)).await
}

/// As many appends one after another as an order takes to be confirmed.
struct Chain(Ours);

impl Call for Chain {
    async fn call(&self, _: u64) -> Result<()> {
        for number in 0..APPENDS {
            self.0.call(number).await?;
        }
        Ok(())
    }
}

async fn chains(chain: &Chain, count: u64) -> Result<Sample> {
    let timed = async |number| {
        let began = Instant::now();
        chain.call(number).await?;
        Ok(began.elapsed())
    };
    rested(count, timed).await
}

/// `saga`.
pub async fn measure(stage: &Stage) -> Result<Set> {
    let mut set = stage.set("saga");
    let postgres = stage.postgres.as_ref().context("DAYBOOK_POSTGRES is not set: ./bench sets it")?;
    let server = Server::daybook(stage, &["--postgres", postgres]).await?;
    let shop = Arc::new(Shop::open(&server, &stage.config.brokers).await?);
    let chain = Arc::new(Chain(Ours::on_kafka(stage, "saga").await?));
    let figure = |when| {
        let what = format!("an order from its POST to its confirmation, {when}");
        Figure::new(what, "its 8 appends one after another, in process", Measure::P50, Aim::AtMost(2.0))
    };
    set.figures = ["alone", "at half load"].map(figure).into();
    let what = "an order at half load, while the gateway refuses a payment for ever".to_owned();
    set.figures.push(Figure::new(what, "the same before there was such a payment", Measure::P99, Aim::AtMost(1.5)));
    let (count, each) = if stage.short { (10, 3) } else { (30, 15) };
    // A broker that has just started still compiles its code while it serves.
    for _ in 0..WARM {
        capacity(&shop, each).await?;
    }
    orders(&shop, count).await?;
    chains(&chain, count).await?;
    for _ in 0..stage.runs {
        let pair = Pair { ours: orders(&shop, count).await?, peer: chains(&chain, count).await? };
        set.figures[0].runs.push(pair);
        let half = capacity(&shop, each).await? / 2.0;
        tokio::time::sleep(SETTLED).await;
        let ours = paced(half, stage.span(), &shop).await?;
        tokio::time::sleep(SETTLED).await;
        set.figures[1].runs.push(Pair { ours, peer: paced(half, stage.span(), &chain).await? });
    }
    // Last, since this work does not end: the reactors try each of these payments again until its attempts are used up.
    for run in 0..stage.runs {
        shop.stuck().await?;
        let half = capacity(&shop, each).await? / 2.0;
        tokio::time::sleep(SETTLED).await;
        let (ours, peer) = (paced(half, stage.span(), &shop).await?, set.figures[1].runs[run].ours);
        set.figures[2].runs.push(Pair { ours, peer });
    }
    chain.0.stop().await;
    set.notes.push(format!(
        "All services in one process, views in PostgreSQL, the simulated gateway. Alone, both sides pause between orders; half load is half of what the system does for {CUSTOMERS} customers who order again when an order of theirs is confirmed, until their last orders are paid, shipped and shown; both sides are asked at that pace"
    ));
    Ok(set)
}
