//! All that one process reads: which handler reads which logs, and a lane for each handler and partition.

use crate::{
    BatchHandler, PartitionId,
    health::{self, LaneHealth, Waiting},
    kafka::{KafkaTail, Placed},
    lane::Lane,
    log::Log,
    metrics,
};
use futures::future::join_all;
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long to wait before a partition whose lanes could not begin is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// A handler and the services whose logs it reads.
pub struct Reader {
    /// The reader's name, in logs and metrics: `orders/views`.
    pub name: Arc<str>,
    /// The services whose logs it reads.
    pub sources: Vec<&'static str>,
    /// Takes the batches.
    pub handler: Arc<dyn BatchHandler>,
}

/// A lane's reader and partition.
type LaneName = (Arc<str>, PartitionId);

/// Runs the lanes of the partitions that this process is given.
pub struct Readers {
    readers: Vec<Reader>,
    logs: HashMap<&'static str, Arc<dyn Log>>,
    tail: Arc<KafkaTail>,
    running: Mutex<HashMap<PartitionId, CancellationToken>>,
    /// How the lanes fare, by reader and partition.
    health: Mutex<HashMap<LaneName, Arc<LaneHealth>>>,
    lanes: TaskTracker,
    stop: CancellationToken,
    runtime: tokio::runtime::Handle,
}

impl Readers {
    /// Reads nothing before a partition is gained. `stop` ends all lanes. Call it inside the runtime.
    pub fn new(readers: Vec<Reader>, logs: HashMap<&'static str, Arc<dyn Log>>, tail: KafkaTail, stop: CancellationToken) -> Arc<Self> {
        let runtime = tokio::runtime::Handle::current();
        let (tail, running, health, lanes) = (Arc::new(tail), Mutex::default(), Mutex::default(), TaskTracker::new());
        Arc::new(Self { readers, logs, tail, running, health, lanes, stop, runtime })
    }

