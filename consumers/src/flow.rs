//! Work in flight: each aggregate's in order, aggregates side by side, and a checkpoint that follows the slowest.

use crate::runner::{Checkpoints, READER};
use event_store::{Batch, BatchError, Counted, PartitionId};
use futures::stream;
use parking_lot::Mutex;
use std::{collections::HashMap, future::Future, pin::pin, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_stream::StreamExt;
use uuid::Uuid;

/// How many batches of a partition may be unfinished before reading waits.
const UNFINISHED_BATCHES: usize = 64;
/// From how many remembered aggregates on the finished ones are forgotten.
const PRUNE_FROM: usize = 4_096;
/// How long a checkpoint may lag what is done: one transaction then moves it past all that was done meanwhile. A crash costs that much
/// redelivery, which changes nothing.
const LAG: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(200);

/// The end of an aggregate's queue: it resolves when the work before is done.
type Tail = oneshot::Receiver<()>;
/// A batch without its records, and the ends of its work.
type Unfinished = (Batch, Vec<Tail>);

pub(crate) struct Flow {
    permits: Arc<Semaphore>,
    checkpoints: Arc<dyn Checkpoints>,
    sources: Mutex<HashMap<PartitionId, Source>>,
}

struct Source {
    tails: HashMap<Uuid, Tail>,
    finishing: mpsc::Sender<Unfinished>,
}

impl Flow {
    /// At most `concurrency` aggregates are worked on at once.
    pub fn new(concurrency: usize, checkpoints: Arc<dyn Checkpoints>) -> Self {
        Self { permits: Arc::new(Semaphore::new(concurrency)), checkpoints, sources: Mutex::default() }
    }

    /// Begins a partition anew: what is still in flight finishes, but moves no checkpoint any more.
    pub fn begin(&self, source: &PartitionId) {
        let (finishing, batches) = mpsc::channel(UNFINISHED_BATCHES);
        tokio::spawn(finish(self.checkpoints.clone(), batches));
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

/// Moves the checkpoint past the batches, in order, once all of them is done.
async fn finish(checkpoints: Arc<dyn Checkpoints>, batches: mpsc::Receiver<Unfinished>) {
    let done = stream::unfold(batches, |mut batches| async { done(batches.recv().await?).await.map(|batch| (batch, batches)) });
    let mut steps = pin!(done.chunks_timeout(UNFINISHED_BATCHES, LAG));
    while let Some(step) = steps.next().await {
        if let Some((first, last)) = step.first().zip(step.last()) {
            advance(&*checkpoints, &Batch { from: first.from, ..last.clone() }).await;
        }
    }
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
