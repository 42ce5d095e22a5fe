//! Changes to topics and to groups' offsets, in a transaction.

use super::{PartitionKey, Topic, TopicError, draft::Draft, tables};
use crate::settings::{self, TopicSettings};
use redb::ReadableTable;
use std::sync::Arc;
use uuid::Uuid;

/// More partitions than one machine has use for, of one topic or of all together: each takes memory, and is looked at when the log is opened.
const MOST_PARTITIONS: u32 = 10_000;
const LONGEST_NAME: usize = 249;

/// An offset that a group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The partition.
    pub key: PartitionKey,
    /// The offset of the next record that the group wants.
    pub offset: i64,
    /// The leader's epoch that the client knew.
    pub leader_epoch: i32,
    /// The client's own text.
    pub metadata: String,
}

type Changed<T> = Result<Result<T, TopicError>, redb::Error>;

/// What a new topic is to be.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// Its own settings.
    pub settings: TopicSettings,
}

impl NewTopic {
    /// Whether a topic can be like this; not whether there is one of the name already.
    pub fn check(&self) -> Result<(), TopicError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let is_name = !self.name.is_empty() && self.name.len() <= LONGEST_NAME && self.name.bytes().all(allowed);
        if !is_name || matches!(&*self.name, "." | "..") {
            return Err(TopicError::Name);
        }
        check_partitions(self.partitions)?;
        Ok(settings::check(&self.settings)?)
    }
}

fn check_partitions(count: u32) -> Result<(), TopicError> {
    if (1..=MOST_PARTITIONS).contains(&count) { Ok(()) } else { Err(TopicError::Partitions { most: MOST_PARTITIONS }) }
}

/// Checks that there is room for more partitions beside those of all topics.
pub(crate) fn check_room(are: usize, more: usize) -> Result<(), TopicError> {
    if are + more > MOST_PARTITIONS as usize {
        return Err(TopicError::TooManyPartitions { most: MOST_PARTITIONS, are, more });
    }
    Ok(())
}

impl Draft<'_> {
    /// Creates a topic.
    pub fn create_topic(&mut self, new: NewTopic) -> Changed<Arc<Topic>> {
        if let Err(refused) = new.check() {
            return Ok(Err(refused));
        }
        if self.ledger.topics.contains_key(&new.name) {
            return Ok(Err(TopicError::Exists));
        }
        if let Err(refused) = check_room(self.ledger.partitions.len(), new.partitions as usize) {
            return Ok(Err(refused));
        }
        let number = self.ledger.next_topic;
        self.ledger.next_topic += 1;
        self.set_number(tables::NEXT_TOPIC, self.ledger.next_topic.into())?;
        let topic = Topic { name: new.name, number, id: Uuid::new_v4(), settings: new.settings, partitions: Vec::new() };
        self.put_topic(topic, new.partitions).map(Ok)
    }

    /// Gives a topic more partitions.
    pub fn add_partitions(&mut self, name: &str, count: u32) -> Changed<Arc<Topic>> {
        let Some(topic) = self.ledger.topics.get(name) else { return Ok(Err(TopicError::Unknown)) };
        let more = (count as usize).saturating_sub(topic.partitions.len());
        if let Err(refused) = check_growth(topic, count).and_then(|()| check_room(self.ledger.partitions.len(), more)) {
            return Ok(Err(refused));
        }
        let topic = Topic::clone(topic);
        self.put_topic(topic, count).map(Ok)
    }

    /// Changes a topic's own settings.
    pub fn set_topic_settings(&mut self, name: &str, change: impl FnOnce(&mut TopicSettings)) -> Changed<Arc<Topic>> {
        let Some(topic) = self.ledger.topics.get(name) else { return Ok(Err(TopicError::Unknown)) };
        let mut topic = Topic::clone(topic);
        change(&mut topic.settings);
        if let Err(refused) = settings::check(&topic.settings) {
            return Ok(Err(refused.into()));
        }
        let count = topic.partitions.len() as u32;
        self.put_topic(topic, count).map(Ok)
    }

    fn put_topic(&mut self, topic: Topic, count: u32) -> Result<Arc<Topic>, redb::Error> {
        let topic = self.ledger.put_topic(topic, count);
        let own: Vec<(&str, &str)> = topic.settings.iter().map(|(name, value)| (&**name, &**value)).collect();
        self.write.open_table(tables::TOPICS)?.insert(&*topic.name, (topic.number, topic.id.as_u128(), count, own))?;
        self.changes.topics = true;
        Ok(topic)
    }

    /// Deletes a topic, its records and what groups have committed of it.
    pub fn delete_topic(&mut self, name: &str) -> Changed<()> {
        let Some(topic) = self.ledger.topics.remove(name) else { return Ok(Err(TopicError::Unknown)) };
        self.changes.topics = true;
        self.write.open_table(tables::TOPICS)?.remove(name)?;
        for partition in &topic.partitions {
            self.delete_partition(partition.key())?;
        }
        self.write.open_table(tables::OFFSETS)?.retain(|(_, number, _), _| number != topic.number)?;
        Ok(Ok(()))
    }

    fn delete_partition(&mut self, key: PartitionKey) -> Result<(), redb::Error> {
        let gone = self.ledger.partitions.remove(&key).map(|state| state.shared);
        self.changes.gone.extend(gone);
        self.write.open_table(tables::PARTITIONS)?.remove(tables::partition_row(key))?;
        self.write.open_table(tables::PRODUCERS)?.retain_in(tables::rows_of(key), |_, _| false)?;
        self.batches.retain_in(tables::rows_of(key), |_, _| false)?;
        Ok(())
    }

    /// Commits offsets of a group. Returns those partitions that no longer exist.
    pub fn commit_offsets(&mut self, group: &str, offsets: &[Committed]) -> Result<Vec<PartitionKey>, redb::Error> {
        let mut table = self.write.open_table(tables::OFFSETS)?;
        let mut unknown = Vec::new();
        for Committed { key, offset, leader_epoch, metadata } in offsets {
            if self.ledger.partitions.contains_key(key) {
                table.insert((group, key.topic, key.partition), (*offset, *leader_epoch, &**metadata, super::now()))?;
                self.changes.rows = true;
            } else {
                unknown.push(*key);
            }
        }
        Ok(unknown)
    }

    /// Forgets what a group has committed: of some partitions, or all of it. Returns whether there was anything.
    pub fn forget_offsets(&mut self, group: &str, of: Option<&[PartitionKey]>) -> Result<bool, redb::Error> {
        let mut table = self.write.open_table(tables::OFFSETS)?;
        let rows = table.range((group, 0, 0)..=(group, u32::MAX, u32::MAX))?;
        let keys: Vec<_> = rows.map(|row| row.map(|(row, _)| (row.value().1, row.value().2))).collect::<Result<_, _>>()?;
        let mut found = false;
        for (topic, partition) in keys {
            if of.is_none_or(|of| of.contains(&PartitionKey { topic, partition })) {
                table.remove((group, topic, partition))?;
                found = true;
            }
        }
        self.changes.rows |= found;
        Ok(found)
    }
}

/// Checks that a topic may have so many partitions, and has fewer now.
pub(crate) fn check_growth(topic: &Topic, count: u32) -> Result<(), TopicError> {
    check_partitions(count)?;
    let is_growth = count as usize > topic.partitions.len();
    if is_growth { Ok(()) } else { Err(TopicError::Partitions { most: MOST_PARTITIONS }) }
}
