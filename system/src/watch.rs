//! Watches a node's log and readers while it runs: says what does not do its work, and ends the node when its log is another one.

use crate::{
    Failure, StoreArguments,
    identity::{self, Foreign, LogsByService, Presents, SnapshotLogs},
};
use event_store::{
    LogError, PartitionId, Readers, Readiness,
    kafka::{OwnersTopic, Topics, topic_of},
};
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use projections::Database;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// How often the readers are asked how they fare.
const EVERY: Duration = Duration::from_millis(200);
/// How often the readers' metrics are set.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// How often the log's ends are asked for.
const ENDS_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether the logs have the partitions that they had.
const LAYOUT_EVERY: Duration = Duration::from_secs(2);
/// How often it is looked whether there are logs whose identity is not kept yet.
const ADOPT_EVERY: Duration = Duration::from_secs(60);
/// The same, until all are kept once.
const ADOPT_FIRST_EVERY: Duration = Duration::from_secs(1);
/// How long the log may be silent before that counts.
const SILENCE: Duration = Duration::from_secs(10);
/// How often in a row a log must be shorter than it was: a new leader of a partition may answer an older end for a moment.
const SHORTER: u32 = 3;
/// How many partitions are asked at once.
const AT_ONCE: usize = 16;
/// The condition of readiness that holds while the log answers.
const LOG: &str = "log";

/// Why a node had to end; none while it need not.
pub(crate) type Ended = Arc<Mutex<Option<Failure>>>;

/// The parts of a node that are watched.
pub(crate) struct Watched {
    pub arguments: StoreArguments,
    pub logs: LogsByService,
    pub topics: Arc<Topics>,
    /// How many partitions each log has, as this node found it at its start.
    pub partitions: HashMap<&'static str, i32>,
    pub sources: Vec<PartitionId>,
    pub databases: BTreeMap<&'static str, Database>,
    /// The partitions that each of the databases is made of.
    pub reads: BTreeMap<&'static str, Vec<PartitionId>>,
    /// The partitions of which this node may keep snapshots.
    pub snapshots: Vec<PartitionId>,
    pub readers: Arc<Readers>,
    /// What was heard of the partitions' owners.
    pub owners: Arc<OwnersTopic>,
    pub readiness: Readiness,
    pub stop: CancellationToken,
    /// Why the node had to end.
    pub failure: Ended,
}

/// What was seen of the log so far.
struct Seen {
    ends: HashMap<PartitionId, i64>,
    shorter: HashMap<PartitionId, u32>,
    answered: Instant,
    asked: Option<Instant>,
    measured: Option<Instant>,
    counted: Option<Instant>,
    /// Since when it was looked last for identities that are not kept, and whether all were kept then.
    looked: Option<Instant>,
    adopted: bool,
}

