//! Runs one of the pure paths of every command and every event, as often as is asked: `hot-paths NAME TIMES`. `tests/instructions` counts
//! the instructions of one run, as the difference between many runs and half as many.

use anyhow::{Context, Result, bail};
use codec::Schemas;
use domain::{
    ProductId, Quantity, UserId,
    order::{Order, OrderCommand, OrderEvent, OrderLine},
};
use event_sourcing::{Aggregate, AnyEvent, Cause, Command, Event, Timestamp};
use event_store::{
    Append, Checkpoint, Counted, PartitionId, RawRecord, RunReader,
    envelope::{EventHeaders, claim},
    run::Place,
};
use projections::erased;
use shop::orders::views::orders::Orders;
use std::hint::black_box;
use uuid::Uuid;

/// Records are read in batches of so many.
const BATCH: usize = 100;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (path, times) = (arguments.next().unwrap_or_default(), arguments.next().context("hot-paths NAME TIMES")?.parse::<i64>()?);
    let bench = Bench::new()?;
    let log = bench.log()?;
    for number in 0..times {
        match path.as_str() {
            "intent" => bench.intent(),
            "decide" => bench.decide()?,
            "encode" => drop(black_box(bench.encode(number)?)),
            "decode" => bench.decode(&log)?,
            "read" => bench.read(&log)?,
            "fold" => bench.fold(&log)?,
            unknown => bail!("there is no path {unknown}: intent, decide, encode, decode, read, fold"),
        }
    }
    Ok(())
}

/// What the paths work on, made once.
struct Bench {
    schemas: Schemas,
    command: OrderCommand,
    event: OrderEvent,
    cause: Cause,
    source: PartitionId,
}

/// A claim and the records of its run, and the first of them as a reader has it.
struct Log {
    records: Vec<RawRecord>,
    counted: Counted,
}

/// An order of two lines.
fn place() -> Result<OrderCommand> {
    let line =
        |n: u128| anyhow::Ok(OrderLine { product_id: ProductId(Uuid::from_u128(n)), quantity: Quantity::new(3)?, agreed_price: None });
    let (placed_at, expires_at) = (Timestamp(1_764_000_000_000), Timestamp(1_764_000_900_000));
    let lines = vec![line(1)?, line(2)?];
    Ok(OrderCommand::Place { user_id: UserId(Uuid::from_u128(7)), lines, payment_method: "card".parse()?, placed_at, expires_at })
}

impl Bench {
    fn new() -> Result<Self> {
        let command = place()?;
        let event = Order::default().handle(command.clone())?.into_iter().next().context("an order is placed")?;
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let traceparent = Some(format!("00-{trace}-b7ad6b7169203331-01"));
        let cause = Cause { actor: "anonymous".into(), correlation_id: trace.into(), causation_id: None, traceparent };
        let source = PartitionId { service: "orders".into(), partition: 0 };
        Ok(Self { schemas: schemas::bundled(), command, event, cause, source })
    }

    fn log(&self) -> Result<Log> {
        let mut records = vec![claim("orders", "n", Timestamp(1), Vec::new()).at(0)];
        for at in 1..=BATCH as i64 {
            records.push(self.encode(at)?.at(at));
        }
        let batch = RunReader::at(Checkpoint::default()).read(&self.source, records.clone()).context("a batch counts")?;
        let counted = batch.records.into_iter().next().context("a record counts")?;
        Ok(Log { records, counted })
    }

    /// Writes a command's intent, of which its fingerprint is taken.
    fn intent(&self) {
        black_box(black_box(&self.command).intent().into_bytes());
    }

    /// Decides a command and folds what it makes.
    fn decide(&self) -> Result<()> {
        let mut order = Order::default();
        let events = order.handle(black_box(self.command.clone()))?;
        events.iter().for_each(|event| order.apply(event));
        black_box(order);
        Ok(())
    }

    /// Makes an event's record.
    fn encode(&self, at: i64) -> Result<Append> {
        let number = u128::try_from(at)?;
        let headers = EventHeaders {
            service: "orders",
            type_name: self.event.type_name(),
            aggregate_id: Uuid::from_u128(number),
            command_id: Uuid::from_u128(number << 64),
            place: Place { run: 0, at, index: 1, of: 1 },
            version: 1,
            fingerprint: 0x0123_4567_89ab_cdef,
            time: Timestamp(1_764_000_000_000),
            cause: &self.cause,
        };
        Ok(headers.append(self.schemas.encode(black_box(&self.event))?))
    }

    /// Decodes an event.
    fn decode(&self, log: &Log) -> Result<()> {
        black_box(self.schemas.decode::<OrderEvent>(black_box(&log.counted.event))?);
        Ok(())
    }

    /// Reads the headers of a claim and a batch of records, and applies the run rule.
    fn read(&self, log: &Log) -> Result<()> {
        let batch = RunReader::at(Checkpoint::default()).read(&self.source, black_box(log.records.clone()));
        anyhow::ensure!(batch.is_some_and(|batch| batch.records.len() == BATCH), "all of them count");
        Ok(())
    }

    /// Folds an event into a view's row.
    fn fold(&self, log: &Log) -> Result<()> {
        let (view, record) = (erased::<Orders>(), log.counted.with(AnyEvent::new(self.event.clone())));
        let events = view.read(&[&record]);
        black_box(events.keys());
        for row in events.fold(Vec::new())?.written {
            black_box(row?);
        }
        Ok(())
    }
}