    /// The services that any reader here reads.
    pub fn sources(&self) -> Vec<&'static str> {
        self.readers.iter().flat_map(|reader| reader.sources.iter().copied()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Each reader, and why it does not do its work where it does not: the trouble of one of its partitions. `ends` are the ends of the
    /// logs, as far as they are known.
    pub fn troubles(&self, ends: &HashMap<PartitionId, i64>) -> Vec<(Arc<str>, Option<String>)> {
        let (now, health) = (Instant::now(), self.health.lock());
        let of = |reader: &Reader| {
            let lanes = health.iter().filter(|((name, _), _)| *name == reader.name);
            let trouble = |((_, source), lane): (&LaneName, &Arc<LaneHealth>)| {
                let own = lane.trouble(now, ends.get(source).copied());
                let why = own.or_else(|| health::lasting(&reader.handler.waits(source)?, now))?;
                Some(if why.is_empty() { why } else { format!("{source}: {why}") })
            };
            // Always the same of several, so that the reason stands still.
            (reader.name.clone(), lanes.filter_map(trouble).max())
        };
        self.readers.iter().map(of).collect()
    }

    /// The log of a partition is shorter than it was: its readers look again whether it holds what they have read.
    pub fn went_back(&self, source: &PartitionId) {
        self.tail.doubt(source);
    }

    /// Sets the metrics of each lane: how far it is behind the log's end, which was asked for, and for how long it has been waiting.
    pub fn measure(&self, ends: &HashMap<PartitionId, i64>) {
        let (now, health) = (Instant::now(), self.health.lock());
        for reader in &self.readers {
            for ((_, source), lane) in health.iter().filter(|((name, _), _)| *name == reader.name) {
                let end = ends.get(source).copied();
                let waiting = lane.waiting(now, end).or_else(|| reader.handler.waits(source));
                metrics::lane(&reader.name, source, end.map(|end| lane.lag(end)), waiting.as_ref().map(Waiting::lasted));
            }
        }
    }

    /// The readers of a partition.
    fn readers_of<'a>(&'a self, source: &'a PartitionId) -> impl Iterator<Item = &'a Reader> {
        self.readers.iter().filter(|reader| reader.sources.contains(&&*source.service))
    }

    fn health_of(&self, reader: &Reader, source: &PartitionId) -> Arc<LaneHealth> {
        self.health.lock().entry((reader.name.clone(), source.clone())).or_default().clone()
    }

    /// Waits, after `stop`, until the lanes have ended and the handlers have finished the work that they began.
    pub async fn finished(&self) {
        self.lanes.close();
        self.lanes.wait().await;
        let sources: Vec<PartitionId> = self.running.lock().keys().cloned().collect();
        join_all(sources.iter().map(|source| self.finish(source))).await;
    }

    /// Lets the handlers of a partition finish the work that they have begun.
    async fn finish(&self, source: &PartitionId) {
        let readers = self.readers.iter().filter(|reader| reader.sources.contains(&&*source.service));
        join_all(readers.map(|reader| reader.handler.finish(source))).await;
    }

    /// Begins the lanes of a partition, on a ring that begins at the checkpoint of its slowest reader.
    async fn begin(self: Arc<Self>, source: PartitionId, stop: CancellationToken) {
        let readers: Vec<&Reader> = self.readers_of(&source).collect();
        let Some(log) = self.logs.get(&*source.service) else { return };
        let mut from = i64::MAX;
        for reader in &readers {
            from = from.min(first_offset(reader, &source, &self.health_of(reader, &source)).await);
        }
        let ring = loop {
            match self.tail.ring(&source, from) {
                Ok(ring) => break ring,
                Err(error) => {
                    let failed = readers.iter().filter(|reader| self.health_of(reader, &source).failed(&error)).count();
                    if failed > 0 {
                        tracing::error!(?source, %error, "a partition cannot be read");
                    }
                }
            }
            tokio::time::sleep(AGAIN).await;
        };
        for reader in readers {
            let (name, handler, health) = (reader.name.clone(), reader.handler.clone(), self.health_of(reader, &source));
            let lane = Lane { name, source: source.clone(), handler, log: log.clone(), ring: ring.clone(), stop: stop.clone(), health };
            self.lanes.spawn(lane.run());
        }
    }
}

/// The offset at which a reader begins. Tries until its database answers.
async fn first_offset(reader: &Reader, source: &PartitionId, health: &LaneHealth) -> i64 {
    loop {
        match reader.handler.start(source).await {
            Ok(checkpoint) => return checkpoint.next,
            Err(error) => {
                if health.failed(&error) {
                    tracing::warn!(reader = %reader.name, ?source, %error, "the checkpoint cannot be read: it is tried until it can");
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// `Placed` for readers in an `Arc`, which the task that begins a partition's lanes keeps.
pub struct PlacedReaders(pub Arc<Readers>);

impl Placed for PlacedReaders {
    fn gained(&self, source: &PartitionId) {
        let stop = self.0.stop.child_token();
        if let Some(old) = self.0.running.lock().insert(source.clone(), stop.clone()) {
            old.cancel();
        }
        // The node is not ready before its lanes have begun, so they are known from now on.
        self.0.readers_of(source).for_each(|reader| drop(self.0.health_of(reader, source)));
        let begin = self.0.clone().begin(source.clone(), stop.clone());
        self.0.runtime.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = begin => {}
            }
        });
    }

    fn lost(&self, source: &PartitionId) {
        let stop = self.0.running.lock().remove(source);
        self.0.health.lock().retain(|(_, known), _| known != source);
        self.0.readers_of(source).for_each(|reader| metrics::forget_lane(&reader.name, source));
        if let Some(stop) = stop {
            stop.cancel();
            self.0.runtime.block_on(self.0.finish(source));
        }
        if let Err(error) = self.0.tail.forget(source) {
            tracing::warn!(?source, %error, "a partition cannot be given up");
        }
    }
}
