//! A reader of one partition: run rule, batches, checkpoint.

use crate::{
    Batch, BatchError, BatchHandler, Checkpoint, Counted, LogError, PartitionId, RawRecord,
    envelope::{Entry, SharedRecord},
    health::LaneHealth,
    log::Log,
    metrics,
    ring::{Ring, Window},
    run::{RunRule, Verdict},
};
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How many records of the ring make a batch at most; those of an open group, which were held back before, are added.
const MOST_RECORDS: usize = 1_000;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// One handler's reader of one partition.
pub(crate) struct Lane {
    pub name: Arc<str>,
    pub source: PartitionId,
    pub handler: Arc<dyn BatchHandler>,
    pub log: Arc<dyn Log>,
    pub ring: Arc<Ring>,
    pub stop: CancellationToken,
    pub health: Arc<LaneHealth>,
}

/// Applies the run rule to one partition; holds the records of an open group, which it has read past the checkpoint.
pub struct RunReader {
    rule: RunRule,
    checkpoint: Checkpoint,
    /// The next offset to read.
    next: i64,
    held: Vec<Counted>,
}

impl RunReader {
    /// A reader that stands at a checkpoint.
    pub fn at(checkpoint: Checkpoint) -> Self {
        Self { rule: RunRule::resume(checkpoint.claim, checkpoint.next), checkpoint, next: checkpoint.next, held: Vec::new() }
    }

    /// The next offset to read.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// The checkpoint of a handler that has taken every batch.
    pub fn checkpoint(&self) -> Checkpoint {
        self.checkpoint
    }

    /// Applies the run rule to the next records; returns a batch when the checkpoint moves.
    pub fn read(&mut self, source: &PartitionId, records: Vec<RawRecord>) -> Option<Batch> {
        let from = self.checkpoint;
        let mut counted = Vec::new();
        for raw in records {
            self.step(source, raw.offset, &Entry::read(&source.service, source.partition, &raw), &mut counted);
        }
        self.batch(source, from, counted)
    }

    /// The same, with records that are shared with other readers.
    fn read_shared(&mut self, source: &PartitionId, records: &[Arc<SharedRecord>]) -> Option<Batch> {
        let from = self.checkpoint;
        let mut counted = Vec::new();
        for record in records {
            self.step(source, record.raw.offset, record.entry(source), &mut counted);
        }
        self.batch(source, from, counted)
    }

    fn batch(&self, source: &PartitionId, from: Checkpoint, records: Vec<Counted>) -> Option<Batch> {
        (self.checkpoint != from).then(|| Batch { source: source.clone(), from, to: self.checkpoint, records })
    }

    fn step(&mut self, source: &PartitionId, offset: i64, entry: &Entry, counted: &mut Vec<Counted>) {
        let verdict = self.rule.step(offset, entry.mark());
        self.next = offset + 1;
        match (verdict, entry) {
            (Verdict::Held, Entry::Event(event)) => self.held.push(event.record.clone()),
            (Verdict::Counts, Entry::Event(event)) => {
                counted.append(&mut self.held);
                counted.push(event.record.clone());
            }
            (verdict, _) => {
                if verdict == Verdict::Ends || !self.held.is_empty() {
                    metrics::NOT_COUNTED
                        .with_label_values(&[&source.service])
                        .inc_by(self.held.len() as u64 + u64::from(verdict == Verdict::Ends));
                }
                self.held.clear();
            }
        }
        if self.held.is_empty() {
            self.checkpoint = Checkpoint { next: self.next, claim: self.rule.run().map(|run| run.claim) };
        }
    }
}

impl Lane {
    /// Reads until it is stopped. A defect in what it runs is said, and it reads again.
    pub async fn run(self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.read_whatever_happens() => {}
        }
    }

    async fn read_whatever_happens(&self) {
        loop {
            let _defect = AssertUnwindSafe(self.read_for_ever()).catch_unwind().await;
            let _ = self.health.failed(&"it met a defect, which stands in the log");
            tracing::error!(reader = %self.name, service = %self.source.service, partition = self.source.partition, "a reader met a defect, and reads again");
            tokio::time::sleep(LONGEST_PAUSE).await;
        }
    }

    async fn read_for_ever(&self) {
        loop {
            let Err(error) = self.read_from_checkpoint().await;
            if self.health.failed(&error) {
                tracing::warn!(reader = %self.name, service = %self.source.service, partition = self.source.partition, %error, "reading again from the checkpoint");
            }
            tokio::time::sleep(FIRST_PAUSE).await;
        }
    }

    async fn read_from_checkpoint(&self) -> Result<std::convert::Infallible, BatchError> {
        let mut reading = RunReader::at(self.handler.start(&self.source).await?);
        self.goes_on();
        let mut end = self.ring.watch();
        loop {
            end.mark_unchanged();
            self.health.stands(reading.next());
            match self.ring.window(reading.next(), MOST_RECORDS) {
                Window::Records(records) => {
                    let batch = reading.read_shared(&self.source, &records);
                    self.hand_on(batch).await?;
                }
                Window::Behind => self.catch_up(&mut reading).await?,
                Window::Empty => {
                    end.changed().await.map_err(|_| BatchError::Failed("the consumer has stopped".into()))?;
                }
            }
        }
    }

    /// Reads the log itself until the ring has the next record.
    async fn catch_up(&self, reading: &mut RunReader) -> Result<(), BatchError> {
        let failed = |error: LogError| BatchError::Failed(error.to_string());
        let mut cursor = self.log.read(self.source.partition, reading.next).await.map_err(failed)?;
        while matches!(self.ring.window(reading.next, 1), Window::Behind) {
            let batch = reading.read(&self.source, cursor.next().await.map_err(failed)?);
            self.hand_on(batch).await?;
            self.health.stands(reading.next());
        }
        Ok(())
    }

    async fn hand_on(&self, batch: Option<Batch>) -> Result<(), BatchError> {
        if let Some(batch) = batch {
            self.apply(&batch).await?;
            metrics::LANE_NEXT
                .with_label_values(&[&*self.name, &*self.source.service, &self.source.partition.to_string()])
                .set(batch.to.next);
        }
        Ok(())
    }

    /// Hands a batch to the handler until it takes it: no batch is ever skipped.
    async fn apply(&self, batch: &Batch) -> Result<(), BatchError> {
        let mut pause = FIRST_PAUSE;
        loop {
            self.health.works();
            match self.handler.apply(batch).await {
                Err(BatchError::Failed(why)) => {
                    if self.health.failed(&why) {
                        tracing::warn!(reader = %self.name, service = %self.source.service, partition = self.source.partition, why, "a batch is not taken: it is tried until it is");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                settled => {
                    self.goes_on();
                    return settled;
                }
            }
        }
    }

    /// What it tried has succeeded. That it failed was said once, so it is said once that it does so no more.
    fn goes_on(&self) {
        if let Some(after) = self.health.succeeded() {
            tracing::info!(reader = %self.name, service = %self.source.service, partition = self.source.partition, ?after, "it goes on");
        }
    }
}
