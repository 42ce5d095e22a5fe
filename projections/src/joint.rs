//! Writes the batches of several partitions in one transaction: batches that come while a transaction runs share the next one.
//!
//! A transaction costs nearly the same for one event as for a hundred, and an order makes a dozen events within some milliseconds, in the
//! partitions of several services. No two partitions ever write the same row (see [`View`](crate::View)), so one transaction can fold the
//! batches of them all.

use crate::{
    database::{Aside, DatabaseError, MovedReaders, Transaction},
    kept::Kept,
    writer::{BatchWriter, Care, Decoded, reading},
};
use event_store::{Batch, BatchError, PartitionId};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use tokio::{
    sync::{Mutex as Turn, oneshot},
    time::timeout,
};

/// How long a writer gathers batches before it writes them. It stops at once when somebody waits for one of them, so nobody waits for this.
const GATHER: Duration = Duration::from_millis(40);
/// From this many records on, a batch has a transaction of its own, concurrent with others, so that smaller batches do not wait for it.
const LARGE: usize = 256;

type Outcome = Result<(), BatchError>;

/// A batch to be written, and the channel that tells its caller the outcome.
struct WaitingBatch {
    batch: Batch,
    decoded: Vec<Decoded>,
    done: oneshot::Sender<Outcome>,
}

/// The batches that wait to be written; the caller that holds the `turn` writes them all.
pub(crate) struct Joint {
    writer: BatchWriter,
    waiting: Mutex<Vec<WaitingBatch>>,
    turn: Turn<()>,
}

impl WaitingBatch {
    fn new(batch: &Batch, decoded: Vec<Decoded>) -> (Self, oneshot::Receiver<Outcome>) {
        let (done, outcome) = oneshot::channel();
        (Self { batch: batch.clone(), decoded, done }, outcome)
    }
}

/// Where the database does not answer, trying each batch alone would only make the others wait.
fn tell_failed(waiting: Vec<WaitingBatch>, error: &DatabaseError) {
    for WaitingBatch { done, .. } in waiting {
        let _ = done.send(Err(BatchError::Failed(error.to_string())));
    }
}

impl Joint {
    pub(crate) fn new(writer: BatchWriter) -> Self {
        Self { writer, waiting: Mutex::default(), turn: Turn::default() }
    }

    /// The writer of single batches.
    pub(crate) fn writer(&self) -> &BatchWriter {
        &self.writer
    }

    /// Enqueues a batch, in place of an earlier one of the same partition: a reader that was stopped may have left one behind.
    fn add(&self, new: WaitingBatch) {
        let mut waiting = self.waiting.lock();
        waiting.retain(|one| one.batch.source != new.batch.source);
        waiting.push(new);
        drop(waiting);
        self.writer.database().tell_gathered();
    }

    /// The ends of the batches that wait.
    fn ends(&self) -> Vec<(PartitionId, i64)> {
        self.waiting.lock().iter().map(|one| (one.batch.source.clone(), one.batch.to.next)).collect()
    }

    /// Writes a batch, together with the others that wait.
    pub(crate) async fn keep(&self, batch: &Batch) -> Outcome {
        loop {
            let (new, mut outcome) = WaitingBatch::new(batch, self.writer.decode(batch).await?);
            let settled = if new.decoded.len() >= LARGE {
                self.write_all(vec![new]).await;
                outcome.await
            } else {
                self.add(new);
                tokio::select! {
                    biased;
                    settled = &mut outcome => settled,
                    _turn = self.turn.lock() => {
                        self.write_waiting().await;
                        outcome.await
                    }
                }
            };
            // No outcome: the caller that wrote for all was stopped, before or after its commit. Try again; if the batch was written, its
            // checkpoint has moved.
            if let Ok(settled) = settled {
                return settled;
            }
        }
    }

    async fn write_waiting(&self) {
        if self.waiting.lock().is_empty() {
            return;
        }
        // Whether somebody waits for one of them or the time is up: write the batches now.
        let _ = timeout(GATHER, self.writer.database().awaited(|| self.ends())).await;
        let waiting = std::mem::take(&mut *self.waiting.lock());
        self.write_all(waiting).await;
    }

