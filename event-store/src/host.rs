//! The partitions of one service that this node owns.

use crate::{
    Accepted, CommandError, CommandMeta, LocalOwner, NodeName, PartitionId, WriterConfig,
    log::Log,
    owner::{OwnerParts, PartitionOwner},
    recover::Origin,
    standby::Standby,
    standing::Ended,
    supervision::{Defects, REST, Supervisor},
};
use codec::Schemas;
use event_sourcing::{Aggregate, Command, Event, Intent};
use parking_lot::{Mutex, RwLock};
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use uuid::Uuid;

/// The seed of Kafka's murmur2 (`org.apache.kafka.common.utils.Utils.murmur2`).
const KAFKA_SEED: u32 = 0x9747_b28c;

/// The partition of a key, as Kafka's Java client chooses it, so that its tools and ours agree.
pub fn partition_of(key: &[u8], partitions: i32) -> i32 {
    let positive = murmur2::murmur2(key, KAFKA_SEED) & 0x7fff_ffff;
    (positive as i32) % partitions.max(1)
}

/// A [`Host`] whose aggregate's type is not known: it can be made the owner of partitions.
#[async_trait::async_trait]
pub trait Hosted: Send + Sync + 'static {
    /// The service's name.
    fn service(&self) -> &str;
    /// How many partitions its log has.
    fn partitions(&self) -> i32;
    /// Begins to own a partition, since it was placed here. If this node took it over before, its owner stays, and no longer steps down; if
    /// it steps down already, another follows when it is done.
    fn start(&self, partition: i32);
    /// Stands by for exactly these partitions, except those that it owns.
    fn stand_by(&self, partitions: &HashSet<i32>);
    /// Gives a partition up: answers the commands that were taken, then stops.
    async fn stop(&self, partition: i32);
    /// Makes this node's owner of a partition pass its barrier. If another node has claimed since, the owner notices: it claims anew where
    /// the partition is placed here, and steps down otherwise.
    fn confirm(&self, partition: i32);
    /// The partitions that are owned here, each with the claim under which it is written; none where the owner does not write yet.
    fn claims(&self) -> Vec<(i32, Option<i64>)>;
    /// Wakes whenever a partition is gained, begins to be written, or is lost.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// Owns partitions of one service. Clones are the same host.
pub struct Host<A: Aggregate> {
    log: Arc<dyn Log>,
    service: Arc<str>,
    partitions: i32,
    schemas: Schemas,
    node: NodeName,
    config: WriterConfig,
    owners: Arc<RwLock<Owners<A>>>,
    /// The partitions that are to be owned here, whatever becomes of their owners' tasks. Locked before `owners`.
    placed: Arc<Mutex<HashSet<i32>>>,
    standing_by: Arc<Mutex<HashMap<i32, Standby<A>>>>,
    /// The log that standbys read; none where this node may neither stand by nor take over.
    standby_log: Option<Arc<dyn Log>>,
    snapshots: Option<PathBuf>,
    /// When a partition was taken over last without having been placed here.
    taken: Arc<Mutex<HashMap<i32, Instant>>>,
    changes: watch::Sender<u64>,
    /// Told of the defects of owners, of which each partition has its own count.
    supervisor: Supervisor,
    defects: Arc<Mutex<HashMap<i32, Defects>>>,
}

type Owners<A> = HashMap<i32, Arc<PartitionOwner<A>>>;

impl<A: Aggregate> Clone for Host<A> {
    fn clone(&self) -> Self {
        let Self {
            log,
            service,
            schemas,
            node,
            owners,
            placed,
            standing_by,
            standby_log,
            snapshots,
            taken,
            changes,
            supervisor,
            defects,
            ..
        } = self;
        Self {
            log: log.clone(),
            service: service.clone(),
            partitions: self.partitions,
            schemas: schemas.clone(),
            node: node.clone(),
            config: self.config,
            owners: owners.clone(),
            placed: placed.clone(),
            standing_by: standing_by.clone(),
            standby_log: standby_log.clone(),
            snapshots: snapshots.clone(),
            taken: taken.clone(),
            changes: changes.clone(),
            supervisor: supervisor.clone(),
            defects: defects.clone(),
        }
    }
}

/// One node takes a partition over at most once in this time: a flapping network must not become a storm of claims.
const TAKE_OVER_EVERY: Duration = Duration::from_secs(3);
/// How long a command that takes a partition over waits until it is written here.
const TAKE_OVER_WITHIN: Duration = Duration::from_secs(3);

