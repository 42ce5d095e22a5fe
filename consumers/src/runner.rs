//! Runs the reactors of one service over the batches of a subscription.

pub use crate::attempt::EffectKind;
use crate::{
    DeadLetters, Errand, Patience, ReactionStore, Reactor,
    attempt::Attempts,
    book::Book,
    lanes::{Fresh, Lanes, until_it_answers},
    meta, metrics,
    progress::Progress,
    worker::Worker,
};
use codec::{Codecs, DecodeError, Learned};
use event_sourcing::{AnyEvent, Recorded};
use event_store::{
    Aggregates, Batch, BatchError, BatchHandler, Checkpoint, Counted, Log, LogError, PartitionId, Waiting, furthest_anchored,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The name of the reactors in the checkpoints: one for a service, since one pass over the logs serves them all.
pub const READER: &str = "reactors";
/// How long giving up a partition waits for the errands that were begun there.
const FINISH_WITHIN: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(20);

/// The parts of which the reactors of one service are made.
pub struct ReactorParts {
    /// The service: `products`.
    pub service: &'static str,
    /// The reactors.
    pub reactors: Vec<Reactor>,
    /// Sends commands to their aggregates.
    pub aggregates: Aggregates,
    /// The kinds of effects, by name.
    pub kinds: HashMap<&'static str, EffectKind>,
    /// How long and how often commands are tried.
    pub patience: Patience,
    /// The checkpoints and the errands that are put by, in the service's own database.
    pub store: Arc<dyn ReactionStore>,
    /// Keeps the records that cannot be read.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Decodes events.
    pub codecs: Codecs,
    /// The logs, by service. They tell where each partition ended when this process began to read it.
    pub logs: BTreeMap<&'static str, Arc<dyn Log>>,
    /// How many commands are under way at once.
    pub concurrency: usize,
    /// Ends the worker, which tries the errands that are put by.
    pub stop: CancellationToken,
}

/// The reactors of one service: many errands under way, order kept between each two aggregates.
pub struct Reactors {
    service: &'static str,
    reactors: Vec<Reactor>,
    codecs: Codecs,
    store: Arc<dyn ReactionStore>,
    dead_letters: Arc<dyn DeadLetters>,
    logs: BTreeMap<&'static str, Arc<dyn Log>>,
    book: Arc<Book>,
    lanes: Arc<Lanes>,
    progress: Progress,
    worker: Arc<Worker>,
    /// Aggregates that may have letters; the database decides.
    parked: Mutex<HashSet<Uuid>>,
    /// The records of each partition that were dropped for good before this process began to read it, by offset and event id.
    dropped: Mutex<HashMap<PartitionId, HashSet<(i64, String)>>>,
    /// Where each partition ended when this process began to read it: events below that may have been reacted to already.
    ends: Mutex<HashMap<PartitionId, i64>>,
}

impl Reactors {
    /// Reactors that have read nothing yet. Call it inside the runtime.
    pub fn new(parts: ReactorParts) -> Self {
        let ReactorParts { service, reactors, aggregates, kinds, patience, store, dead_letters, codecs, logs, concurrency, stop } = parts;
        let attempts = Arc::new(Attempts { aggregates, kinds, patience, permits: Semaphore::new(concurrency) });
        let book = Arc::new(Book::new(service));
        let lanes = Lanes::new(attempts.clone(), book.clone(), store.clone());
        let progress = Progress::new(store.clone(), book.clone());
        let worker = Arc::new(Worker { store: store.clone(), attempts, book: book.clone() });
        tokio::spawn(worker.clone().run(stop));
        let (parked, dropped, ends) = Default::default();
        Self { service, reactors, codecs, store, dead_letters, logs, book, lanes, progress, worker, parked, dropped, ends }
    }

    /// Takes up a record that was put aside. When this returns, its errands are settled or put by, so that the letter may go.
    ///
    /// # Errors
    /// The reason, in words: the record still cannot be read, a reactor panics on it, or its errands cannot be put by now.
    pub async fn take_up(&self, record: &Counted) -> Result<(), String> {
        let event = self.decode(record).await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let errands = self.react(&event)?;
        let fresh: Vec<_> = errands.into_iter().map(|errand| self.lanes.enqueue(errand, true)).collect();
        let source = PartitionId { service: record.position.service.clone(), partition: record.position.partition };
        self.progress.put_by(&source, fresh).await.map_err(|error| error.to_string())
    }

    /// Tries a dead errand once more.
    ///
    /// # Errors
    /// The reason, in words: there is no dead errand of this id, or it still cannot be done.
    pub async fn redrive(&self, id: &str) -> Result<(), String> {
        // In a task of its own: a caller that hangs up must not cut it off half done.
        tokio::spawn(self.worker.clone().redrive(id.to_owned())).await.map_err(|error| error.to_string())?
    }

    /// Gives a dead errand up for good; false where there is none of this id.
    ///
    /// # Errors
    /// The reason, in words: it is being tried, or the database does not answer.
    pub async fn drop_errand(&self, id: &str) -> Result<bool, String> {
        tokio::spawn(self.worker.clone().give_up(id.to_owned())).await.map_err(|error| error.to_string())?
    }

    /// The errands of an event; the reason where a reactor panics on it.
    fn react(&self, event: &Recorded<AnyEvent>) -> Result<Vec<Errand>, String> {
        let react = || self.reactors.iter().flat_map(|reactor| reactor.react(event)).collect();
        let reactions = catch_unwind(AssertUnwindSafe(react)).map_err(|panic| {
            let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
            let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            format!("the reactor met a defect: {words}")
        })?;
        Ok(Errand::all(event, reactions, meta::now()))
    }

    /// Decodes a record. The inner error says that it never can be decoded; the outer one, that it cannot be decoded now.
    async fn decode(&self, record: &Counted) -> Result<Result<Recorded<AnyEvent>, DecodeError>, BatchError> {
        let decode = || self.codecs.decode(&record.position.service, &record.event);
        let decoded = match decode() {
            Err(DecodeError::UnknownSchema(id)) => match self.codecs.schemas().learn(id).await {
                Learned::Known => decode(),
                Learned::NeverGiven => Err(DecodeError::UnknownSchema(id)),
                Learned::NotNow => return Err(BatchError::Failed(format!("{}: schema id {id} cannot be learned now", record.position))),
            },
            decoded => decoded,
        };
        Ok(decoded.map(|event| record.with(event)))
    }

    /// Puts a record aside behind the letters of its aggregate, where it has any.
    async fn stands_behind(&self, record: &Counted) -> bool {
        let aggregate = record.aggregate_id;
        if !self.parked.lock().contains(&aggregate) {
            return false;
        }
        let parked = until_it_answers("the dead letters", || self.dead_letters.park_behind(record)).await;
        if !parked {
            self.parked.lock().remove(&aggregate);
        }
        parked
    }

    async fn park(&self, record: &Counted, reason: &str) {
        tracing::error!(service = self.service, position = %record.position, reason, "a record is put aside, and its aggregate with it");
        metrics::DEAD_LETTERS.with_label_values(&[self.service]).inc();
        self.parked.lock().insert(record.aggregate_id);
        until_it_answers("the dead letters", || self.dead_letters.park(record, reason)).await;
    }

    /// Whether the record was dropped for good.
    fn is_dropped(&self, source: &PartitionId, record: &Counted) -> bool {
        let dropped = self.dropped.lock();
        let of_source = dropped.get(source).filter(|dropped| !dropped.is_empty());
        of_source.is_some_and(|dropped| dropped.contains(&(record.position.offset, record.event_id.clone())))
    }

    /// Enqueues a record's errands; none where it was put aside.
    async fn set_going(&self, record: &Counted, event: Result<Recorded<AnyEvent>, DecodeError>, may_be_done: bool) -> Vec<Arc<Fresh>> {
        if self.stands_behind(record).await {
            return Vec::new();
        }
        let errands = event.map_err(|error| error.to_string()).and_then(|event| self.react(&event));
        match errands {
            Ok(errands) => errands.into_iter().map(|errand| self.lanes.enqueue(errand, may_be_done)).collect(),
            Err(reason) => {
                self.park(record, &reason).await;
                Vec::new()
            }
        }
    }

    /// A partition's end now. Where the log does not answer, the highest offset: all events then count as old.
    async fn end(&self, source: &PartitionId) -> i64 {
        match self.logs.get(&*source.service) {
            Some(log) => log.end(source.partition).await.unwrap_or(i64::MAX),
            None => 0,
        }
    }
}

#[async_trait::async_trait]
impl BatchHandler for Reactors {
    async fn start(&self, source: &PartitionId) -> Result<Checkpoint, BatchError> {
        let parked = self.dead_letters.parked(source).await.map_err(BatchError::Failed)?;
        self.parked.lock().extend(parked);
        let dropped = self.dead_letters.dropped(source).await.map_err(BatchError::Failed)?;
        self.dropped.lock().insert(source.clone(), dropped);
        let end = self.end(source).await;
        self.ends.lock().insert(source.clone(), end);
        self.book.open(source, self.store.put_by(source).await.map_err(BatchError::Failed)?);
        self.progress.begin(source);
        self.store.checkpoint(source).await
    }

    /// Enqueues the batch's errands. The checkpoint passes the batch once each is settled or put by; redelivery is harmless.
    async fn apply(&self, batch: &Batch) -> Result<(), BatchError> {
        let end = self.ends.lock().get(&batch.source).copied().unwrap_or(i64::MAX);
        // All records are decoded before any errand is enqueued: a batch that fails here is delivered again.
        let mut events = Vec::with_capacity(batch.records.len());
        for record in &batch.records {
            events.push(self.decode(record).await?);
        }
        let mut errands = Vec::new();
        let read = batch.records.iter().zip(events).filter(|(record, _)| !self.is_dropped(&batch.source, record));
        for (record, event) in read {
            errands.extend(self.set_going(record, event, record.position.offset < end).await);
        }
        self.progress.add(batch, errands).await
    }

    /// Goes back to the furthest place that the log still holds. What was done for events that are lost stays done; what is done again for
    /// events that are read again changes nothing, as after a restart.
    async fn rewritten(&self, source: &PartitionId, log: &dyn Log) -> Result<(), BatchError> {
        // What is under way must not move the checkpoint after it was set back.
        self.finish(source).await;
        let stands = self.store.checkpoint(source).await?;
        let passed = self.store.marks(source).await?.into_iter().filter(|mark| mark.next < stands.next).collect();
        let failed = |error: LogError| BatchError::Failed(error.to_string());
        let to = furthest_anchored(log, source, passed).await.map_err(failed)?;
        tracing::warn!(service = self.service, %source, from = stands.next, to = to.next, "the reactors go back to where the log is what they read");
        self.store.set_back(source, to).await
    }

    async fn finish(&self, source: &PartitionId) {
        self.book.close(source);
        let finished = async {
            self.progress.settled(source).await;
            while self.book.is_running(source) {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(FINISH_WITHIN, finished).await.is_err() {
            tracing::warn!(service = self.service, ?source, "not all that was begun could be finished: some of it may be done again");
        }
        self.book.forget(source);
    }

    fn waits(&self, source: &PartitionId) -> Option<Waiting> {
        self.progress.waits(source)
    }
}
