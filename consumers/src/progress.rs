//! The reactors' checkpoints: a partition's checkpoint passes a batch once each of its errands is settled or put by.

use crate::{
    Errand, ReactionStore,
    book::Book,
    lanes::{Fresh, until_it_answers},
};
use event_store::{Batch, BatchError, PartitionId, Passed, Waiting};
use futures::future::join_all;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

/// How many batches of a partition may be unfinished before reading waits.
const UNFINISHED_BATCHES: usize = 64;
/// How many finished batches, of all partitions, one move of the checkpoints takes.
const DONE_BATCHES: usize = 1_024;
/// How long a checkpoint may lag behind finished batches: one statement then moves all checkpoints past everything that finished meanwhile.
/// After a crash that much is delivered again, which changes nothing.
const LAG: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(200);
/// How far apart in time the places are to which reading goes back where the log has lost records.
const MARK_EVERY: Duration = Duration::from_secs(60);

/// A batch without its records, and its errands.
struct Unfinished {
    batch: Batch,
    errands: Vec<Arc<Fresh>>,
}

/// A finished batch, and the rows of its errands that are to be put by.
struct Landed {
    batch: Batch,
    rows: Vec<(Errand, Arc<Fresh>)>,
    reading: Arc<OpenBatches>,
}

/// One reading of a partition, from its beginning until it is given up.
struct OpenBatches {
    /// How many batches have not moved the checkpoint yet.
    open: watch::Sender<usize>,
}

/// A place for a batch of a partition. Its caller may be cancelled until it is filled, and no later.
pub(crate) struct Room {
    reading: Arc<OpenBatches>,
    place: mpsc::OwnedPermit<Unfinished>,
}

impl Room {
    /// Adds a batch, whose errands have begun.
    pub fn fill(self, batch: &Batch, errands: Vec<Arc<Fresh>>) {
        self.reading.open.send_modify(|open| *open += 1);
        self.place.send(Unfinished { batch: Batch { records: Vec::new(), passed: Passed::default(), ..batch.clone() }, errands });
    }
}

struct Source {
    reading: Arc<OpenBatches>,
    finishing: mpsc::Sender<Unfinished>,
}

/// The partitions whose checkpoints cannot be moved now, and why.
type Stuck = Arc<Mutex<HashMap<PartitionId, Waiting>>>;

/// The checkpoints of a service's reactors.
pub(crate) struct Progress {
    store: Arc<dyn ReactionStore>,
    book: Arc<Book>,
    landed: mpsc::Sender<Landed>,
    sources: Mutex<HashMap<PartitionId, Source>>,
    stuck: Stuck,
}

impl Progress {
    /// Starts the task that moves the checkpoints: call it inside the runtime.
    pub fn new(store: Arc<dyn ReactionStore>, book: Arc<Book>) -> Self {
        let (landed, batches) = mpsc::channel(DONE_BATCHES);
        let stuck = Stuck::default();
        tokio::spawn(follow(store.clone(), book.clone(), stuck.clone(), batches));
        Self { store, book, landed, sources: Mutex::default(), stuck }
    }

    /// Why the partition's checkpoint does not move, where it cannot.
    pub fn waits(&self, source: &PartitionId) -> Option<Waiting> {
        self.stuck.lock().get(source).cloned()
    }

    /// Begins a new reading of a partition.
    pub fn begin(&self, source: &PartitionId) {
        let (finishing, batches) = mpsc::channel(UNFINISHED_BATCHES);
        let reading = Arc::new(OpenBatches { open: watch::Sender::new(0) });
        tokio::spawn(finish(batches, self.landed.clone(), reading.clone(), self.book.clone()));
        self.sources.lock().insert(source.clone(), Source { reading, finishing });
    }

    /// Waits while too many batches of the partition are unfinished.
    pub async fn room(&self, source: &PartitionId) -> Result<Room, BatchError> {
        let moved = || BatchError::Moved(source.clone());
        let (reading, finishing) = {
            let sources = self.sources.lock();
            let source = sources.get(source).ok_or_else(moved)?;
            (source.reading.clone(), source.finishing.clone())
        };
        let place = finishing.reserve_owned().await.map_err(|_| moved())?;
        Ok(Room { reading, place })
    }

    /// Waits until errands that belong to no batch (those of a letter that is taken up) are settled or put by. The checkpoint has passed
    /// their record already, and stays.
    pub async fn put_by(&self, source: &PartitionId, errands: Vec<Arc<Fresh>>) -> Result<(), BatchError> {
        if !self.sources.lock().contains_key(source) {
            return Err(BatchError::Moved(source.clone()));
        }
        let ends = join_all(errands.iter().map(|fresh| fresh.put_by(&self.book))).await;
        let (rows, waiting): (Vec<Errand>, Vec<_>) = ends.into_iter().zip(errands).filter_map(|(row, fresh)| Some((row?, fresh))).unzip();
        let written = if rows.is_empty() { Ok(()) } else { self.write(source, &rows).await };
        waiting.iter().for_each(|fresh| if written.is_ok() { fresh.written() } else { fresh.abandoned(&self.book) });
        written
    }

