//! The owners' topic: a small compacted topic in which each owner announces its address, again and again, and each node that has a given
//! name that it lives. It may be out of date.

use super::{KafkaConfig, KafkaProducer, OWNERS_TOPIC, log::AckTo, log::is_passing};
use crate::{Directory, LogError, Owner, announcements::Announcements, bounded::Bounded, supervision::whatever_happens, tripwire};
use parking_lot::{Mutex, RwLock};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{BorrowedMessage, OwnedHeaders},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long reading the whole topic may take.
const READ_WITHIN: Duration = Duration::from_secs(20);

#[derive(Serialize, Deserialize)]
struct Announcement {
    node: String,
    address: String,
    run: i64,
}

/// A node's life under its name, from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// The node's name.
    pub node: String,
    /// Where its node-to-node server listens: `host:port`.
    pub address: String,
    /// Tells this life of the name from all others.
    pub life: String,
}

/// Writes this node's claims into the owners' topic, and reads those of all nodes from the first lookup on.
pub struct OwnersTopic {
    config: KafkaConfig,
    producer: KafkaProducer,
    heard: Arc<Heard>,
    /// Set once the topic is read.
    reading: OnceLock<()>,
    beginning: Mutex<()>,
    troubles: Bounded,
    stop: CancellationToken,
}

/// What was read so far.
#[derive(Default)]
struct Heard {
    owners: RwLock<Announcements>,
    present: RwLock<HashMap<String, Presence>>,
    /// Whether the topic's end was reached once.
    at_end: watch::Sender<bool>,
    troubles: Bounded,
}

fn key_of(service: &str, partition: i32) -> String {
    format!("{service}/{partition}")
}

impl OwnersTopic {
    /// Reads nothing before the first lookup, so that a node which owns everything reads nothing at all.
    pub fn new(config: KafkaConfig, producer: KafkaProducer) -> Self {
        let (heard, troubles, stop) = (Arc::default(), Bounded::default(), CancellationToken::new());
        Self { config, producer, heard, reading: OnceLock::new(), beginning: Mutex::default(), troubles, stop }
    }

    /// Announces to all nodes that a partition is written under this claim. Best effort: an announcement that is lost is repeated, and costs
    /// commands a detour meanwhile.
    pub fn announce(&self, service: &str, partition: i32, owner: &Owner) {
        let key = key_of(service, partition);
        let Owner { node, address, run } = owner.clone();
        self.write(&key, &Announcement { node, address, run });
        self.heard.owners.write().hear(&key, owner.clone(), false, Instant::now());
    }

    /// Whether this announcement was read from the topic, and none of a later claim.
    pub fn is_published(&self, service: &str, partition: i32, owner: &Owner) -> bool {
        self.begin_to_read();
        self.heard.owners.read().is_published(&key_of(service, partition), owner)
    }

    /// The run of a partition's owner, as far as it was heard; this begins to read nothing.
    pub fn run(&self, service: &str, partition: i32) -> Option<i64> {
        self.heard.owners.read().owner(&key_of(service, partition)).map(|owner| owner.run)
    }

    /// The log of a partition ends before the claim of this run, as a broker says. Where it has lost it, whoever owns the partition now has a
    /// lower run, and announces it until it comes back; where a new leader tells an older end for a moment, the owner announces it again.
    pub fn forget(&self, service: &str, partition: i32, run: i64) {
        tracing::info!(service, partition, run, "the claim that was announced is not in its log: the next announcement counts");
        self.heard.owners.write().forget(&key_of(service, partition), run);
    }

    /// The names of the nodes that own any partition of a service, and so take its commands.
    pub fn owning(&self, service: &str) -> BTreeSet<String> {
        self.begin_to_read();
        self.heard.owners.read().owning(service)
    }

    /// Announces that a node lives.
    pub fn appear(&self, presence: &Presence) {
        self.write(&format!("@{}", presence.node), presence);
    }

    /// The life of a name that appeared last, as far as the topic was read.
    pub fn present(&self, node: &str) -> Option<Presence> {
        self.begin_to_read();
        self.heard.present.read().get(node).cloned()
    }

    /// Waits until everything has been read that stands in the topic.
    ///
    /// # Errors
    /// The brokers do not answer within 20 s.
    pub async fn read_to_the_end(&self) -> Result<(), LogError> {
        self.begin_to_read();
        let mut at_end = self.heard.at_end.subscribe();
        let reached = tokio::time::timeout(READ_WITHIN, at_end.wait_for(|at_end| *at_end)).await;
        let late = || LogError(format!("{OWNERS_TOPIC} could not be read within {} s", READ_WITHIN.as_secs()));
        reached.map(drop).map_err(|_| late())
    }

    fn write(&self, key: &str, announcement: &impl Serialize) {
        let payload = serde_json::to_vec(announcement).expect("texts and numbers have a JSON form");
        if let Err(error) = self.producer.send(OWNERS_TOPIC, 0, key, &payload, OwnedHeaders::new(), AckTo::nobody())
            && let Some(held_back) = self.troubles.admit()
        {
            tracing::warn!(key, %error, held_back, "an announcement to the other nodes failed, and will be repeated");
        }
    }