impl<A: Aggregate> Host<A> {
    /// A host that owns nothing yet of a log with so many partitions.
    pub fn new(log: Arc<dyn Log>, partitions: i32, schemas: Schemas, node: NodeName, config: WriterConfig) -> Self {
        let service = A::Event::SERVICE.into();
        let config = WriterConfig { partitions: Some(partitions), ..config };
        let (changes, _) = watch::channel(0);
        Self {
            log,
            service,
            partitions,
            schemas,
            node,
            config,
            owners: Arc::default(),
            placed: Arc::default(),
            standing_by: Arc::default(),
            standby_log: None,
            snapshots: None,
            taken: Arc::default(),
            changes,
            supervisor: Supervisor::default(),
            defects: Arc::default(),
        }
    }

    /// Ends the node when an owner meets one defect after another.
    pub fn supervised(self, supervisor: Supervisor) -> Self {
        Self { supervisor, ..self }
    }

    /// Lets this node stand by, reading `log`, and take over partitions whose owner is gone.
    pub fn standing_by(self, log: Arc<dyn Log>) -> Self {
        Self { standby_log: Some(log), ..self }
    }

    /// Keeps snapshots in a directory of this machine, so that a start costs the log's tail and memory is bounded.
    pub fn with_snapshots(self, directory: PathBuf) -> Self {
        Self { snapshots: Some(directory), ..self }
    }

    /// Starts an owner of the partition, with the standby's fold if there is one.
    fn own(&self, partition: i32, placed: bool) {
        let mut owners = self.owners.write();
        if let Some(owner) = owners.get(&partition).filter(|owner| !owner.is_done()) {
            if placed && !owner.place() {
                tracing::info!(service = %self.service, partition, "placed here while its owner steps down: another one follows it");
            }
            return;
        }
        let source = PartitionId { service: self.service.clone(), partition };
        let (log, schemas, node) = (self.log.clone(), self.schemas.clone(), self.node.clone());
        let parts = OwnerParts { log, source, schemas, node, config: self.config, snapshots: self.snapshots.clone() };
        let standby = self.standing_by.lock().remove(&partition);
        let owner = Arc::new(PartitionOwner::begin(parts, standby, placed));
        self.tell_changes(partition, owner.claim());
        self.follow_up(partition, &owner);
        owners.insert(partition, owner);
        self.changes.send_modify(|count| *count += 1);
    }

    /// When an owner's task has ended, removes it, and starts another where the partition is still placed here: it may have stepped down
    /// just before it was placed, or may have met a defect.
    fn follow_up(&self, partition: i32, owner: &Arc<PartitionOwner<A>>) {
        let (host, done, this) = (self.clone(), owner.done(), Arc::downgrade(owner));
        tokio::spawn(async move {
            let ended = done.await;
            if !host.remove(partition, &this) {
                return;
            }
            let rest = match ended {
                Ended::Done => Duration::ZERO,
                Ended::Defect if host.may_go_on(partition) => REST,
                Ended::Defect => return,
            };
            tokio::time::sleep(rest).await;
            // Locked meanwhile: a stop must not come in between.
            let placed = host.placed.lock();
            if placed.contains(&partition) {
                host.own(partition, true);
            }
        });
    }

    /// Removes an owner, unless another has its place.
    fn remove(&self, partition: i32, owner: &Weak<PartitionOwner<A>>) -> bool {
        let mut owners = self.owners.write();
        let is_known = owners.get(&partition).is_some_and(|known| std::ptr::eq(Arc::as_ptr(known), owner.as_ptr()));
        if is_known {
            owners.remove(&partition);
            self.changes.send_modify(|count| *count += 1);
        }
        is_known
    }

    /// Notes a defect of a partition's owner; false where the node has to end.
    fn may_go_on(&self, partition: i32) -> bool {
        self.supervisor.may_go_on(&format!("the owner of {}/{partition}", self.service), self.defects.lock().entry(partition).or_default())
    }

    /// Whether the partition may be taken over now; if so, notes the time.
    fn may_take_over(&self, partition: i32) -> bool {
        let (now, mut taken) = (Instant::now(), self.taken.lock());
        let recent = taken.get(&partition).is_some_and(|last| now.duration_since(*last) < TAKE_OVER_EVERY);
        if self.standby_log.is_none() || recent {
            return false;
        }
        taken.insert(partition, now);
        true
    }

    fn tell_changes(&self, partition: i32, mut claim: watch::Receiver<Option<i64>>) {
        let (changes, log, owners) = (self.changes.clone(), self.log.clone(), self.owners.clone());
        tokio::spawn(async move {
            while claim.changed().await.is_ok() {
                log.written(partition, claim.borrow().is_some());
                changes.send_modify(|count| *count += 1);
            }
            // A later owner of the partition may write already.
            let written = owners.read().get(&partition).is_some_and(|owner| owner.claim().borrow().is_some());
            log.written(partition, written);
        });
    }
}