    /// Writes rows without moving the checkpoint: the step begins and ends where the checkpoint stands. Repeated when it moves meanwhile.
    async fn write(&self, source: &PartitionId, rows: &[Errand]) -> Result<(), BatchError> {
        loop {
            let stands = self.store.checkpoint(source).await?;
            let step = Batch { source: source.clone(), from: stands, to: stands, records: Vec::new(), passed: Passed::default() };
            match self.store.advance(&step, rows).await {
                Err(BatchError::Moved(_)) => {}
                written => return written,
            }
        }
    }

    /// Waits until the checkpoint has passed all batches that were added to the partition; takes no more there.
    pub async fn settled(&self, source: &PartitionId) {
        let source = self.sources.lock().remove(source);
        if let Some(Source { reading, .. }) = source {
            // An error means that the counter is gone: nothing is left to wait for.
            let _ = reading.open.subscribe().wait_for(|open| *open == 0).await;
        }
    }
}

/// Passes on the batches of a partition, in order, each once its errands are settled or to be put by.
async fn finish(mut batches: mpsc::Receiver<Unfinished>, landed: mpsc::Sender<Landed>, reading: Arc<OpenBatches>, book: Arc<Book>) {
    while let Some(Unfinished { batch, errands }) = batches.recv().await {
        let ends = join_all(errands.iter().map(|fresh| fresh.put_by(&book))).await;
        let rows = ends.into_iter().zip(errands).filter_map(|(row, fresh)| Some((row?, fresh))).collect();
        if landed.send(Landed { batch, rows, reading: reading.clone() }).await.is_err() {
            return;
        }
    }
}

/// Moves the checkpoints of all partitions past their finished batches and writes the rows of errands that are put by, in one transaction.
/// Moves one by one those that it did not move.
async fn follow(store: Arc<dyn ReactionStore>, book: Arc<Book>, stuck: Stuck, landed: mpsc::Receiver<Landed>) {
    let mut marked = HashMap::new();
    let mut landed = pin!(ReceiverStream::new(landed).chunks_timeout(DONE_BATCHES, LAG));
    while let Some(landed) = landed.next().await {
        let steps = steps(landed.iter().map(|landed| &landed.batch));
        let rows: Vec<Errand> = landed.iter().flat_map(|landed| landed.rows.iter().map(|(errand, _)| errand.clone())).collect();
        let mut moved = store.advance_all(&steps, &rows).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "checkpoints are moved one by one");
            Vec::new()
        });
        for step in &steps {
            if !moved.contains(&step.source) && advance(&*store, &stuck, step, &rows_of(&step.source, &rows)).await {
                moved.push(step.source.clone());
            }
        }
        mark(&*store, steps.iter().filter(|step| moved.contains(&step.source)), &mut marked).await;
        for Landed { batch, rows, reading } in landed {
            let has_moved = moved.contains(&batch.source);
            for (errand, fresh) in rows {
                if has_moved || is_there(&*store, &errand).await { fresh.written() } else { fresh.abandoned(&book) }
            }
            reading.open.send_modify(|open| *open = open.saturating_sub(1));
        }
    }
}

/// Keeps the first place that this process passes in each partition, and one more every minute.
async fn mark<'a>(store: &dyn ReactionStore, moved: impl Iterator<Item = &'a Batch>, marked: &mut HashMap<PartitionId, Instant>) {
    for step in moved {
        if marked.get(&step.source).is_none_or(|at| at.elapsed() >= MARK_EVERY) {
            match store.mark(&step.source, step.to).await {
                Ok(()) => drop(marked.insert(step.source.clone(), Instant::now())),
                Err(error) => tracing::debug!(source = %step.source, %error, "a place that was passed is not kept"),
            }
        }
    }
}

/// Whether an errand's row is there although the checkpoint seemed to stay: the database may have committed and its answer been lost.
async fn is_there(store: &dyn ReactionStore, errand: &Errand) -> bool {
    until_it_answers("an errand's row", || store.errand(&errand.id)).await.is_some()
}

fn rows_of(source: &PartitionId, rows: &[Errand]) -> Vec<Errand> {
    rows.iter().filter(|errand| errand.source() == *source).cloned().collect()
}

/// One step for each partition, from the beginning of its first batch to the end of its last.
fn steps<'a>(batches: impl Iterator<Item = &'a Batch>) -> Vec<Batch> {
    let mut steps: Vec<Batch> = Vec::new();
    for batch in batches {
        match steps.iter_mut().find(|step| step.source == batch.source) {
            Some(step) if step.to.next < batch.to.next => step.to = batch.to,
            // A reading that began anew delivered this batch again: the step covers it.
            Some(_) => {}
            None => steps.push(batch.clone()),
        }
    }
    steps
}