impl Watched {
    /// Watches until the node stops.
    pub async fn run(&self) {
        let mut ticks = tokio::time::interval(EVERY);
        let mut seen = Seen {
            ends: HashMap::new(),
            shorter: HashMap::new(),
            answered: Instant::now(),
            asked: None,
            measured: None,
            counted: None,
            looked: None,
            adopted: false,
        };
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = ticks.tick() => self.tick(&mut seen).await,
            }
        }
    }

    async fn tick(&self, seen: &mut Seen) {
        let is_due = |last: Option<Instant>, every| last.is_none_or(|last| last.elapsed() >= every);
        for (reader, trouble) in self.readers.troubles(&seen.ends) {
            self.readiness.explain(&reader, trouble);
        }
        if is_due(seen.measured, MEASURE_EVERY) {
            seen.measured = Some(Instant::now());
            self.readers.measure(&seen.ends);
        }
        if is_due(seen.counted, LAYOUT_EVERY) {
            seen.counted = Some(Instant::now());
            self.count().await;
        }
        if is_due(seen.asked, ENDS_EVERY) {
            seen.asked = Some(Instant::now());
            self.ask(seen).await;
        }
        if is_due(seen.looked, if seen.adopted { ADOPT_EVERY } else { ADOPT_FIRST_EVERY }) {
            seen.looked = Some(Instant::now());
            match self.adopt(seen).await {
                Ok(all) => seen.adopted = all,
                Err(error) => tracing::debug!(error, "the identities of the logs cannot be kept yet"),
            }
        }
    }

    /// Asks for the ends of all partitions.
    async fn ask(&self, seen: &mut Seen) {
        let asked: Vec<(PartitionId, Result<i64, LogError>)> =
            stream::iter(self.sources.clone().into_iter().map(|source| self.end_of(source))).buffer_unordered(AT_ONCE).collect().await;
        let failed = asked.iter().find_map(|(_, end)| end.as_ref().err().map(ToString::to_string));
        let gone = if failed.is_some() { self.gone().await } else { Vec::new() };
        let asked = asked.into_iter().map(|(source, end)| if gone.contains(&&*source.service) { (source, Ok(0)) } else { (source, end) });
        if failed.is_none() {
            seen.answered = Instant::now();
        }
        self.readiness.explain(LOG, failed.filter(|_| seen.answered.elapsed() >= SILENCE));
        for (source, end) in asked.filter_map(|(source, end)| Some((source, end.ok()?))) {
            event_store::log_reaches(&source, end);
            let before = seen.ends.get(&source).copied().unwrap_or(0);
            if end >= before {
                seen.shorter.remove(&source);
                seen.ends.insert(source, end);
                continue;
            }
            let times = seen.shorter.entry(source.clone()).or_default();
            *times += 1;
            if *times >= SHORTER {
                match self.another_log(&source, gone.contains(&&*source.service)).await {
                    Ok(Some(foreign)) => return self.end_because(&source, &foreign),
                    Ok(None) => self.went_back(&source, before, end),
                    Err(error) => {
                        tracing::warn!(%source, error, "it is shorter than it was, and cannot be looked at");
                        continue;
                    }
                }
                seen.shorter.remove(&source);
                seen.ends.insert(source, end);
            }
        }
    }

    /// The end of a partition's log. A claim is announced when it stands in the log: one that was heard of before the log was asked, and does
    /// not lie below its end, is lost.
    async fn end_of(&self, source: PartitionId) -> (PartitionId, Result<i64, LogError>) {
        let Some(log) = self.logs.get(&*source.service) else { return (source, Ok(0)) };
        let claimed = self.owners.run(&source.service, source.partition);
        let end = log.end(source.partition).await;
        if let (Some(run), Ok(end)) = (claimed, &end)
            && *end <= run
        {
            self.owners.forget(&source.service, source.partition, run);
        }
        (source, end)
    }

    /// Ends the node where a topic has another number of partitions than at the start. What was decided meanwhile was decided by the former
    /// number, which is right.
    async fn count(&self) {
        let Some(now) = self.counts().await else { return };
        let changed = |(service, is): (&&'static str, &i32)| Some((*service, *is, *now.get(service).filter(|now| *now != is)?));
        if let Some((service, was, is)) = self.partitions.iter().find_map(changed) {
            let topic = topic_of(service);
            self.end(Failure::usage(format!(
                "topic {topic} has {is} partitions now, and had {was} when this node started; a log's number of partitions is fixed for life, since it says where an aggregate's events are: see docs/runbooks/partitions-added.md"
            )));
        }
    }

    /// The number of partitions of each log that is there, by the brokers' word; none where the brokers do not answer.
    async fn counts(&self) -> Option<HashMap<&'static str, i32>> {
        let (topics, services) = (self.topics.clone(), self.logs.keys().copied().collect::<Vec<_>>());
        tokio::task::spawn_blocking(move || topics.partitions(&services)).await.ok()?.ok()
    }

    /// Why what is known of a partition holds no more at all: its log has another beginning, or none.
    async fn another_log(&self, source: &PartitionId, is_gone: bool) -> Result<Option<Foreign>, String> {
        let Some(known) = self.known(source).await? else { return Ok(None) };
        let looked = if is_gone { Ok(Presents::default()) } else { identity::look(&self.logs, vec![source.clone()]).await };
        let present = looked.map_err(|error| error.to_string())?.remove(source).unwrap_or_default().identity;
        let is_same = present.as_ref() == Some(&known);
        Ok((!is_same).then(|| Foreign::Other { partition: source.to_string(), known, present }))
    }

    /// The identity of a partition's log as it was when anything here began to be made of it.
    async fn known(&self, source: &PartitionId) -> Result<Option<String>, String> {
        for database in self.databases.values() {
            let mut known = database.log_identities().await.map_err(|error| error.to_string())?;
            if let Some(identity) = known.remove(source) {
                return Ok(Some(identity));
            }
        }
        Ok(SnapshotLogs::of(&self.arguments.data).known().remove(source))
    }

    /// A log has lost its last records: its readers here look again what they have read of it, and make it good.
    fn went_back(&self, source: &PartitionId, before: i64, end: i64) {
        tracing::error!(%source, before, end, "a log has lost its last records: what was made of them here is made anew");
        self.readers.went_back(source);
    }

    /// The services whose topics are gone, by the brokers' word; none where the brokers do not answer.
    async fn gone(&self) -> Vec<&'static str> {
        let there = self.counts().await;
        self.logs.keys().copied().filter(|service| there.as_ref().is_some_and(|there| !there.contains_key(service))).collect()
    }

    /// Ends the node: nothing that it knows holds of such a log.
    fn end_because(&self, source: &PartitionId, why: &Foreign) {
        let foreign: Vec<&str> = self.databases.keys().copied().collect();
        self.end(identity::refusal(&self.arguments, &format!("what this node knows of {source}"), why, &foreign));
    }

    fn end(&self, failure: Failure) {
        tracing::error!(%failure, "this node ends");
        *self.failure.lock() = Some(failure);
        self.stop.cancel();
    }

    /// Keeps the identities of the logs that databases and snapshots have begun to read; true when all are kept.
    async fn adopt(&self, seen: &Seen) -> Result<bool, String> {
        let words = |error: &dyn ToString| error.to_string();
        let mut all = true;
        for (service, database) in &self.databases {
            let known = database.log_identities().await.map_err(|error| words(&error))?;
            let read = self.reads.get(service).into_iter().flatten();
            let lacking = read.filter(|source| !known.contains_key(*source)).cloned().collect();
            for (source, identity) in self.identities(lacking, seen, &mut all).await.map_err(|error| words(&error))? {
                database.adopt_log(&source, &identity).await.map_err(|error| words(&error))?;
            }
        }
        let snapshots = SnapshotLogs::of(&self.arguments.data);
        let known = snapshots.known();
        let lacking: Vec<PartitionId> = self.snapshots.iter().filter(|source| !known.contains_key(*source)).cloned().collect();
        let found = self.identities(lacking, seen, &mut all).await.map_err(|error| words(&error))?;
        if !found.is_empty() {
            snapshots.adopt(found).map_err(|error| words(&error))?;
        }
        Ok(all)
    }

    async fn identities(&self, lacking: Vec<PartitionId>, seen: &Seen, all: &mut bool) -> Result<HashMap<PartitionId, String>, LogError> {
        let (known, unknown): (Vec<_>, Vec<_>) = lacking.into_iter().partition(|source| seen.ends.contains_key(source));
        *all &= unknown.is_empty();
        let found = identity::look(&self.logs, known).await?;
        *all &= found.values().all(|present| present.identity.is_some());
        Ok(found.into_iter().filter_map(|(source, present)| Some((source, present.identity?))).collect())
    }
}
