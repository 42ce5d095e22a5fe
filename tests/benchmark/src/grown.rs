//! One log that grows, its owner and a standby, and what these cost at the log's present length.

use crate::{
    figure::Sample,
    history::{EVENTS, Filler},
    load::{Call, sample},
    ours::{Ours, host},
    owning::{LONG, Owned, owned},
    render::short,
    stage::Stage,
    usage::{mebibytes, on_disk},
    watched::Watched,
};
use anyhow::{Context, Result, ensure};
use event_store::{
    Hosted, Log,
    kafka::{KafkaLog, KafkaTail, StandbyLog},
};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};
use tempfile::TempDir;
use tokio::sync::watch;

/// Appends of one client that are timed in a run. Few: a short log is to stay short.
pub const APPENDS: u64 = 120;
/// Those before them that are not timed.
const UNTIMED: u64 = 30;
/// Appends that a standby hears of before it takes over.
const HEARD: u64 = 10;
/// The file name of the only partition's snapshot.
const SNAPSHOT: &str = "orders-0.redb";

/// A log, with the snapshots of its owner and of a standby.
pub struct Grown {
    service: &'static str,
    filler: Filler,
    folder: TempDir,
    records: i64,
}

/// What one run measures with a snapshot.
pub struct Warm {
    /// The start of its process.
    pub start: Owned,
    /// One client's appends.
    pub append: Sample,
    /// The takeover by a standby.
    pub takeover: Sample,
}

impl Grown {
    /// On an empty topic of its own.
    pub async fn new(stage: &Stage, what: &str) -> Result<Self> {
        let service = stage.topic(what).await?;
        Ok(Self { service, filler: Filler::new(stage, service)?, folder: tempfile::tempdir()?, records: 0 })
    }

    /// Makes the log so long, or a few records longer.
    pub fn grow(&mut self, until: i64) -> Result<()> {
        self.records = tokio::task::block_in_place(|| self.filler.fill(until))?;
        Ok(())
    }

    fn owner(&self) -> PathBuf {
        self.folder.path().join("owner")
    }

    fn standby(&self) -> PathBuf {
        self.folder.path().join("standby")
    }

    /// Starts an owner without a snapshot. It replays the log and leaves a snapshot of it.
    pub async fn replay(&self) -> Result<Owned> {
        forget(&self.owner())?;
        let owned = owned(self.service, &self.owner()).await?;
        ensure!(owned.records >= self.records, "{} records are read of {}", owned.records, self.records);
        Ok(owned)
    }

    /// Gives the standby the owner's snapshot, as if it had followed so far.
    pub fn follow(&self) -> Result<()> {
        forget(&self.standby())?;
        std::fs::create_dir_all(self.standby())?;
        tokio::task::block_in_place(|| std::fs::copy(self.owner().join(SNAPSHOT), self.standby().join(SNAPSHOT)))?;
        Ok(())
    }

    /// What is measured of an owner that has a snapshot, and of its standby.
    pub async fn warm(&self, stage: &Stage) -> Result<Warm> {
        let start = owned(self.service, &self.owner()).await?;
        let log = Arc::new(KafkaLog::new(stage.producer()?, self.service, stage.config.clone()));
        let host = host(log.clone(), 1, stage.barrier(self.service)?, Some(&self.owner()));
        let owner = Ours::start(Arc::new(host), LONG).await?;
        self.check(&owner).await?;
        appends(&owner, UNTIMED).await?;
        let append = appends(&owner, APPENDS).await?;
        let takeover = self.take_over(stage, &owner, &log).await?;
        owner.stop().await;
        Ok(Warm { start, append, takeover })
    }

    /// Checks that the owner has folded the whole log: it must know the last event of the first confirmed order and of the last one.
    async fn check(&self, owner: &Ours) -> Result<()> {
        let (first, last) = self.filler.confirmed().context("no order is confirmed")?;
        for order in [first, last] {
            let version = owner.version(order).await?;
            ensure!(version == EVENTS, "order {order} is at version {version} instead of {EVENTS}");
        }
        Ok(())
    }

    /// Has a standby that has followed the whole log take over.
    async fn take_over(&self, stage: &Stage, owner: &Ours, log: &Arc<KafkaLog>) -> Result<Sample> {
        let producer = stage.producer()?;
        let tail = Arc::new(KafkaTail::start(&stage.config, &producer)?);
        let own = Arc::new(KafkaLog::new(producer, self.service, stage.config.clone()));
        let (watched, mut taken) = Watched::new(Arc::new(StandbyLog::new(own.clone(), tail, self.service)));
        let host = host(own, 1, stage.barrier(self.service)?, Some(&self.standby())).standing_by(Arc::new(watched));
        host.stand_by(&HashSet::from([0]));
        heard(&mut taken, log.end(0).await?).await?;
        appends(owner, HEARD).await?;
        heard(&mut taken, log.end(0).await?).await?;
        let began = Instant::now();
        let successor = Ours::start(Arc::new(host), LONG).await?;
        let micros = began.elapsed().as_secs_f64() * 1e6;
        successor.stop().await;
        Ok(Sample { rate: 0.0, p50: micros, p99: 0.0, cores: 0.0 })
    }

    /// The memory and the disk that it takes, in words.
    pub fn sizes(&self, stage: &Stage, replayed: &Owned, started: &Owned) -> Result<String> {
        let snapshot = on_disk(&self.owner().join(SNAPSHOT))?;
        let each = |bytes: u64| short(bytes as f64 / self.records as f64);
        let log = stage.folder(self.service).map(|folder| on_disk(&folder)).transpose()?;
        Ok(format!(
            "{} events: {} resident after a replay, {} after a start with a snapshot; the snapshot {} or {} bytes an event; the log {} bytes an event on a broker's disk",
            short(self.records as f64),
            mebibytes(replayed.resident),
            mebibytes(started.resident),
            mebibytes(snapshot),
            each(snapshot),
            log.map_or("?".to_owned(), each)
        ))
    }
}

fn forget(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}

/// Orders placed one after another.
async fn appends(owner: &Ours, count: u64) -> Result<Sample> {
    let (began, mut latencies) = (Instant::now(), Vec::new());
    for number in 0..count {
        let asked = Instant::now();
        owner.call(number).await?;
        latencies.push(asked.elapsed().as_nanos() as u64);
    }
    sample(latencies, began.elapsed(), 0.0)
}

/// Waits until a standby has taken everything below `end`.
async fn heard(taken: &mut watch::Receiver<i64>, end: i64) -> Result<()> {
    let all = taken.wait_for(|taken| *taken >= end);
    tokio::time::timeout(LONG, all).await.context("a standby does not catch up")??;
    Ok(())
}
