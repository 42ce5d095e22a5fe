//! What the writer knows of the log, in memory: enough to decide about any append without reading.

use super::{
    OpenError, Partition, PartitionKey, Topic,
    catalog::Catalog,
    producers::{Appended, Producer, Producers},
    tables,
};
use crate::{
    batch::Header,
    settings::{self, TopicSettings},
};
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use uuid::Uuid;

/// The log's state behind everything that the current transaction has done so far. If the transaction fails, the ledger is thrown away and
/// loaded again: the database is what is true.
pub(super) struct Ledger {
    pub topics: BTreeMap<String, Arc<Topic>>,
    pub partitions: HashMap<PartitionKey, PartitionState>,
    pub next_topic: u32,
    pub next_producer: i64,
}

/// A partition's state.
pub(super) struct PartitionState {
    /// What readers see of it.
    pub shared: Arc<Partition>,
    pub end: i64,
    /// The newest time of its records.
    pub newest: i64,
    pub producers: Producers,
    pub max_batch_bytes: usize,
    /// Bytes appended that readers do not know of yet.
    pub unpublished: u64,
}

impl PartitionState {
    pub fn new(shared: Arc<Partition>, settings: &TopicSettings) -> Self {
        let max_batch_bytes = settings::max_batch_bytes(settings);
        Self { end: 0, newest: -1, shared, producers: Producers::default(), max_batch_bytes, unpublished: 0 }
    }
}

impl Ledger {
    /// Reads the state of the log; the partitions that readers know of stay the same objects, so that those who wait on one are woken.
    pub fn load(database: &Database, before: &Catalog) -> Result<Self, OpenError> {
        let read = database.begin_read().map_err(redb::Error::from)?;
        let ledger = Self::load_rows(&read, before)?;
        ledger.check_ends(&read)?;
        Ok(ledger)
    }

    fn load_rows(read: &ReadTransaction, before: &Catalog) -> Result<Self, redb::Error> {
        let meta = read.open_table(tables::META)?;
        let number = |name| Ok::<_, redb::Error>(meta.get(name)?.map_or(0, |value| value.value()));
        let mut ledger = Self {
            topics: BTreeMap::new(),
            partitions: HashMap::new(),
            next_topic: number(tables::NEXT_TOPIC)? as u32,
            next_producer: number(tables::NEXT_PRODUCER)? as i64,
        };
        ledger.load_topics(read, before)?;
        ledger.load_ends(read)?;
        ledger.load_producers(read)?;
        Ok(ledger)
    }