    fn begin_to_read(&self) {
        if self.reading.get().is_some() {
            return;
        }
        let _alone = self.beginning.lock();
        if self.reading.get().is_none() {
            match self.read() {
                Ok(()) => drop(self.reading.set(())),
                // The next lookup tries again.
                Err(error) => self.heard.warn(&error),
            }
        }
    }

    fn read(&self) -> Result<(), LogError> {
        let failed = |error: KafkaError| LogError(error.to_string());
        let mut client = self.config.reader();
        client.set("auto.offset.reset", "earliest").set("enable.partition.eof", "true");
        let consumer: BaseConsumer = client.create().map_err(failed)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(OWNERS_TOPIC, 0, Offset::Beginning).map_err(failed)?;
        consumer.assign(&list).map_err(failed)?;
        let (heard, stop) = (self.heard.clone(), self.stop.clone());
        let follow = move || {
            while !stop.is_cancelled() {
                heard.poll(&consumer);
            }
        };
        // An announcement that a defect cost is repeated by its owner.
        let again = move || whatever_happens(follow, || ());
        std::thread::Builder::new().name("owners".into()).spawn(again).map(drop).map_err(|error| LogError(error.to_string()))
    }
}

impl Heard {
    fn warn(&self, error: &dyn std::error::Error) {
        if let Some(held_back) = self.troubles.admit() {
            tracing::warn!(%error, held_back, "the owners cannot be read");
        }
    }

    fn poll(&self, consumer: &BaseConsumer) {
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(_))) => drop(self.at_end.send_replace(true)),
            Some(Err(error)) if is_passing(&error) => {}
            Some(Err(error)) => {
                self.warn(&error);
                std::thread::sleep(Duration::from_millis(500));
            }
            Some(Ok(message)) => self.take(&message),
        }
    }

    fn take(&self, message: &BorrowedMessage<'_>) {
        let (Some(key), Some(payload)) = (message.key().map(String::from_utf8_lossy), message.payload()) else { return };
        self.hear(&key, payload);
    }

    fn hear(&self, key: &str, payload: &[u8]) {
        if let Some(node) = key.strip_prefix('@') {
            if let Ok(presence) = serde_json::from_slice::<Presence>(payload) {
                self.present.write().insert(node.to_owned(), presence);
            }
        } else if let Ok(Announcement { node, address, run }) = serde_json::from_slice(payload) {
            tripwire::pass("owners", i32::try_from(run).unwrap_or(0));
            self.owners.write().hear(key, Owner { node, address, run }, true, Instant::now());
        }
    }
}

impl Directory for OwnersTopic {
    fn owner(&self, service: &str, partition: i32) -> Option<Owner> {
        self.begin_to_read();
        self.heard.owners.read().owner(&key_of(service, partition)).cloned()
    }

    fn nodes(&self) -> BTreeMap<String, String> {
        self.begin_to_read();
        self.heard.owners.read().nodes()
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

    fn nowhere() -> OwnersTopic {
        let config = KafkaConfig::new("127.0.0.1:1", "test");
        OwnersTopic::new(config.clone(), KafkaProducer::new(&config).expect("a producer"))
    }

    fn owner(node: &str, run: i64) -> Owner {
        Owner { node: node.to_owned(), address: format!("{node}:1"), run }
    }

    /// No broker listens there; the node knows its own announcements all the same.
    #[test]
    fn whoever_owns_anything_may_be_asked_to_take_over_and_who_owns_something_of_a_service_takes_its_commands() {
        let owners = nowhere();
        owners.announce("accounts", 0, &owner("a", 0));
        owners.announce("ledgers", 0, &owner("b", 0));
        owners.announce("ledgers", 1, &owner("a", 0));
        assert_eq!(owners.nodes(), BTreeMap::from([("a".to_owned(), "a:1".to_owned()), ("b".to_owned(), "b:1".to_owned())]));
        assert_eq!(owners.owning("accounts"), BTreeSet::from(["a".to_owned()]));
        assert_eq!(owners.owner("ledgers", 1).map(|owner| owner.node), Some("a".to_owned()));
    }

    #[test]
    fn an_older_announcement_that_is_read_late_hides_no_newer_claim() {
        let owners = nowhere();
        owners.announce("accounts", 0, &owner("a", 9));
        owners.heard.hear("accounts/0", br#"{"node":"b","address":"b:1","run":4}"#);
        assert_eq!(owners.owner("accounts", 0), Some(owner("a", 9)));
        assert!(!owners.is_published("accounts", 0, &owner("a", 9)));
        owners.heard.hear("accounts/0", br#"{"node":"a","address":"a:1","run":9}"#);
        assert!(owners.is_published("accounts", 0, &owner("a", 9)));
    }

    #[test]
    fn the_life_of_a_name_that_appeared_last_is_known_and_is_no_owner() {
        let owners = nowhere();
        for life in ["first", "second"] {
            owners.heard.hear("@a", format!(r#"{{"node":"a","address":"a:1","life":"{life}"}}"#).as_bytes());
        }
        assert_eq!(owners.present("a").map(|presence| presence.life), Some("second".to_owned()));
        assert!(owners.nodes().is_empty() && owners.present("b").is_none());
    }
}
