//! All that one process reads: which handler reads which logs, and a lane for each handler and partition.

use crate::{
    BatchHandler, PartitionId, Supervisor,
    health::{self, LaneHealth, Waiting},
    kafka::{KafkaTail, Placed},
    lane::Lane,
    log::Log,
    metrics,
};
use futures::{FutureExt, future::join_all};
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap},
    panic::AssertUnwindSafe,
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

/// A lane that was begun. Readers of a partition that are begun together share it.
#[derive(Clone, Default)]
struct Begun {
    stop: CancellationToken,
    /// Cancelled when nothing of it runs any more.
    ended: CancellationToken,
}

/// Runs the lanes of the partitions that this process is given.
pub struct Readers {
    readers: Vec<Reader>,
    logs: HashMap<&'static str, Arc<dyn Log>>,
    tail: Arc<KafkaTail>,
    running: Mutex<HashMap<LaneName, Begun>>,
    /// How the lanes fare, by reader and partition.
    health: Mutex<HashMap<LaneName, Arc<LaneHealth>>>,
    lanes: TaskTracker,
    supervisor: Supervisor,
    runtime: tokio::runtime::Handle,
}

impl Readers {
    /// Reads nothing before a partition is gained. All lanes end with the node. Call it inside the runtime.
    pub fn new(readers: Vec<Reader>, logs: HashMap<&'static str, Arc<dyn Log>>, tail: KafkaTail, supervisor: Supervisor) -> Arc<Self> {
        let runtime = tokio::runtime::Handle::current();
        let (tail, running, health, lanes) = (Arc::new(tail), Mutex::default(), Mutex::default(), TaskTracker::new());
        Arc::new(Self { readers, logs, tail, running, health, lanes, supervisor, runtime })
    }

