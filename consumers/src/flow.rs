//! Work in flight: each aggregate's in order, aggregates side by side, and a checkpoint that follows the slowest.

use crate::runner::{Checkpoints, READER};
use event_store::{Batch, BatchError, Counted, PartitionId};
use parking_lot::Mutex;
use std::{collections::HashMap, future::Future, pin::pin, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use uuid::Uuid;

/// How many batches of a partition may be unfinished before reading waits.
const UNFINISHED_BATCHES: usize = 64;
/// From how many remembered aggregates on the finished ones are forgotten.
const PRUNE_FROM: usize = 4_096;
/// How many batches, of all partitions, may be done before their checkpoints move.
const DONE_BATCHES: usize = 1_024;
/// How long a checkpoint may lag what is done: one statement then moves all of them past all that was done meanwhile. A crash costs that much
/// redelivery, which changes nothing.
const LAG: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(200);

/// The end of an aggregate's queue: it resolves when the work before is done.
type Tail = oneshot::Receiver<()>;
/// A batch without its records, and the ends of its work.
type Unfinished = (Batch, Vec<Tail>);

pub(crate) struct Flow {
    permits: Arc<Semaphore>,
    landed: mpsc::Sender<Batch>,
    sources: Mutex<HashMap<PartitionId, Source>>,
}

struct Source {
    tails: HashMap<Uuid, Tail>,
    finishing: mpsc::Sender<Unfinished>,
}

impl Flow {
    /// At most `concurrency` aggregates are worked on at once. Call it inside the runtime.
    pub fn new(concurrency: usize, checkpoints: Arc<dyn Checkpoints>) -> Self {
        let (landed, batches) = mpsc::channel(DONE_BATCHES);
        tokio::spawn(follow(checkpoints, batches));
        Self { permits: Arc::new(Semaphore::new(concurrency)), landed, sources: Mutex::default() }
    }

    /// Begins a partition anew: what is still in flight finishes, but moves no checkpoint any more.
    pub fn begin(&self, source: &PartitionId) {
        let (finishing, batches) = mpsc::channel(UNFINISHED_BATCHES);
        tokio::spawn(finish(batches, self.landed.clone()));
        self.sources.lock().insert(source.clone(), Source { tails: HashMap::new(), finishing });
    }

    /// Sets a batch's work going, aggregate by aggregate, and returns as soon as the limits let it.
    pub async fn take<W, F>(&self, batch: &Batch, lanes: HashMap<Uuid, Vec<Counted>>, work: W) -> Result<(), BatchError>
    where
        W: Fn(Vec<Counted>) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut ends = Vec::with_capacity(lanes.len());
        for (aggregate, records) in lanes {
            let permit = self.permits.clone().acquire_owned().await.map_err(|error| BatchError::Failed(error.to_string()))?;
            ends.push(self.queue(&batch.source, aggregate, permit, work(records))?);
        }
        let finishing = self.sources.lock().get(&batch.source).map(|source| source.finishing.clone());
        let moved = || BatchError::Moved(batch.source.clone());
        let bare = Batch { records: Vec::new(), ..batch.clone() };
        finishing.ok_or_else(moved)?.send((bare, ends)).await.map_err(|_| moved())
    }

    fn queue(
        &self,
        source: &PartitionId,
        aggregate: Uuid,
        permit: OwnedSemaphorePermit,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Tail, BatchError> {
        let mut sources = self.sources.lock();
        let tails = &mut sources.get_mut(source).ok_or_else(|| BatchError::Moved(source.clone()))?.tails;
        if tails.len() >= PRUNE_FROM {
            tails.retain(|_, tail| matches!(tail.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        }
        let (done, tail) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        let before = tails.insert(aggregate, tail);
        tokio::spawn(async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            work.await;
            drop(permit);
            let _ = done.send(());
            let _ = ended.send(());
        });
        Ok(end)
    }
}

/// Hands the batches of a partition on, in order, each once all its work is done.
async fn finish(mut batches: mpsc::Receiver<Unfinished>, landed: mpsc::Sender<Batch>) {
    while let Some(unfinished) = batches.recv().await {
        let Some(batch) = done(unfinished).await else { return };
        if landed.send(batch).await.is_err() {
            return;
        }
    }
}

/// Moves the checkpoints of all partitions past what is done.
async fn follow(checkpoints: Arc<dyn Checkpoints>, landed: mpsc::Receiver<Batch>) {
    let mut landed = pin!(ReceiverStream::new(landed).chunks_timeout(DONE_BATCHES, LAG));
    while let Some(batches) = landed.next().await {
        let steps = steps(batches);
        let moved = checkpoints.advance_all(READER, &steps).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "checkpoints are moved one by one");
            Vec::new()
        });
        for step in steps.iter().filter(|step| !moved.contains(&step.source)) {
            advance(&*checkpoints, step).await;
        }
    }
}