/// Moves the checkpoint to the step's end. A process that had the partition before may have moved it meanwhile: everything up to the step's
/// end is done, by whichever process, so it moves from wherever it stands, and never back. False where it is at the step's end or past it
/// already.
async fn advance(store: &dyn ReactionStore, stuck: &Stuck, step: &Batch, rows: &[Errand]) -> bool {
    let (mut from, mut moved) = (step.from, false);
    while !moved && from.next < step.to.next {
        match store.advance(&Batch { from, ..step.clone() }, rows).await {
            Ok(()) => moved = true,
            Err(BatchError::Moved(_)) => match store.checkpoint(&step.source).await {
                Ok(stands) => from = stands,
                Err(error) => pause(stuck, step, &error).await,
            },
            Err(error @ BatchError::Failed(_)) => pause(stuck, step, &error).await,
        }
    }
    if let Some(waiting) = stuck.lock().remove(&step.source) {
        tracing::info!(source = ?step.source, after = ?waiting.lasted(), "the reactors' checkpoint moves again");
    }
    moved
}

async fn pause(stuck: &Stuck, step: &Batch, error: &BatchError) {
    let before = stuck.lock().remove(&step.source);
    if before.is_none() {
        tracing::warn!(source = ?step.source, %error, "the reactors' checkpoint cannot be moved: it is tried until it can");
    }
    let waiting = Waiting::begin(format!("its checkpoint cannot be moved: {error}")).continuing(before);
    stuck.lock().insert(step.source.clone(), waiting);
    tokio::time::sleep(PAUSE).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_sourcing::Timestamp;
    use event_store::Checkpoint;
    use uuid::Uuid;

    type Step = (i32, i64, i64);

    /// The steps that the test's store was asked for: of many partitions together, and of one alone.
    #[derive(Default)]
    struct Moves {
        together: Mutex<Vec<Vec<Step>>>,
        alone: Mutex<Vec<Step>>,
    }

    fn step(batch: &Batch) -> Step {
        (batch.source.partition, batch.from.next, batch.to.next)
    }

    /// A store in which another process has moved partition 1 to offset 2.
    #[async_trait::async_trait]
    impl ReactionStore for Moves {
        async fn checkpoint(&self, _: &PartitionId) -> Result<Checkpoint, BatchError> {
            Ok(Checkpoint::new(2, None))
        }

        async fn advance(&self, batch: &Batch, _: &[Errand]) -> Result<(), BatchError> {
            self.alone.lock().push(step(batch));
            if batch.from.next == 2 { Ok(()) } else { Err(BatchError::Moved(batch.source.clone())) }
        }

        async fn advance_all(&self, batches: &[Batch], _: &[Errand]) -> Result<Vec<PartitionId>, BatchError> {
            self.together.lock().push(batches.iter().map(step).collect());
            Ok(batches.iter().map(|batch| batch.source.clone()).filter(|source| source.partition != 1).collect())
        }

        async fn mark(&self, _: &PartitionId, _: Checkpoint) -> Result<(), BatchError> {
            Ok(())
        }

        async fn marks(&self, _: &PartitionId) -> Result<Vec<Checkpoint>, BatchError> {
            Ok(Vec::new())
        }

        async fn set_back(&self, _: &PartitionId, _: Checkpoint) -> Result<(), BatchError> {
            Ok(())
        }

        async fn put_by(&self, _: &PartitionId) -> Result<Vec<(Uuid, Uuid)>, String> {
            Ok(Vec::new())
        }

        async fn due(&self, _: &[PartitionId], _: (Timestamp, Timestamp), _: u32) -> Result<Vec<Errand>, String> {
            Ok(Vec::new())
        }

        async fn errand(&self, _: &str) -> Result<Option<Errand>, String> {
            Ok(None)
        }

        async fn rewrite(&self, _: &Errand) -> Result<(), String> {
            Ok(())
        }

        async fn remove(&self, _: &str) -> Result<(), String> {
            Ok(())
        }
    }

    fn landed(partition: i32, from: i64, to: i64) -> Landed {
        let at = |next| Checkpoint::new(next, None);
        let source = PartitionId { service: "orders".into(), partition };
        let batch = Batch { source, from: at(from), to: at(to), records: Vec::new(), passed: Passed::default() };
        Landed { batch, rows: Vec::new(), reading: Arc::new(OpenBatches { open: watch::Sender::new(1) }) }
    }

    #[tokio::test]
    async fn all_partitions_move_together_and_one_that_somebody_else_moved_by_itself() {
        let moves = Arc::new(Moves::default());
        let (to, batches) = mpsc::channel(DONE_BATCHES);
        for (partition, from, until) in [(0, 0, 3), (1, 0, 1), (0, 3, 4), (1, 1, 5), (0, 1, 2)] {
            assert!(to.send(landed(partition, from, until)).await.is_ok());
        }
        drop(to);
        follow(moves.clone(), Arc::new(Book::new("orders")), Stuck::default(), batches).await;
        assert_eq!(*moves.together.lock(), [[(0, 0, 4), (1, 0, 5)]]);
        assert_eq!(*moves.alone.lock(), [(1, 0, 5), (1, 2, 5)]);
    }
}
