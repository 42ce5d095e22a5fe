//! Views: each stores a batch's rows and checkpoint at once, if its checkpoint is where the batch begins; and projectors, which may die
//! between any two steps, and may compete for a view.

use super::{
    Violation,
    book::{Book, Row, amount},
    chance::Chance,
    faults::Faults,
    topic::Topic,
    violation,
    weakness::Weakness,
};
use crate::{Anchor, Batch, BatchError, BatchHandler, Checkpoint, PartitionId, RawRecord, lane::RunReader};
use futures::FutureExt;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A view and its checkpoint, in one store.
#[derive(Default)]
pub struct View {
    stored: Mutex<Stored>,
    guarded: bool,
    anchored: bool,
}

#[derive(Clone, Default)]
struct Stored {
    rows: BTreeMap<Uuid, Row>,
    checkpoint: Checkpoint,
}

#[async_trait::async_trait]
impl BatchHandler for View {
    async fn start(&self, _: &PartitionId) -> Result<Checkpoint, BatchError> {
        Ok(self.stored.lock().checkpoint)
    }

    async fn apply(&self, batch: &Batch) -> Result<(), BatchError> {
        let mut stored = self.stored.lock();
        if self.guarded && stored.checkpoint.next != batch.from.next {
            return Err(BatchError::Moved(batch.source.clone()));
        }
        let mut rows = stored.rows.clone();
        for record in &batch.records {
            let amount = amount(&record.event).map_err(|Violation(why)| BatchError::Failed(why))?;
            let row = rows.entry(record.aggregate_id).or_default();
            *row = row.moved(amount, record.version);
        }
        *stored = Stored { rows, checkpoint: batch.to };
        Ok(())
    }
}

impl View {
    /// Whether the record before a checkpoint is the one that was read.
    fn holds(&self, records: &[RawRecord], stands: Checkpoint) -> bool {
        let last = usize::try_from(stands.next - 1).ok();
        last.is_none_or(|last| records.get(last).map(Anchor::of) == stands.anchor)
    }

    /// Checks a view that stands on the log as it is. One that stands on what the log has lost is begun anew when its reader looks.
    fn judge(&self, book: &Book, records: &[RawRecord]) -> Result<(), Violation> {
        let Stored { rows, checkpoint } = self.stored.lock().clone();
        if !self.holds(records, checkpoint) {
            return Ok(());
        }
        let (due, place) = (book.rows(checkpoint.next), book.checkpoint(checkpoint.next));
        if rows == due && (checkpoint.next, checkpoint.claim) == (place.next, place.claim) {
            return Ok(());
        }
        violation(format!("a view at {checkpoint:?} has {rows:?}; the log at {place:?} makes {due:?}"))
    }
}

/// Feeds a view.
pub struct Projector {
    view: usize,
    /// How many records it reads at once at most.
    most: usize,
    reading: Option<RunReader>,
    batch: Option<Batch>,
}

/// All views with their projectors.
pub struct Views {
    source: PartitionId,
    views: Vec<View>,
    projectors: Vec<Projector>,
}

impl Views {
    /// One view with a single projector, and one for which two of them compete.
    pub fn new(source: PartitionId, weakness: Weakness, chance: &mut Chance) -> Self {
        let view = || View { stored: Mutex::default(), guarded: weakness != Weakness::NoGuard, anchored: weakness != Weakness::NoAnchor };
        let projectors = [0, 1, 1].into_iter();
        let projectors = projectors.map(|view| Projector { view, most: 2 + chance.below(10), reading: None, batch: None });
        Self { source, projectors: projectors.collect(), views: vec![view(), view()] }
    }

    /// Takes a step of some projector; if it handed a batch on, checks its view.
    pub fn step(&mut self, topic: &Topic, book: &Book, chance: &mut Chance, faults: &Faults) -> Result<(), Violation> {
        let Self { source, views, projectors } = self;
        let projector = &mut projectors[chance.below(3)];
        if chance.strikes(faults.projector_dies) {
            (projector.reading, projector.batch) = (None, None);
            return Ok(());
        }
        let view = &views[projector.view];
        let hands_on = projector.batch.is_some();
        projector.step(source, view, topic, chance, faults);
        if hands_on { view.judge(book, topic.records()) } else { Ok(()) }
    }

    pub fn told(&self) -> String {
        format!("{:?}", self.projectors)
    }

    /// Whether every projector has read all records and handed on all batches.
    pub fn caught_up(&self, end: i64) -> bool {
        let done = |reading: &RunReader| reading.next() == end;
        self.projectors.iter().all(|projector| projector.batch.is_none() && projector.reading.as_ref().is_some_and(done))
    }
}

impl std::fmt::Debug for Projector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { view, reading, batch, .. } = self;
        let (next, batch) = (reading.as_ref().map(RunReader::next), batch.as_ref().map(|batch| (batch.from, batch.to)));
        write!(f, "view {view} reads {next:?} has {batch:?}")
    }
}

impl Projector {
    fn step(&mut self, source: &PartitionId, view: &View, topic: &Topic, chance: &mut Chance, faults: &Faults) {
        let anchors = Anchors { records: topic.records(), looked_at: view.anchored };
        let Some(reading) = &mut self.reading else {
            self.reading = now(view.start(source)).ok().filter(|stands| anchors.hold(view, *stands)).map(RunReader::at);
            return;
        };
        if reading.next() > topic.end() {
            // Its consumer finds no record there, and begins anew.
            self.reading = None;
            return;
        }
        if let Some(batch) = self.batch.take() {
            return self.hand_on(batch, view, chance, faults);
        }
        let records = some(&topic.shown()[reading.next() as usize..], self.most, chance);
        self.batch = reading.read(source, records);
        let broken = reading.breaks().iter().any(|found| !anchors.hold(view, *found));
        if broken {
            (self.reading, self.batch) = (None, None);
        }
    }

    /// A batch that failed is handed on again; a projector that finds the checkpoint moved, or does not hear the outcome, begins again at
    /// the checkpoint.
    fn hand_on(&mut self, batch: Batch, view: &View, chance: &mut Chance, faults: &Faults) {
        if chance.strikes(faults.batch_fails) {
            self.batch = Some(batch);
            return;
        }
        let settled = now(view.apply(&batch));
        if settled.is_err() || chance.strikes(faults.batch_fails) {
            self.reading = None;
        }
    }
}

/// The look that a reader takes at the log before it goes on.
struct Anchors<'a> {
    records: &'a [RawRecord],
    looked_at: bool,
}

impl Anchors<'_> {
    /// Whether the log still holds what was read up to here; where it does not, the view is begun anew.
    fn hold(&self, view: &View, stands: Checkpoint) -> bool {
        let hold = !self.looked_at || view.holds(self.records, stands);
        if !hold {
            *view.stored.lock() = Stored::default();
        }
        hold
    }
}

/// Some of the records that come next.
pub fn some(records: &[RawRecord], most: usize, chance: &mut Chance) -> Vec<RawRecord> {
    let count = records.len().min(1 + chance.below(most));
    records[..count].to_vec()
}

/// The views are in memory: nothing waits.
fn now<T>(ready: impl Future<Output = T>) -> T {
    ready.now_or_never().expect("a view in memory does not wait")
}
