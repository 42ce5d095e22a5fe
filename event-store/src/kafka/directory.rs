//! The owners' topic: a small compacted topic in which each owner announces its address. It may be out of date.

use super::{KafkaConfig, KafkaProducer, OWNERS_TOPIC, log::AckTo, log::is_passing};
use crate::{Directory, LogError, Owner};
use parking_lot::RwLock;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::OwnedHeaders,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Once},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

type KnownOwners = Arc<RwLock<HashMap<String, Owner>>>;

#[derive(Serialize, Deserialize)]
struct Announcement {
    node: String,
    address: String,
    run: i64,
}

/// Writes this node's claims into the owners' topic, and reads those of all nodes from the first lookup on.
pub struct OwnersTopic {
    config: KafkaConfig,
    producer: KafkaProducer,
    known: KnownOwners,
    reading: Once,
    stop: CancellationToken,
}

impl OwnersTopic {
    /// Reads nothing before the first lookup, so that a node which owns everything reads nothing at all.
    pub fn new(config: KafkaConfig, producer: KafkaProducer) -> Self {
        Self { config, producer, known: KnownOwners::default(), reading: Once::new(), stop: CancellationToken::new() }
    }

    /// Announces to all nodes that a partition is written under this claim. Best effort: a lost announcement costs a command a detour.
    pub fn announce(&self, service: &str, partition: i32, owner: &Owner) {
        let key = format!("{service}/{partition}");
        let announcement = Announcement { node: owner.node.clone(), address: owner.address.clone(), run: owner.run };
        let payload = serde_json::to_vec(&announcement).expect("two texts and a number have a JSON form");
        if let Err(error) = self.producer.send(OWNERS_TOPIC, 0, &key, &payload, OwnedHeaders::new(), AckTo::nobody()) {
            tracing::warn!(key, %error, "the owner of a partition could not be announced");
        }
        self.known.write().insert(key, owner.clone());
    }

    /// The names of the nodes that own any partition of a service, and so take its commands.
    pub fn owning(&self, service: &str) -> BTreeSet<String> {
        self.begin_to_read();
        let (known, prefix) = (self.known.read(), format!("{service}/"));
        known.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(_, owner)| owner.node.clone()).collect()
    }

    fn begin_to_read(&self) {
        self.reading.call_once(|| {
            if let Err(error) = self.read() {
                tracing::error!(%error, "the owners cannot be read");
            }
        });
    }

    fn read(&self) -> Result<(), LogError> {
        let failed = |error: rdkafka::error::KafkaError| LogError(error.to_string());
        let mut client = self.config.reader();
        client.set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer = client.create().map_err(failed)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(OWNERS_TOPIC, 0, Offset::Beginning).map_err(failed)?;
        consumer.assign(&list).map_err(failed)?;
        let (known, stop) = (self.known.clone(), self.stop.clone());
        let follow = move || {
            while !stop.is_cancelled() {
                read_announcement(&consumer, &known);
            }
        };
        std::thread::Builder::new().name("owners".into()).spawn(follow).map(drop).map_err(|error| LogError(error.to_string()))
    }
}

fn read_announcement(consumer: &BaseConsumer, known: &KnownOwners) {
    match consumer.poll(Duration::from_millis(100)) {
        None => {}
        Some(Err(error)) if is_passing(&error) => {}
        Some(Err(error)) => {
            tracing::warn!(%error, "the owners cannot be read");
            std::thread::sleep(Duration::from_millis(500));
        }
        Some(Ok(message)) => {
            let key = message.key().map(String::from_utf8_lossy);
            let entry = message.payload().and_then(|payload| serde_json::from_slice::<Announcement>(payload).ok());
            if let (Some(key), Some(Announcement { node, address, run })) = (key, entry) {
                known.write().insert(key.into_owned(), Owner { node, address, run });
            }
        }
    }
}

impl Directory for OwnersTopic {
    fn owner(&self, service: &str, partition: i32) -> Option<Owner> {
        self.begin_to_read();
        self.known.read().get(&format!("{service}/{partition}")).cloned()
    }

    fn nodes(&self) -> BTreeMap<String, String> {
        self.begin_to_read();
        self.known.read().values().cloned().map(|owner| (owner.node, owner.address)).collect()
    }
}

impl Drop for OwnersTopic {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No broker listens there; the node knows its own announcements all the same.
    #[test]
    fn whoever_owns_anything_may_be_asked_to_take_over_and_who_owns_something_of_a_service_takes_its_commands() {
        let config = KafkaConfig::new("127.0.0.1:1", "test");
        let owners = OwnersTopic::new(config.clone(), KafkaProducer::new(&config).expect("a producer"));
        let owner = |node: &str| Owner { node: node.to_owned(), address: format!("{node}:1"), run: 0 };
        owners.announce("accounts", 0, &owner("a"));
        owners.announce("ledgers", 0, &owner("b"));
        owners.announce("ledgers", 1, &owner("a"));
        assert_eq!(owners.nodes(), BTreeMap::from([("a".to_owned(), "a:1".to_owned()), ("b".to_owned(), "b:1".to_owned())]));
        assert_eq!(owners.owning("accounts"), BTreeSet::from(["a".to_owned()]));
        assert_eq!(owners.owner("ledgers", 1).map(|owner| owner.node), Some("a".to_owned()));
    }
}