    /// The readers, each with the services that it reads.
    pub fn all(&self) -> impl Iterator<Item = (Arc<str>, &[&'static str])> {
        self.readers.iter().map(|reader| (reader.name.clone(), &*reader.sources))
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

    fn health_of(&self, lane: &LaneName) -> Arc<LaneHealth> {
        self.health.lock().entry(lane.clone()).or_default().clone()
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

    /// Reads a partition with all its readers.
    pub fn gain_all(self: &Arc<Self>, source: &PartitionId) {
        let readers = self.readers.iter().filter(|reader| reader.sources.contains(&&*source.service));
        self.gain(readers.map(|reader| reader.name.clone()).collect(), source);
    }

    /// Reads a partition with these readers.
    fn gain(self: &Arc<Self>, names: Vec<Arc<str>>, source: &PartitionId) {
        let begun = Begun { stop: self.supervisor.stop().child_token(), ended: CancellationToken::new() };
        let lanes: Vec<LaneName> = names.into_iter().map(|name| (name, source.clone())).collect();
        // The node is not ready before its lanes have begun, so they are known from now on.
        lanes.iter().for_each(|lane| drop(self.health_of(lane)));
        let before: Vec<Begun> = {
            let mut running = self.running.lock();
            lanes.iter().filter_map(|lane| running.insert(lane.clone(), begun.clone())).collect()
        };
        before.iter().for_each(|before| before.stop.cancel());
        let this = self.clone();
        self.lanes.spawn_on(
            async move {
                let _ended = begun.ended.drop_guard();
                join_all(before.iter().map(|before| before.ended.cancelled())).await;
                this.read(&lanes, &begun.stop).await;
            },
            &self.runtime,
        );
    }

    /// Reads a partition with one reader no more: waits until its lane has ended, and lets its handler finish what it has begun. The
    /// partition leaves the tail with its last reader.
    async fn lose(&self, lane: LaneName) {
        let begun = self.running.lock().get(&lane).cloned();
        if let Some(begun) = begun {
            begun.stop.cancel();
            begun.ended.cancelled().await;
            self.finish(&lane).await;
        }
        self.health.lock().remove(&lane);
        metrics::forget_lane(&lane.0, &lane.1);
        // Locked meanwhile: another reader of the partition may just begin.
        let mut running = self.running.lock();
        running.remove(&lane);
        let (_, source) = &lane;
        if running.keys().all(|(_, read)| read != source)
            && let Err(error) = self.tail.forget(source)
        {
            tracing::warn!(?source, %error, "a partition cannot be given up");
        }
    }

    /// Waits, after the node's end, until the lanes have ended and the handlers have finished the work that they began.
    pub async fn finished(&self) {
        self.lanes.close();
        self.lanes.wait().await;
        let lanes: Vec<LaneName> = self.running.lock().keys().cloned().collect();
        join_all(lanes.iter().map(|lane| self.finish(lane))).await;
    }

    /// Lets the handler of a lane finish the work that it has begun.
    async fn finish(&self, (name, source): &LaneName) {
        if let Some(reader) = self.readers.iter().find(|reader| reader.name == *name) {
            reader.handler.finish(source).await;
        }
    }

    /// Runs lanes of one partition until they are stopped, whatever happens.
    async fn read(&self, lanes: &[LaneName], stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let begin = AssertUnwindSafe(self.begin(lanes, stop)).catch_unwind();
            let begun = tokio::select! {
                () = stop.cancelled() => return,
                begun = begin => begun,
            };
            if let Ok(begun) = begun {
                return drop(join_all(begun.into_iter().map(|lane| self.lanes.spawn(lane.run()))).await);
            }
            lanes.iter().for_each(|lane| _ = self.health_of(lane).failed(&"it met a defect, which stands in the log"));
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// The lanes of a partition, on a ring that begins at the checkpoint of its slowest reader.
    async fn begin(&self, lanes: &[LaneName], stop: &CancellationToken) -> Vec<Lane> {
        let readers: Vec<(&LaneName, &Reader)> =
            lanes.iter().filter_map(|lane| Some((lane, self.readers.iter().find(|reader| reader.name == lane.0)?))).collect();
        let Some((_, source)) = lanes.first() else { return Vec::new() };
        let Some(log) = self.logs.get(&*source.service) else { return Vec::new() };
        let mut from = i64::MAX;
        for (lane, reader) in &readers {
            from = from.min(self.first_offset(reader, lane).await);
        }
        let ring = loop {
            match self.tail.ring(source, from) {
                Ok(ring) => break ring,
                Err(error) => {
                    let failed = lanes.iter().filter(|lane| self.health_of(lane).failed(&error)).count();
                    if failed > 0 {
                        tracing::error!(?source, %error, "a partition cannot be read");
                    }
                }
            }
            tokio::time::sleep(AGAIN).await;
        };
        let lane = |(lane, reader): (&LaneName, &Reader)| {
            let (name, handler, health) = (reader.name.clone(), reader.handler.clone(), self.health_of(lane));
            Lane { name, source: source.clone(), handler, log: log.clone(), ring: ring.clone(), stop: stop.clone(), health }
        };
        readers.into_iter().map(lane).collect()
    }

    /// The offset at which a reader begins. Tries until its database answers.
    async fn first_offset(&self, reader: &Reader, lane: &LaneName) -> i64 {
        loop {
            match reader.handler.start(&lane.1).await {
                Ok(checkpoint) => return checkpoint.next,
                Err(error) => {
                    if self.health_of(lane).failed(&error) {
                        tracing::warn!(reader = %reader.name, source = ?lane.1, %error, "the checkpoint cannot be read: it is tried until it can");
                    }
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// One of the readers, as its consumer group places partitions with it. Each reader has a group of its own: so nodes that run other sets of
/// readers share the partitions of those that both run.
pub struct PlacedReader {
    /// The readers of this process.
    pub readers: Arc<Readers>,
    /// Which of them.
    pub name: Arc<str>,
}

impl Placed for PlacedReader {
    fn gained(&self, source: &PartitionId) {
        self.readers.gain(vec![self.name.clone()], source);
    }

    fn lost(&self, source: &PartitionId) {
        self.readers.runtime.block_on(self.readers.lose((self.name.clone(), source.clone())));
    }

    fn broken(&self, why: &str) {
        self.readers.supervisor.end_because(why.to_owned());
    }
}