    /// Checks that each partition ends where its last batch does. If a damaged byte had moved an end, the next append would write over what
    /// was acknowledged.
    fn check_ends(&self, read: &ReadTransaction) -> Result<(), OpenError> {
        for topic in self.topics.values() {
            for partition in &topic.partitions {
                let (key, end) = (partition.key(), self.partitions.get(&partition.key()).map_or(0, |state| state.end));
                match last_end(read, key)? {
                    Some(last) if last != end => {
                        return Err(OpenError::Damaged { topic: topic.name.clone(), partition: key.partition, offset: end.min(last) });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn load_topics(&mut self, read: &ReadTransaction, before: &Catalog) -> Result<(), redb::Error> {
        for row in read.open_table(tables::TOPICS)?.iter()? {
            let (name, row) = row?;
            let (number, id, count, own) = row.value();
            let settings = own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let known = before.topic_with_number(number).map_or(&[][..], |topic| &topic.partitions);
            let topic = Topic { name: name.value().to_owned(), number, id: Uuid::from_u128(id), settings, partitions: known.to_vec() };
            self.put_topic(topic, count);
        }
        Ok(())
    }

    fn load_ends(&mut self, read: &ReadTransaction) -> Result<(), redb::Error> {
        for row in read.open_table(tables::PARTITIONS)?.iter()? {
            let (row, ends) = row?;
            let key = PartitionKey { topic: (row.value() >> 32) as u32, partition: row.value() as u32 };
            if let Some(state) = self.partitions.get_mut(&key) {
                (state.end, state.newest) = ends.value();
            }
        }
        Ok(())
    }

    fn load_producers(&mut self, read: &ReadTransaction) -> Result<(), redb::Error> {
        for row in read.open_table(tables::PRODUCERS)?.iter()? {
            let (row, producer) = row?;
            let (epoch, last_used, batches) = producer.value();
            let batches = batches.into_iter().map(|(first, last, base)| Appended { first, last, base }).collect();
            if let Some(state) = self.partitions.get_mut(&tables::partition_in(row.value())) {
                state.producers.restore(tables::number_in(row.value()), Producer { epoch, last_used, batches });
            }
        }
        Ok(())
    }

    /// Puts a topic in the place of the one of its name; it gets the partitions that it lacks.
    pub fn put_topic(&mut self, mut topic: Topic, count: u32) -> Arc<Topic> {
        for partition in topic.partitions.len() as u32..count {
            let key = PartitionKey { topic: topic.number, partition };
            topic.partitions.push(Arc::new(Partition::new(key, 0)));
        }
        for shared in &topic.partitions {
            let state = self.partitions.entry(shared.key()).or_insert_with(|| PartitionState::new(shared.clone(), &topic.settings));
            state.max_batch_bytes = settings::max_batch_bytes(&topic.settings);
        }
        let topic = Arc::new(topic);
        self.topics.insert(topic.name.clone(), topic.clone());
        topic
    }

    /// Shows readers where all partitions end.
    pub fn publish_all(&mut self) {
        self.partitions.values_mut().for_each(PartitionState::publish);
    }

    pub fn catalog(&self) -> Catalog {
        Catalog::new(self.topics.clone())
    }
}

impl PartitionState {
    /// Shows readers where the partition ends.
    pub fn publish(&mut self) {
        self.shared.publish(self.end, std::mem::take(&mut self.unpublished));
    }
}

/// Where the last batch of a partition ends; 0 if there is none, and nothing if it is damaged itself, which its readers are told.
fn last_end(read: &ReadTransaction, key: PartitionKey) -> Result<Option<i64>, redb::Error> {
    let batches = read.open_table(tables::BATCHES)?;
    let Some(last) = batches.range(tables::rows_of(key))?.next_back() else { return Ok(Some(0)) };
    let (row, value) = last?;
    let header = tables::batch_in(value.value()).and_then(|(_, batch)| Header::checked(batch).ok());
    Ok(header.map(|header| header.end(tables::number_in(row.value()))))
}

/// Makes the tables of an empty database, or checks that this version can read those that are there.
pub(super) fn prepare(database: &Database) -> Result<(), OpenError> {
    if let Some(has) = format_of(database)? {
        return if has == tables::FORMAT { Ok(()) } else { Err(OpenError::Format { has, reads: tables::FORMAT }) };
    }
    Ok(make_tables(database)?)
}

fn format_of(database: &Database) -> Result<Option<u128>, redb::Error> {
    match database.begin_read()?.open_table(tables::META) {
        Ok(meta) => Ok(meta.get(tables::FORMAT_NAME)?.map(|format| format.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn make_tables(database: &Database) -> Result<(), redb::Error> {
    let mut write = database.begin_write()?;
    write.set_quick_repair(true);
    {
        let mut meta = write.open_table(tables::META)?;
        meta.insert(tables::FORMAT_NAME, tables::FORMAT)?;
        meta.insert(tables::CLUSTER_NAME, Uuid::new_v4().as_u128())?;
        write.open_table(tables::TOPICS)?;
        write.open_table(tables::BATCHES)?;
        write.open_table(tables::PARTITIONS)?;
        write.open_table(tables::PRODUCERS)?;
        write.open_table(tables::OFFSETS)?;
    }
    Ok(write.commit()?)
}
