//! `views`: a view's rows with their exact checkpoint, against bare inserts of the same rows into the same table.

use crate::{
    figure::{Aim, Figure, Measure, Pair, Sample, Set},
    load::Cores,
    peers::{Columns, Peer},
    replay::filled,
    stage::Stage,
};
use anyhow::{Context, Result, ensure};
use event_store::{Batch, BatchHandler, Checkpoint, Log, PartitionId, Passed, Replay, kafka::KafkaLog};
use projections::{Database, Order, Query, ViewRunner, erased};
use shop::orders::views::orders::{OrderRow, Orders};
use std::{collections::HashMap, sync::Arc, time::Instant};
use tempfile::TempDir;

/// Rows of a batch, and of an insert.
const ROWS: usize = 1_000;

/// The databases that views are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL, as between machines.
    Postgres,
    /// SQLite, as on one machine.
    Sqlite,
}

impl Kind {
    /// The address of a new database.
    pub fn fresh(self, stage: &Stage, folder: &TempDir) -> Result<String> {
        let name = format!("bench_{}", uuid::Uuid::new_v4().simple());
        Ok(match self {
            Self::Postgres => format!("{}/{name}", stage.postgres.as_ref().context("DAYBOOK_POSTGRES is not set: ./bench sets it")?),
            Self::Sqlite => format!("sqlite://{}/{name}.db", folder.path().display()),
        })
    }
}

/// The log's first events, in batches of exactly so many rows as the peer inserts at once.
async fn batches(stage: &Stage, service: &'static str, count: usize) -> Result<Vec<Batch>> {
    let log: Arc<dyn Log> = Arc::new(KafkaLog::new(stage.producer()?, service, stage.config.clone()));
    let end = log.end(0).await?;
    let read = PartitionId { service: service.into(), partition: 0 };
    let mut replay = Replay::open(&log, read, Checkpoint::default(), end).await?.context("the log is empty")?;
    let (mut records, mut claim) = (Vec::new(), None);
    while records.len() < count * ROWS {
        let batch = replay.next().await?.context("the log is too short")?;
        records.extend(batch.records);
        claim = batch.to.claim;
    }
    let source = PartitionId { service: "orders".into(), partition: 0 };
    // The benchmark's topic is not named after a service, so the records get the service of the view.
    records.iter_mut().for_each(|record| Arc::make_mut(&mut record.context).position.service = source.service.clone());
    let mut from = Checkpoint::default();
    let batch = |records: &[event_store::Counted]| {
        let to = Checkpoint::new(records.last().map_or(0, |last| last.position.offset + 1), claim);
        Batch { source: source.clone(), from: std::mem::replace(&mut from, to), to, records: records.to_vec(), passed: Passed::default() }
    };
    Ok(records.chunks_exact(ROWS).take(count).map(batch).collect())
}

/// The view itself: load, fold, rows and checkpoint in one transaction, batch after batch.
async fn ours(url: &str, batches: &[Batch]) -> Result<(Sample, Database)> {
    let database = Database::open(url).await?;
    let runner = ViewRunner::new("bench", database.clone(), vec![erased::<Orders>()], schemas::codecs(schemas::bundled())).await?;
    let (warm, counted) = batches.split_at(batches.len() / 10);
    for batch in warm {
        runner.apply(batch).await?;
    }
    let (began, cores) = (Instant::now(), Cores::begin()?);
    for batch in counted {
        runner.apply(batch).await?;
    }
    Ok((sample(counted.len(), began, &cores)?, database))
}

fn sample(batches: usize, began: Instant, cores: &Cores) -> Result<Sample> {
    Ok(Sample { rate: (batches * ROWS) as f64 / began.elapsed().as_secs_f64(), p50: 0.0, p99: 0.0, cores: cores.busy()? })
}

/// The rows that the view has made, in the order in which it made them.
async fn rows(database: &Database, batches: &[Batch]) -> Result<Vec<Columns>> {
    let limit = u32::try_from(batches.len() * ROWS)?;
    let query = Query { filters: Vec::new(), by: &["order_id"], order: Order::Rising, after: None, limit };
    let rows: Vec<OrderRow> = database.select(&query).await?;
    ensure!(rows.len() == batches.len() * ROWS, "the view has {} rows", rows.len());
    let by_id: HashMap<_, _> = rows.into_iter().map(|row| (row.order_id.0, row)).collect();
    let of = |batch: &Batch| Columns::of(batch.records.iter().filter_map(|record| by_id.get(&record.aggregate_id)));
    batches.iter().map(of).collect()
}

async fn bare(kind: Kind, url: &str, rows: &[Columns]) -> Result<Sample> {
    let mut peer = Peer::open(kind, url).await?;
    let (warm, counted) = rows.split_at(rows.len() / 10);
    for columns in warm {
        peer.insert(columns).await?;
    }
    let (began, cores) = (Instant::now(), Cores::begin()?);
    for columns in counted {
        peer.insert(columns).await?;
    }
    sample(counted.len(), began, &cores)
}

/// `views`.
pub async fn views(stage: &Stage) -> Result<Set> {
    let mut set = stage.set("views");
    let count = if stage.short { 20 } else { 50 };
    let service = filled(stage, (count * ROWS) as i64).await?;
    let batches = batches(stage, service, count).await?;
    let folder = tempfile::tempdir()?;
    let kinds = [Kind::Postgres, Kind::Sqlite];
    let cell = |kind| format!("orders' view into {}", if kind == Kind::Postgres { "PostgreSQL" } else { "SQLite" });
    let against = |kind| if kind == Kind::Postgres { "bare UNNEST of 1,000 rows" } else { "a bare insert of 1,000 rows" };
    set.figures = kinds.map(|kind| Figure::new(cell(kind), against(kind), Measure::Rate, Aim::AtLeast(0.7))).into();
    for _ in 0..stage.runs {
        for (index, kind) in kinds.into_iter().enumerate() {
            let (sample, database) = ours(&kind.fresh(stage, &folder)?, &batches).await?;
            let rows = rows(&database, &batches).await?;
            database.close().await;
            let peer = bare(kind, &kind.fresh(stage, &folder)?, &rows).await?;
            set.figures[index].runs.push(Pair { ours: sample, peer });
        }
    }
    set.notes.push(format!(
        "{} batches of 1,000 new orders each, a transaction for each; the peer has the same table with the same indexes, its rows are made beforehand, and its statement is prepared once",
        batches.len()
    ));
    Ok(set)
}
