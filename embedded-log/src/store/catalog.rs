//! Which topics there are, and where their partitions end: what those who read see.

use crate::settings::TopicSettings;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
};
use tokio::sync::Notify;
use uuid::Uuid;

/// A partition in the tables: its topic's number, and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionKey {
    /// The topic's number, which is never given to another topic.
    pub topic: u32,
    /// The partition's number in the topic.
    pub partition: u32,
}

/// A topic as it is now.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its number in the tables.
    pub number: u32,
    /// Its id on the wire.
    pub id: Uuid,
    /// Its own settings.
    pub settings: TopicSettings,
    /// Its partitions, by number.
    pub partitions: Vec<Arc<Partition>>,
}

/// All topics as they are now.
#[derive(Debug, Default)]
pub struct Catalog {
    topics: BTreeMap<String, Arc<Topic>>,
    names: HashMap<Uuid, String>,
    by_number: HashMap<u32, String>,
}

impl Catalog {
    pub(super) fn new(topics: BTreeMap<String, Arc<Topic>>) -> Self {
        let names = topics.values().map(|topic| (topic.id, topic.name.clone())).collect();
        let by_number = topics.values().map(|topic| (topic.number, topic.name.clone())).collect();
        Self { topics, names, by_number }
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// How many partitions all topics have together.
    pub(crate) fn partitions(&self) -> usize {
        self.topics().map(|topic| topic.partitions.len()).sum()
    }

    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// The topic with this id.
    pub fn topic_with_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.topics.get(self.names.get(&id)?)
    }

    pub(crate) fn topic_with_number(&self, number: u32) -> Option<&Arc<Topic>> {
        self.topics.get(self.by_number.get(&number)?)
    }

    /// A partition of the topic of this name.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&Arc<Partition>> {
        self.topic(topic)?.partitions.get(usize::try_from(partition).ok()?)
    }
}

/// A partition's end, and those who wait for it to move.
#[derive(Debug)]
pub struct Partition {
    key: PartitionKey,
    tail: Mutex<Tail>,
}

#[derive(Debug, Default)]
struct Tail {
    end: i64,
    /// How many bytes this process has appended; only differences count.
    bytes: u64,
    is_gone: bool,
    waiting: Vec<Weak<Notify>>,
}

impl Partition {
    pub(super) fn new(key: PartitionKey, end: i64) -> Self {
        Self { key, tail: Mutex::new(Tail { end, ..Tail::default() }) }
    }

    /// Its place in the tables.
    pub fn key(&self) -> PartitionKey {
        self.key
    }

    /// The offset behind its last durable record.
    pub fn end(&self) -> i64 {
        self.tail.lock().end
    }

    /// The bytes appended so far, for comparison with a later answer.
    pub(crate) fn bytes(&self) -> u64 {
        self.tail.lock().bytes
    }

    /// Rings whenever the partition changes, for as long as somebody holds the bell.
    pub(crate) fn ring_on_change(&self, bell: &Arc<Notify>) {
        let mut tail = self.tail.lock();
        tail.waiting.retain(|waiting| waiting.strong_count() > 0);
        tail.waiting.push(Arc::downgrade(bell));
    }

    /// True when its topic has been deleted.
    pub(crate) fn is_gone(&self) -> bool {
        self.tail.lock().is_gone
    }

    pub(super) fn publish(&self, end: i64, bytes: u64) {
        let mut tail = self.tail.lock();
        (tail.end, tail.bytes) = (end, tail.bytes + bytes);
        tail.ring();
    }

    pub(super) fn retire(&self) {
        let mut tail = self.tail.lock();
        tail.is_gone = true;
        tail.ring();
    }
}

impl Tail {
    fn ring(&mut self) {
        self.waiting.retain(|waiting| {
            let bell = waiting.upgrade();
            bell.inspect(|bell| bell.notify_one()).is_some()
        });
    }
}