#[async_trait::async_trait]
impl<A: Aggregate> Hosted for Host<A> {
    fn service(&self) -> &str {
        &self.service
    }

    fn partitions(&self) -> i32 {
        self.partitions
    }

    fn start(&self, partition: i32) {
        let mut placed = self.placed.lock();
        placed.insert(partition);
        self.own(partition, true);
    }

    fn stand_by(&self, partitions: &HashSet<i32>) {
        let Some(log) = &self.standby_log else { return };
        let (owners, mut standing_by) = (self.owners.read(), self.standing_by.lock());
        // One that has met a defect follows nothing any more: another takes its place.
        standing_by.retain(|_, standby| !standby.has_ended());
        let gone: Vec<i32> = standing_by.keys().filter(|partition| !partitions.contains(partition)).copied().collect();
        gone.iter().filter_map(|partition| standing_by.remove(partition)).for_each(Standby::stop);
        for partition in partitions.iter().filter(|partition| !owners.contains_key(partition)) {
            standing_by.entry(*partition).or_insert_with(|| {
                let source = PartitionId { service: self.service.clone(), partition: *partition };
                let (log, schemas, snapshots) = (log.clone(), self.schemas.clone(), self.snapshots.clone());
                Standby::spawn(Origin { log, source, schemas, config: self.config, snapshots })
            });
        }
    }

    async fn stop(&self, partition: i32) {
        let owner = {
            let mut placed = self.placed.lock();
            placed.remove(&partition);
            self.owners.write().remove(&partition)
        };
        if let Some(owner) = owner {
            owner.drain().await;
            self.changes.send_modify(|count| *count += 1);
        }
    }

    fn confirm(&self, partition: i32) {
        let Some(owner) = self.owners.read().get(&partition).cloned() else { return };
        // Any question will do: its answer leaves no record, so it waits for the barrier.
        tokio::spawn(async move { drop(owner.read(Uuid::nil()).await) });
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn claims(&self) -> Vec<(i32, Option<i64>)> {
        self.owners.read().iter().map(|(partition, owner)| (*partition, *owner.claim().borrow())).collect()
    }
}

#[async_trait::async_trait]
impl<A: Aggregate> LocalOwner<A> for Host<A> {
    fn partition_of(&self, id: Uuid) -> i32 {
        partition_of(id.to_string().as_bytes(), self.partitions)
    }

    async fn try_execute(&self, id: Uuid, command: A::Command, meta: CommandMeta) -> Option<Result<Accepted, CommandError>> {
        let owner = self.owners.read().get(&LocalOwner::<A>::partition_of(self, id)).cloned()?;
        let fingerprint = fingerprint(id, command.intent());
        Some(owner.execute(id, command, meta, fingerprint).await)
    }

    async fn try_read(&self, id: Uuid) -> Option<Result<Accepted, CommandError>> {
        let owner = self.owners.read().get(&LocalOwner::<A>::partition_of(self, id)).cloned()?;
        Some(owner.read(id).await)
    }

    async fn take_over(&self, id: Uuid) -> bool {
        let partition = LocalOwner::<A>::partition_of(self, id);
        if self.may_take_over(partition) {
            tracing::warn!(service = %self.service, partition, "its owner is gone: taking the partition over");
            self.own(partition, false);
        }
        let Some(mut claim) = self.owners.read().get(&partition).map(|owner| owner.claim()) else { return false };
        let writing = tokio::time::timeout(TAKE_OVER_WITHIN, claim.wait_for(Option::is_some)).await;
        matches!(writing, Ok(Ok(_)))
    }
}

/// Tells two commands apart, alike in every build: 64 bits of SHA-256 over the aggregate's id and the command's intent.
fn fingerprint(id: Uuid, intent: Intent) -> u64 {
    let mut hash = Sha256::new_with_prefix(id.as_bytes());
    hash.update(intent.into_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::partition_of;

    /// Values printed by `org.apache.kafka.common.utils.Utils` for these keys.
    #[test]
    fn keys_go_where_kafkas_java_client_puts_them() {
        let positive = |key: &str| murmur2::murmur2(key.as_bytes(), super::KAFKA_SEED) as i32;
        assert_eq!(positive("21"), -973_932_308);
        assert_eq!(positive("foobar"), -790_332_482);
        assert_eq!(positive("a-little-bit-long-string"), -985_981_536);
        assert_eq!(partition_of(b"foobar", 7), (-790_332_482 & 0x7fff_ffff) % 7);
    }
}
