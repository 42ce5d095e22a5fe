//! What snapshots cost and save, in figures: `cargo run --release -p bench --example snapshots -- restart 1000000`.

use domain::{
    Currency, Money, ProductId, Quantity, Text, UserId,
    order::{Order, OrderCommand, OrderLine},
};
use event_sourcing::{Cause, Timestamp};
use event_store::{Ack, Append, CommandMeta, Cursor, Log, LogError, MemoryLog, NodeName, NotQueued, OwnerParts};
use event_store::{PartitionId, PartitionOwner, RawRecord, Tag, WriterConfig};
use futures::StreamExt;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

/// A log that acknowledges every record and keeps only the claims, so that only the owner's memory grows.
#[derive(Default)]
struct Forgetful {
    end: AtomicI64,
    claim: std::sync::Mutex<Vec<RawRecord>>,
}

struct Claims(Vec<RawRecord>);

#[async_trait::async_trait]
impl Log for Forgetful {
    fn append(&self, _: i32, record: Append, tag: Tag, acks: &UnboundedSender<Ack>) -> Result<(), NotQueued> {
        let offset = self.end.fetch_add(1, Ordering::SeqCst);
        if tag.at < 0 {
            self.claim.lock().map_err(|_| NotQueued::Broken)?.push(record.at(offset));
        }
        let _ = acks.send(Ack { tag, offset: Ok(offset) });
        Ok(())
    }

    async fn end(&self, _: i32) -> Result<i64, LogError> {
        Ok(self.end.load(Ordering::SeqCst))
    }

    async fn read(&self, _: i32, _: i64) -> Result<Box<dyn Cursor>, LogError> {
        let claims = self.claim.lock().map_err(|error| LogError(error.to_string()))?.clone();
        Ok(Box::new(Claims(claims)))
    }
}

#[async_trait::async_trait]
impl Cursor for Claims {
    async fn next(&mut self) -> Result<Vec<RawRecord>, LogError> {
        if self.0.is_empty() {
            std::future::pending::<()>().await;
        }
        Ok(std::mem::take(&mut self.0))
    }
}

type Owner = PartitionOwner<Order>;

async fn own(log: Arc<dyn Log>, directory: Option<&Path>, config: WriterConfig) -> (Owner, Duration) {
    let begun = Instant::now();
    let source = PartitionId { service: "orders".into(), partition: 0 };
    let node = NodeName { owner: "a".into(), address: "127.0.0.1:0".into() };
    let snapshots = directory.map(Path::to_owned);
    let owner = Owner::spawn(OwnerParts { log, source, schemas: schemas::bundled(), node, config, snapshots });
    owner.claim().wait_for(Option::is_some).await.expect("the owner lives");
    (owner, begun.elapsed())
}

fn place() -> OrderCommand {
    let line =
        |n| OrderLine { product_id: ProductId(Uuid::from_u128(n)), quantity: Quantity::new(3).expect("a quantity"), agreed_price: None };
    let payment_method: Text = "card".parse().expect("a text");
    let (placed_at, expires_at) = (Timestamp(1), Timestamp(1_000));
    OrderCommand::Place { user_id: UserId(Uuid::from_u128(7)), lines: vec![line(1), line(2)], payment_method, placed_at, expires_at }
}

/// The command of a round: the first places the order; the later ones reserve its first line, which makes one event once and none after
/// that. So `rounds` is 1 or 2.
fn command(round: u64) -> OrderCommand {
    let currency: Currency = "GBP".parse().expect("a currency");
    let unit_price = Money::new(100, currency).expect("an amount");
    if round == 0 { place() } else { OrderCommand::RecordReservation { line: 0, unit_price } }
}

async fn run(owner: &Owner, orders: std::ops::Range<u64>, rounds: u64) -> f64 {
    let (begun, count) = (Instant::now(), orders.end - orders.start);
    let all = (0..count * rounds).map(|number| {
        let (round, order) = (number / count, orders.start + number % count);
        // Ids are spread evenly, as in production.
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, &order.to_be_bytes());
        let command_id = Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{order}/{round}").as_bytes());
        let cause = Cause { actor: "a".into(), correlation_id: "c".into(), causation_id: None, traceparent: None };
        let meta = CommandMeta { command_id, time: Timestamp(number as i64), expected_version: None, only_of: None, cause };
        owner.execute(id, command(round), meta, number)
    });
    let answers = futures::stream::iter(all).buffer_unordered(512);
    let accepted = answers.filter(|answer| futures::future::ready(answer.is_ok())).count().await as u64;
    assert_eq!(accepted, count * rounds);
    (count * rounds) as f64 / begun.elapsed().as_secs_f64()
}

fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).expect("a number") * 4096.0
}

fn size(directory: &Path) -> f64 {
    std::fs::metadata(directory.join("orders-0.redb")).map_or(0.0, |file| file.len() as f64)
}

fn unbounded() -> WriterConfig {
    WriterConfig { live_aggregates: usize::MAX, recent_commands: usize::MAX, ..WriterConfig::default() }
}

/// Measures one case. Each runs in a process of its own, since a later one would reuse the memory that an earlier one has freed.
async fn memory(which: usize, orders: u64) {
    let bounded = WriterConfig { live_aggregates: 10_000, recent_commands: 10_000, ..WriterConfig::default() };
    let (what, config, kept) = [
        ("aggregates alone, all in memory", WriterConfig { remembered_commands: 0, ..unbounded() }, false),
        ("aggregates and command ids, all in memory", unbounded(), false),
        ("at most 10,000 of each in memory", bounded, true),
    ][which];
    let directory = tempfile::tempdir().expect("a directory");
    let (owner, _) = own(Arc::new(Forgetful::default()), kept.then(|| directory.path()), config).await;
    run(&owner, 0..2_000, 1).await;
    let before = resident();
    run(&owner, 2_000..2_000 + orders, 1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let grown = resident() - before;
    owner.drain().await;
    let (each, disk) = (grown / orders as f64, size(directory.path()) / orders as f64);
    println!("memory: {what}: {:.1} MB, {each:.0} bytes for each of {orders} orders; on disk {disk:.0}", grown / 1e6);
}

async fn throughput(orders: u64) {
    let (usual, often) = (WriterConfig::default(), WriterConfig { save_after: 1_000, ..WriterConfig::default() });
    let bounded = WriterConfig { live_aggregates: 10_000, recent_commands: 10_000, ..usual };
    let runs = [
        ("without snapshots", false, usual),
        ("with snapshots", true, usual),
        ("with snapshots, saved after 1,000", true, often),
        ("with snapshots, at most 10,000 in memory", true, bounded),
    ];
    for (what, kept, config) in runs.into_iter().chain(runs) {
        let directory = tempfile::tempdir().expect("a directory");
        let (owner, _) = own(Arc::new(Forgetful::default()), kept.then(|| directory.path()), config).await;
        let rate = run(&owner, 0..orders, 2).await;
        println!("throughput {what}: {rate:.0} commands/s");
    }
}

async fn restart(events: u64) {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(1));
    let directory = tempfile::tempdir().expect("a directory");
    let config = WriterConfig::default();
    let (owner, _) = own(log.clone(), Some(directory.path()), config).await;
    run(&owner, 0..events / 2, 2).await;
    owner.drain().await;
    let bytes = size(directory.path());
    let (owner, with) = own(log.clone(), Some(directory.path()), config).await;
    run(&owner, events..events + 10, 1).await;
    owner.abort();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (owner, killed) = own(log.clone(), Some(directory.path()), config).await;
    owner.drain().await;
    let (_, without) = own(log, None, config).await;
    println!(
        "restart after {events} events of {} orders: {with:?} with a snapshot, {killed:?} after a kill, {without:?} without; file {:.0} MB",
        events / 2,
        bytes / 1e6
    );
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let count = arguments.get(2).and_then(|count| count.parse().ok()).unwrap_or(100_000);
    match arguments.get(1).map(String::as_str) {
        Some("aggregates") => memory(0, count).await,
        Some("commands") => memory(1, count).await,
        Some("bounded") => memory(2, count).await,
        Some("throughput") => throughput(count / 2).await,
        Some("restart") => restart(count).await,
        Some(_) | None => eprintln!("aggregates | commands | bounded | throughput | restart, and a count"),
    }
}
