//! `append` and `transactions`: the engine's append in process, against a bare producer and against Kafka's transactions.

use crate::{
    bare::Bare,
    figure::{Aim, Figure, Measure, Pair, Sample, Set},
    load::{Call, Span, closed_loop},
    ours::{Ours, meta, place, records},
    stage::Stage,
    transactions::{Transactional, Transactions},
};
use anyhow::{Context, Result};
use codec::Schemas;
use domain::order::Order;
use event_sourcing::{Aggregate, Event};
use event_store::{Append, envelope::EventHeaders, run::Place};
use std::sync::Arc;
use uuid::Uuid;

const CLIENTS: [usize; 3] = [1, 32, 512];
const LINGERS: [&str; 4] = ["0", "0.5", "2", "5"];
/// How many different records the peers append.
const RECORDS: u64 = 1_000;

async fn ours(stage: &Stage, clients: usize) -> Result<Sample> {
    let ours = Arc::new(Ours::on_kafka(stage, "append").await?);
    let sample = closed_loop(clients, stage.span(), &ours).await?;
    ours.stop().await;
    Ok(sample)
}

async fn bare(stage: &Stage, records: &[Append], clients: usize, linger: &str, span: Span) -> Result<Sample> {
    closed_loop(clients, span, &Arc::new(Bare::on_kafka(stage, records, linger).await?)).await
}

/// The floor: it decides each command on a new order, makes the record and sends it. It keeps no state, does not watch for other writers,
/// and remembers no answers for repeats.
struct Making {
    bare: Bare,
    schemas: Schemas,
}

impl Making {
    fn record(&self) -> Result<Append> {
        let (id, meta) = (Uuid::new_v4(), meta());
        let event = Order::default().handle(place()?)?.into_iter().next().context("an order is placed")?;
        let headers = EventHeaders {
            service: "orders",
            type_name: event.type_name(),
            aggregate_id: id,
            command_id: meta.command_id,
            place: Place { run: 0, at: 1, index: 1, of: 1 },
            version: 1,
            fingerprint: 0,
            time: meta.time,
            cause: &meta.cause,
        };
        Ok(headers.append(self.schemas.encode(&event)?))
    }
}

impl Call for Making {
    async fn call(&self, _: u64) -> Result<()> {
        self.bare.append(&self.record()?).await
    }
}

async fn making(stage: &Stage, clients: usize, linger: &str) -> Result<Sample> {
    let making = Making { bare: Bare::on_kafka(stage, &[], linger).await?, schemas: schemas::bundled() };
    closed_loop(clients, stage.span(), &Arc::new(making)).await
}

async fn open_loop(stage: &Stage, records: &[Append], linger: &str, span: Span) -> Result<Sample> {
    Bare::on_kafka(stage, records, linger).await?.open_loop(span).await
}

/// The `linger.ms` with which the peer is fastest; 0 clients stand for the open loop.
async fn best_linger(stage: &Stage, records: &[Append], clients: usize) -> Result<&'static str> {
    if clients == 1 {
        // A single client would only wait for the linger to pass.
        return Ok(LINGERS[0]);
    }
    let mut best = (0.0, LINGERS[0]);
    // Each is tried twice, since other work on the machine may have slowed the best one down the first time.
    for linger in LINGERS.into_iter().chain(LINGERS) {
        let sample = match clients {
            0 => open_loop(stage, records, linger, stage.trial()).await?,
            clients => bare(stage, records, clients, linger, stage.trial()).await?,
        };
        if sample.rate > best.0 {
            best = (sample.rate, linger);
        }
    }
    Ok(best.1)
}

fn size(records: &[Append]) -> usize {
    let of = |record: &Append| {
        record.key.len() + record.payload.len() + record.headers.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>()
    };
    records.iter().map(of).sum::<usize>() / records.len().max(1)
}

/// `append`: closed loops of 1, 32 and 512 clients, and the producer's maximum.
pub async fn append(stage: &Stage, name: &str) -> Result<Set> {
    let (mut set, records) = (stage.set(name), records(RECORDS).await?);
    set.notes.push(format!("{} copies; a record has {} bytes, key and headers included", stage.copies, size(&records)));
    let mut lingers = Vec::new();
    for clients in CLIENTS.into_iter().chain([0]) {
        lingers.push(best_linger(stage, &records, clients).await?);
    }
    set.notes.push(format!("The peer's linger.ms was the best of {LINGERS:?} for each row: {lingers:?}"));
    let closed = CLIENTS.map(|clients| Figure::new(named(clients), "a bare producer, as many clients", Measure::Rate, Aim::AtLeast(0.7)));
    let most = Figure::new(named(512), "a bare producer that waits for nobody", Measure::Rate, Aim::AtLeast(0.4));
    let floor = Figure::new(named(512), "a bare producer that decides and makes each record, as many clients", Measure::Rate, Aim::None);
    set.figures = closed.into_iter().chain([most, floor]).collect();
    for _ in 0..stage.runs {
        let mut last = None;
        for (index, clients) in CLIENTS.into_iter().enumerate() {
            let ours = ours(stage, clients).await?;
            let peer = bare(stage, &records, clients, lingers[index], stage.span()).await?;
            set.figures[index].runs.push(Pair { ours, peer });
            last = Some(ours);
        }
        let peers = [open_loop(stage, &records, lingers[3], stage.span()).await?, making(stage, 512, lingers[2]).await?];
        for (figure, peer) in set.figures[3..].iter_mut().zip(peers) {
            figure.runs.extend(last.map(|ours| Pair { ours, peer }));
        }
    }
    Ok(set)
}

fn named(clients: usize) -> String {
    if clients == 1 { "1 client".into() } else { format!("{clients} clients") }
}

/// `transactions`: the same by Kafka's transactions, with one append in each, or with all that wait together in one.
pub async fn transactions(stage: &Stage) -> Result<Set> {
    let (mut set, records) = (stage.set("transactions"), records(RECORDS).await?);
    let cells = [(1, 1), (32, 1), (32, 10_000), (512, 10_000)];
    let against = |most| if most == 1 { "a transaction for each append" } else { "a transaction for all that wait" };
    set.figures = cells.map(|(clients, most)| Figure::new(named(clients), against(most), Measure::FasterP50, Aim::AtLeast(5.0))).into();
    set.notes
        .push("The peer is one transactional producer with linger.ms=0 and retry.backoff.ms=5, on a thread that does nothing else".into());
    for _ in 0..stage.runs {
        for (index, (clients, most)) in cells.into_iter().enumerate() {
            let ours = ours(stage, clients).await?;
            let transactions = Arc::new(Transactions::begin(Transactional::on_kafka(stage, &records).await?, most));
            let peer = closed_loop(clients, stage.span(), &transactions).await?;
            set.figures[index].runs.push(Pair { ours, peer });
        }
    }
    Ok(set)
}