/// One step for each partition, from where its first batch begins to where its last one ends.
fn steps(batches: Vec<Batch>) -> Vec<Batch> {
    let mut steps: Vec<Batch> = Vec::new();
    for batch in batches {
        match steps.iter_mut().find(|step| step.source == batch.source) {
            Some(step) if step.to.next < batch.to.next => step.to = batch.to,
            // Of a reading that was begun anew meanwhile.
            Some(_) => {}
            None => steps.push(batch),
        }
    }
    steps
}

/// The batch once its work is done; none where that was cut off.
async fn done((batch, ends): Unfinished) -> Option<Batch> {
    for end in ends {
        if end.await.is_err() {
            tracing::error!(source = ?batch.source, "work was cut off: it will be delivered again");
            return None;
        }
    }
    Some(batch)
}

/// Moves the checkpoint to the batch's end. Another process that was given the partition before may have moved it meanwhile: all up to the
/// batch's end is done, whoever did it, so it is moved from wherever it stands, and never back.
async fn advance(checkpoints: &dyn Checkpoints, batch: &Batch) {
    let mut from = batch.from;
    while from.next < batch.to.next {
        match checkpoints.advance(READER, &Batch { from, ..batch.clone() }).await {
            Ok(()) => return,
            Err(BatchError::Moved(_)) => match checkpoints.checkpoint(READER, &batch.source).await {
                Ok(stands) => from = stands,
                Err(error) => pause(batch, &error).await,
            },
            Err(error @ BatchError::Failed(_)) => pause(batch, &error).await,
        }
    }
}

async fn pause(batch: &Batch, error: &BatchError) {
    tracing::warn!(source = ?batch.source, %error, "the reactors' checkpoint cannot be moved yet");
    tokio::time::sleep(PAUSE).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_store::Checkpoint;

    /// What was asked: of many at once, and of one.
    #[derive(Default)]
    struct Asked {
        together: Mutex<Vec<Vec<(i32, i64, i64)>>>,
        alone: Mutex<Vec<(i32, i64, i64)>>,
    }

    fn step(batch: &Batch) -> (i32, i64, i64) {
        (batch.source.partition, batch.from.next, batch.to.next)
    }

    /// Somebody else has moved partition 1 to offset 2.
    #[async_trait::async_trait]
    impl Checkpoints for Asked {
        async fn checkpoint(&self, _: &str, _: &PartitionId) -> Result<Checkpoint, BatchError> {
            Ok(Checkpoint { next: 2, claim: None })
        }

        async fn advance(&self, _: &str, batch: &Batch) -> Result<(), BatchError> {
            self.alone.lock().push(step(batch));
            if batch.from.next == 2 { Ok(()) } else { Err(BatchError::Moved(batch.source.clone())) }
        }

        async fn advance_all(&self, _: &str, batches: &[Batch]) -> Result<Vec<PartitionId>, BatchError> {
            self.together.lock().push(batches.iter().map(step).collect());
            Ok(batches.iter().map(|batch| batch.source.clone()).filter(|source| source.partition != 1).collect())
        }
    }

    fn batch(partition: i32, from: i64, to: i64) -> Batch {
        let at = |next| Checkpoint { next, claim: None };
        Batch { source: PartitionId { service: "orders".into(), partition }, from: at(from), to: at(to), records: Vec::new() }
    }

    #[tokio::test]
    async fn all_partitions_move_together_and_one_that_somebody_else_moved_by_itself() {
        let asked = Arc::new(Asked::default());
        let (landed, batches) = mpsc::channel(DONE_BATCHES);
        for (partition, from, to) in [(0, 0, 3), (1, 0, 1), (0, 3, 4), (1, 1, 5), (0, 1, 2)] {
            landed.send(batch(partition, from, to)).await.unwrap();
        }
        drop(landed);
        follow(asked.clone(), batches).await;
        assert_eq!(*asked.together.lock(), [[(0, 0, 4), (1, 0, 5)]]);
        assert_eq!(*asked.alone.lock(), [(1, 0, 5), (1, 2, 5)]);
    }
}
