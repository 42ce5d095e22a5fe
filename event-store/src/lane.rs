//! A reader of one partition: run rule, batches, checkpoint.

use crate::{
    Anchor, Batch, BatchError, BatchHandler, Checkpoint, Counted, LogError, PartitionId, Passed, RawRecord,
    envelope::{Entry, SharedRecord},
    health::LaneHealth,
    is_anchored,
    log::Log,
    metrics,
    ring::{Ring, Window},
    run::{Mark, RunRule, Verdict},
};
use futures::FutureExt;
use std::{iter, panic::AssertUnwindSafe, sync::Arc, time::Duration};
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
    /// The run of the last record that did not count.
    stray: Option<i64>,
    /// The place before the next record, and which one stood there.
    last: Checkpoint,
    /// The places, in the records that were read last, where the run was broken off or another began: there a log that was rewritten may
    /// look like one that goes on.
    breaks: Vec<Checkpoint>,
    /// What was read since the checkpoint.
    passed: Passed,
}

impl RunReader {
    /// A reader that stands at a checkpoint.
    pub fn at(checkpoint: Checkpoint) -> Self {
        Self {
            rule: RunRule::resume(checkpoint.claim, checkpoint.next),
            checkpoint,
            next: checkpoint.next,
            held: Vec::new(),
            stray: None,
            last: checkpoint,
            breaks: Vec::new(),
            passed: Passed::default(),
        }
    }

    /// The breaks in the records that were read last: the place before each, and the record before it as it was read.
    pub(crate) fn breaks(&self) -> &[Checkpoint] {
        &self.breaks
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
        let records: Vec<_> = records.into_iter().map(|raw| Arc::new(SharedRecord::new(raw))).collect();
        self.read_shared(source, &records)
    }

    /// The same, with records that are shared with other readers.
    fn read_shared(&mut self, source: &PartitionId, records: &[Arc<SharedRecord>]) -> Option<Batch> {
        let from = self.checkpoint;
        let mut counted = Vec::new();
        self.breaks.clear();
        for record in records {
            self.step(source, record.raw.offset, record.entry(source), &mut counted);
        }
        self.anchor(from, |offset| records.iter().rfind(|record| record.raw.offset == offset).map(|record| Anchor::of(&record.raw)));
        self.passed.add(records);
        self.batch(source, from, counted)
    }

    fn batch(&mut self, source: &PartitionId, from: Checkpoint, records: Vec<Counted>) -> Option<Batch> {
        let to = self.checkpoint;
        (to != from).then(|| Batch { source: source.clone(), from, to, records, passed: self.passed.take_before(to.next) })
    }

    /// Whether a record that does not count stands just where it was meant to stand, or is of a run of which none came just before. A writer
    /// that was superseded may leave such ones; but so does one that has claimed at an offset that this reader had passed already, in a log
    /// that was rewritten.
    fn is_stray(&mut self, offset: i64, mark: Mark) -> bool {
        let Mark::Event(place) = mark else { return false };
        self.stray.replace(place.run) != Some(place.run) || place.at == offset
    }

    /// Gives the checkpoint, and the places of the breaks, their anchors; `of` finds those of the records that were read now.
    fn anchor(&mut self, from: Checkpoint, of: impl Fn(i64) -> Option<Anchor>) {
        let before = self.last;
        let of = |next: i64| of(next - 1).or_else(|| [from, before].into_iter().find(|known| known.next == next)?.anchor);
        self.checkpoint.anchor = of(self.checkpoint.next);
        self.breaks.iter_mut().for_each(|found| found.anchor = of(found.next));
        self.last = Checkpoint { anchor: of(self.next), ..Checkpoint::new(self.next, None) };
    }

