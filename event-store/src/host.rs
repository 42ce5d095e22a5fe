//! The partitions of one service that this node owns.

use crate::{
    Accepted, CommandError, CommandMeta, LocalOwner, NodeName, PartitionId, WriterConfig,
    log::Log,
    owner::{self, OwnerParts, PartitionOwner},
};
use domain::Aggregate;
use parking_lot::RwLock;
use schemas::{Schemas, WireEvent};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::watch;
use uuid::Uuid;

/// The seed of Kafka's murmur2 (`org.apache.kafka.common.utils.Utils.murmur2`).
const KAFKA_SEED: u32 = 0x9747_b28c;

/// The partition of a key, as Kafka's Java client chooses it, so that its tools and ours agree.
pub fn partition_of(key: &[u8], partitions: i32) -> i32 {
    let positive = murmur2::murmur2(key, KAFKA_SEED) & 0x7fff_ffff;
    (positive as i32) % partitions.max(1)
}

/// Something that can be made the owner of partitions, whatever its aggregate.
#[async_trait::async_trait]
pub trait Hosted: Send + Sync + 'static {
    /// The service's name.
    fn service(&self) -> &str;
    /// How many partitions its log has.
    fn partitions(&self) -> i32;
    /// Begins to own a partition; owning it already changes nothing.
    fn start(&self, partition: i32);
    /// Gives a partition up: answers what was taken, then stops.
    async fn stop(&self, partition: i32);
    /// The claims under which partitions are written now, by partition; none where one is not ready yet.
    fn claims(&self) -> Vec<(i32, Option<i64>)>;
}

/// Owns partitions of one service. Cheap to share by `Arc`.
pub struct Host<A: Aggregate> {
    log: Arc<dyn Log>,
    service: Arc<str>,
    partitions: i32,
    schemas: Schemas,
    node: NodeName,
    config: WriterConfig,
    owners: RwLock<HashMap<i32, Arc<PartitionOwner<A>>>>,
    changes: watch::Sender<u64>,
}

impl<A> Host<A>
where
    A: Aggregate,
    A::Event: WireEvent,
{
    /// A host that owns nothing yet of a log with so many partitions.
    pub fn new(log: Arc<dyn Log>, partitions: i32, schemas: Schemas, node: NodeName, config: WriterConfig) -> Self {
        let service = A::Event::SERVICE.into();
        let (changes, _) = watch::channel(0);
        Self { log, service, partitions, schemas, node, config, owners: RwLock::default(), changes }
    }

    /// Wakes whenever a partition is gained, begins to be written, or is lost.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn spawn(&self, partition: i32) -> PartitionOwner<A> {
        let source = PartitionId { service: self.service.clone(), partition };
        let parts =
            OwnerParts { log: self.log.clone(), source, schemas: self.schemas.clone(), node: self.node.clone(), config: self.config };
        PartitionOwner::spawn(parts)
    }

    fn tell_changes(&self, mut claim: watch::Receiver<Option<i64>>) {
        let changes = self.changes.clone();
        tokio::spawn(async move {
            while claim.changed().await.is_ok() {
                changes.send_modify(|count| *count += 1);
            }
        });
    }
}

#[async_trait::async_trait]
impl<A> Hosted for Host<A>
where
    A: Aggregate,
    A::Event: WireEvent,
{
    fn service(&self) -> &str {
        &self.service
    }

    fn partitions(&self) -> i32 {
        self.partitions
    }

    fn start(&self, partition: i32) {
        let mut owners = self.owners.write();
        owners.entry(partition).or_insert_with(|| {
            let owner = self.spawn(partition);
            self.tell_changes(owner.claim());
            self.changes.send_modify(|count| *count += 1);
            Arc::new(owner)
        });
    }

    async fn stop(&self, partition: i32) {
        let owner = self.owners.write().remove(&partition);
        if let Some(owner) = owner {
            owner.drain().await;
            self.changes.send_modify(|count| *count += 1);
        }
    }

    fn claims(&self) -> Vec<(i32, Option<i64>)> {
        self.owners.read().iter().map(|(partition, owner)| (*partition, *owner.claim().borrow())).collect()
    }
}

#[async_trait::async_trait]
impl<A> LocalOwner<A> for Host<A>
where
    A: Aggregate,
    A::Event: WireEvent,
    A::Command: Serialize,
{
    fn partition_of(&self, id: Uuid) -> i32 {
        partition_of(id.to_string().as_bytes(), self.partitions)
    }

    async fn try_execute(&self, id: Uuid, command: A::Command, meta: CommandMeta) -> Option<Result<Accepted, CommandError>> {
        let owner = self.owners.read().get(&LocalOwner::<A>::partition_of(self, id)).cloned()?;
        let fingerprint = match fingerprint(id, &A::intent(&command)) {
            Ok(fingerprint) => fingerprint,
            Err(error) => return Some(Err(owner::not_yet(&format!("the command has no JSON form: {error}")))),
        };
        Some(owner.execute(id, command, meta, fingerprint).await)
    }

    async fn try_read(&self, id: Uuid) -> Option<Result<Accepted, CommandError>> {
        let owner = self.owners.read().get(&LocalOwner::<A>::partition_of(self, id)).cloned()?;
        Some(owner.read(id).await)
    }
}

/// Tells two commands apart, whoever decides them: 64 bits of SHA-256 over the aggregate's id and the JSON of what was meant.
fn fingerprint<C: Serialize>(id: Uuid, command: &C) -> Result<u64, serde_json::Error> {
    let mut hash = Sha256::new_with_prefix(id.as_bytes());
    hash.update(serde_json::to_vec(command)?);
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    Ok(u64::from_be_bytes(first))
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