    async fn write_all(&self, waiting: Vec<WaitingBatch>) {
        let together = match self.write_together(&waiting).await {
            Ok(together) => together,
            Err(error) if error.is_away() => return tell_failed(waiting, &error),
            Err(error) => {
                tracing::debug!(%error, "batches are written one by one");
                HashSet::new()
            }
        };
        for WaitingBatch { batch, decoded, done } in waiting {
            let written = if together.contains(&batch.source) { Ok(()) } else { self.writer.write(&batch, &decoded).await };
            if written.is_ok() {
                self.tell_moved(&batch);
            }
            // A reader that was stopped no longer listens.
            let _ = done.send(written.map_err(BatchError::from));
        }
    }

    fn tell_moved(&self, batch: &Batch) {
        for kept in reading(&self.writer.views(), &batch.source) {
            self.writer.database().tell_moved(&kept.reader, [batch]);
        }
    }

    /// Writes in one transaction the batches at whose beginning all views stand. Answers their partitions. When it fails nothing is written; the caller then writes each batch alone, which
    /// shows the cause.
    async fn write_together(&self, waiting: &[WaitingBatch]) -> Result<HashSet<PartitionId>, DatabaseError> {
        let views = self.writer.views();
        let mut open = self.writer.database().begin().await?;
        let moved = open.advance_each(&steps(&views, waiting)).await?;
        let within = moved_whole(&views, waiting, &moved)?;
        if within.is_empty() {
            return Ok(HashSet::new());
        }
        let mut asides = asides(&mut open, &views, &within, &moved).await?;
        for kept in &*views {
            self.fold(&mut open, kept, &within, &mut asides).await?;
        }
        self.writer.commit(open).await?;
        Ok(within.into_iter().map(|one| one.batch.source.clone()).collect())
    }

    /// Folds the batches into one view: together those of the partitions of which nothing is put aside, the others one by one.
    async fn fold(
        &self,
        open: &mut Transaction,
        kept: &Kept,
        within: &[&WaitingBatch],
        asides: &mut HashMap<PartitionId, Aside>,
    ) -> Result<(), DatabaseError> {
        let read = || within.iter().filter(|one| kept.reads(&one.batch.source.service));
        let (plain, mut nothing) = (read().filter(|one| !asides.contains_key(&one.batch.source)), Aside::default());
        let plain: Vec<&Decoded> = plain.flat_map(|one| &one.decoded).collect();
        self.writer.fold(open, kept, plain.into_iter(), &mut nothing, Care::AtOnce).await?;
        for WaitingBatch { batch, decoded, .. } in read() {
            if let Some(aside) = asides.get_mut(&batch.source) {
                self.writer.fold(open, kept, decoded.iter(), aside, Care::AtOnce).await?;
            }
        }
        Ok(())
    }
}

/// What is put aside or dropped in the partitions of these batches; hardly ever there is any.
async fn asides(
    open: &mut Transaction,
    views: &[Kept],
    within: &[&WaitingBatch],
    moved: &HashMap<String, MovedReaders>,
) -> Result<HashMap<PartitionId, Aside>, DatabaseError> {
    let mut asides = HashMap::new();
    for WaitingBatch { batch, .. } in within {
        if moved.get(&batch.source.to_string()).is_some_and(|moved| moved.aside) {
            let readers = reading(views, &batch.source).map(|kept| kept.reader.clone()).collect();
            asides.insert(batch.source.clone(), open.aside(readers, batch).await?);
        }
    }
    Ok(asides)
}

/// The readers whose checkpoints are to move, each with its batch.
fn steps<'a>(views: &'a [Kept], waiting: &'a [WaitingBatch]) -> Vec<(&'a str, &'a Batch)> {
    waiting.iter().flat_map(|one| reading(views, &one.batch.source).map(|kept| (kept.reader.as_str(), &one.batch))).collect()
}

/// The batches of which all checkpoints moved; fails if only some of a batch's checkpoints did.
fn moved_whole<'a>(
    views: &[Kept],
    waiting: &'a [WaitingBatch],
    moved: &HashMap<String, MovedReaders>,
) -> Result<Vec<&'a WaitingBatch>, DatabaseError> {
    let mut whole = Vec::with_capacity(waiting.len());
    for one in waiting {
        let source = &one.batch.source;
        match moved.get(&source.to_string()).map_or(0, |moved| moved.count) {
            0 => {}
            some if some == reading(views, source).count() => whole.push(one),
            _some => return Err(DatabaseError::Moved(source.clone())),
        }
    }
    Ok(whole)
}
