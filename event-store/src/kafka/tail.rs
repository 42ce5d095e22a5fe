//! One consumer for all that a process reads: it keeps the newest records of each partition in a [`Ring`].

use super::{KafkaConfig, log::is_passing, log::raw, service_of, topic_of};
use crate::{LogError, PartitionId, RawRecord, metrics, ring::Ring};
use parking_lot::Mutex;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use std::{collections::HashMap, sync::Arc, thread::JoinHandle, time::Duration};
use tokio_util::sync::CancellationToken;

/// How many records one step takes at most, before they are handed on.
const MOST_RECORDS: usize = 2_000;

type Rings = Arc<Mutex<HashMap<PartitionId, Arc<Ring>>>>;

/// The process's consumer at the end of the logs.
pub struct KafkaTail {
    consumer: Arc<BaseConsumer>,
    rings: Rings,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl KafkaTail {
    /// Starts with no partition.
    pub fn start(config: &KafkaConfig) -> Result<Self, LogError> {
        let consumer: Arc<BaseConsumer> = Arc::new(config.reader().create().map_err(|error| LogError(error.to_string()))?);
        let (rings, stop) = (Rings::default(), CancellationToken::new());
        let (polled, filled, until) = (consumer.clone(), rings.clone(), stop.clone());
        let poll = move || {
            while !until.is_cancelled() {
                step(&polled, &filled);
            }
        };
        let thread = std::thread::Builder::new().name("tail".into()).spawn(poll).map_err(|error| LogError(error.to_string()))?;
        Ok(Self { consumer, rings, stop, thread: Some(thread) })
    }

    /// The ring of a partition, which begins at `from` when nobody asked for the partition before.
    pub fn ring(&self, source: &PartitionId, from: i64) -> Result<Arc<Ring>, LogError> {
        let mut rings = self.rings.lock();
        if let Some(ring) = rings.get(source) {
            return Ok(ring.clone());
        }
        let ring = Arc::new(Ring::new(from));
        rings.insert(source.clone(), ring.clone());
        drop(rings);
        self.change(source, Some(from))?;
        Ok(ring)
    }

    /// Reads the partition no more.
    pub fn forget(&self, source: &PartitionId) -> Result<(), LogError> {
        let known = self.rings.lock().remove(source);
        if known.is_some() { self.change(source, None) } else { Ok(()) }
    }

    fn change(&self, source: &PartitionId, from: Option<i64>) -> Result<(), LogError> {
        let mut list = TopicPartitionList::new();
        let offset = from.map_or(Offset::Invalid, Offset::Offset);
        list.add_partition_offset(&topic_of(&source.service), source.partition, offset).map_err(|error| LogError(error.to_string()))?;
        let changed = if from.is_some() { self.consumer.incremental_assign(&list) } else { self.consumer.incremental_unassign(&list) };
        changed.map_err(|error| LogError(error.to_string()))
    }
}

impl Drop for KafkaTail {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes what the consumer has and hands it to the rings, each partition's records at once.
fn step(consumer: &BaseConsumer, rings: &Rings) {
    let mut taken: HashMap<PartitionId, Vec<Arc<RawRecord>>> = HashMap::new();
    let mut wait = Duration::from_millis(100);
    for _ in 0..MOST_RECORDS {
        match consumer.poll(wait) {
            None => break,
            Some(Ok(message)) => {
                let source = PartitionId { service: service_of(message.topic()).into(), partition: message.partition() };
                taken.entry(source).or_default().push(Arc::new(raw(&message)));
            }
            Some(Err(error)) if is_passing(&error) => break,
            Some(Err(error)) => {
                tracing::error!(%error, "the tail cannot read");
                std::thread::sleep(Duration::from_millis(100));
                break;
            }
        }
        wait = Duration::ZERO;
    }
    for (source, records) in taken {
        let end = records.last().map_or(0, |record| record.offset + 1);
        metrics::LOG_END.with_label_values(&[&*source.service, &source.partition.to_string()]).set(end);
        let ring = rings.lock().get(&source).cloned();
        if let Some(ring) = ring {
            ring.push(records);
        }
    }
}