    fn step(&mut self, source: &PartitionId, offset: i64, entry: &Entry, counted: &mut Vec<Counted>) {
        let was_in_a_run = self.rule.run().is_some();
        let mark = entry.mark();
        let verdict = self.rule.step(offset, mark);
        if verdict == Verdict::Begins || verdict == Verdict::Ends && (self.is_stray(offset, mark) || was_in_a_run) {
            self.breaks.push(Checkpoint::new(offset, None));
        }
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
            self.checkpoint = Checkpoint::new(self.next, self.rule.run().map(|run| run.claim));
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
        let mut generation = self.ring.generation();
        let checkpoint = self.handler.start(&self.source).await?;
        let mut looked_up_to = self.look(checkpoint).await?;
        let mut reading = RunReader::at(checkpoint);
        self.goes_on();
        let mut end = self.ring.watch();
        loop {
            end.mark_unchanged();
            self.health.stands(reading.next());
            match self.ring.window(reading.next(), MOST_RECORDS, generation) {
                Window::Records(records) => {
                    let from = reading.checkpoint();
                    let batch = reading.read_shared(&self.source, &records);
                    self.look_at_breaks(&reading, looked_up_to, from).await?;
                    self.hand_on(batch).await?;
                }
                Window::Anew => {
                    generation = self.ring.generation();
                    looked_up_to = self.look(reading.checkpoint()).await?;
                    reading = RunReader::at(reading.checkpoint());
                }
                Window::Behind => self.catch_up(&mut reading, looked_up_to).await?,
                Window::Empty => {
                    end.changed().await.map_err(|_| BatchError::Failed("the consumer has stopped".into()))?;
                }
            }
        }
    }

    /// Looks whether the records before the breaks are those that were read. Where one is not, what was handed on may still be right:
    /// reading begins anew behind that. What stood in the log when it was looked at last goes on from what was read before.
    async fn look_at_breaks(&self, reading: &RunReader, looked_up_to: i64, handed_on: Checkpoint) -> Result<(), BatchError> {
        for found in reading.breaks().iter().filter(|found| found.next >= looked_up_to) {
            if !self.is_held(*found).await? {
                self.look(handed_on).await?;
                // What was read and is not in the log came from the ring.
                self.ring.doubt();
                return Err(BatchError::Moved(self.source.clone()));
            }
        }
        Ok(())
    }

    /// Whether the log holds what was read up to here.
    async fn is_held(&self, checkpoint: Checkpoint) -> Result<bool, BatchError> {
        is_anchored(&*self.log, self.source.partition, checkpoint).await.map_err(|error| BatchError::Failed(error.to_string()))
    }

    /// Looks whether the log still holds what was read up to here, and what parts of the handler have read beyond, and returns its end.
    async fn look(&self, checkpoint: Checkpoint) -> Result<i64, BatchError> {
        let end = self.log.end(self.source.partition).await.map_err(|error| BatchError::Failed(error.to_string()))?;
        for stands in iter::once(checkpoint).chain(self.handler.further(&self.source).await?) {
            if !self.is_held(stands).await? {
                return self.make_good(stands.next, end).await;
            }
        }
        Ok(end)
    }

    /// Has the handler make good what it can, since the log has lost what was read: reading begins anew at its checkpoint.
    async fn make_good(&self, next: i64, end: i64) -> Result<i64, BatchError> {
        tracing::error!(reader = %self.name, source = %self.source, next, end, "the log has lost records that were read here");
        metrics::LOG_WENT_BACK.with_label_values(&[&*self.source.service]).inc();
        self.ring.doubt();
        self.handler.rewritten(&self.source, &*self.log).await?;
        Err(BatchError::Moved(self.source.clone()))
    }

    /// Reads the log itself until the ring has the next record.
    async fn catch_up(&self, reading: &mut RunReader, looked_up_to: i64) -> Result<(), BatchError> {
        let failed = |error: LogError| BatchError::Failed(error.to_string());
        let mut cursor = self.log.read(self.source.partition, reading.next).await.map_err(failed)?;
        let generation = self.ring.generation();
        while matches!(self.ring.window(reading.next, 1, generation), Window::Behind) {
            let from = reading.checkpoint();
            let batch = reading.read(&self.source, cursor.next().await.map_err(failed)?);
            self.look_at_breaks(reading, looked_up_to, from).await?;
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

#[cfg(test)]
mod tests;
