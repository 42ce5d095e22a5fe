//! A consumer that reads the partitions that it is given into the rings of a tail.

use super::{
    log::{is_passing, raw},
    service_of, topic_of,
};
use crate::{
    LogError, PartitionId,
    envelope::SharedRecord,
    ring::{Ring, Rings},
    tripwire,
};
use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};
use std::{collections::HashSet, sync::Arc, time::Duration};

/// How long the brokers may take to say where a log ends.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How many records one step takes at most, before it hands them on.
const MOST_RECORDS: usize = 2_000;

/// A consumer and the partitions that it reads.
pub(super) struct Following {
    consumer: BaseConsumer,
    assigned: Mutex<HashSet<PartitionId>>,
}

impl Following {
    /// Reads nothing yet.
    pub fn new(client: &ClientConfig) -> Result<Self, LogError> {
        let consumer = client.create().map_err(|error| LogError(error.to_string()))?;
        Ok(Self { consumer, assigned: Mutex::default() })
    }

    pub fn reads(&self, source: &PartitionId) -> bool {
        self.assigned.lock().contains(source)
    }

    /// Reads the partition from this offset on, unless it does already.
    pub fn begin(&self, source: &PartitionId, from: i64) -> Result<(), LogError> {
        let mut assigned = self.assigned.lock();
        if !assigned.contains(source) {
            let list = list_of(source, Offset::Offset(from))?;
            self.consumer.incremental_assign(&list).map_err(|error| LogError(error.to_string()))?;
            assigned.insert(source.clone());
        }
        Ok(())
    }

    /// Reads the partition no more.
    pub fn end(&self, source: &PartitionId) -> Result<(), LogError> {
        let mut assigned = self.assigned.lock();
        if assigned.contains(source) {
            let list = list_of(source, Offset::Invalid)?;
            self.consumer.incremental_unassign(&list).map_err(|error| LogError(error.to_string()))?;
            assigned.remove(source);
        }
        Ok(())
    }

    /// Any of its partitions may have lost records.
    fn doubt(&self, rings: &Rings) {
        let (assigned, rings) = (self.assigned.lock(), rings.lock());
        assigned.iter().filter_map(|source| rings.get(source)).for_each(|ring| ring.doubt());
    }

    /// The end of a partition's log.
    pub fn end_of_log(&self, source: &PartitionId) -> Result<i64, LogError> {
        let ends = self.consumer.fetch_watermarks(&topic_of(&source.service), source.partition, ANSWERS_WITHIN);
        ends.map(|(_, end)| end).map_err(|error| LogError(error.to_string()))
    }

    /// Takes the records that the consumer has and hands them to the rings, each partition's at once.
    pub fn step(&self, rings: &Rings, first_wait: Duration) {
        let mut taken = Vec::new();
        let mut wait = first_wait;
        for _ in 0..MOST_RECORDS {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => of_partition(&mut taken, rings, &message).receive(&message),
                Some(Err(error)) if is_passing(&error) => break,
                Some(Err(error)) => {
                    tracing::error!(%error, "the tail cannot read");
                    if gives_up(&error) {
                        self.doubt(rings);
                    }
                    std::thread::sleep(Duration::from_millis(100));
                    break;
                }
            }
            wait = Duration::ZERO;
        }
        taken.iter().for_each(|taken| tripwire::pass("tail", taken.source.partition));
        taken.into_iter().for_each(Taken::hand_on);
    }
}

/// Whether librdkafka reads a partition no more after this error, which does not say which one it is: its next offset is not in the log.
fn gives_up(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AutoOffsetReset, LogTruncation, OffsetOutOfRange};
    matches!(error.rdkafka_error_code(), Some(AutoOffsetReset | LogTruncation | OffsetOutOfRange))
}

fn list_of(source: &PartitionId, offset: Offset) -> Result<TopicPartitionList, LogError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic_of(&source.service), source.partition, offset).map_err(|error| LogError(error.to_string()))?;
    Ok(list)
}

/// The records of one partition that a step takes.
struct Taken {
    source: PartitionId,
    /// The partition's ring, and its generation when the first of them came.
    ring: Option<(Arc<Ring>, u64)>,
    records: Vec<Arc<SharedRecord>>,
}

/// The records taken of the message's partition. The search begins with the last one, since a message is mostly of the same partition as
/// the one before.
fn of_partition<'a>(taken: &'a mut Vec<Taken>, rings: &Rings, message: &BorrowedMessage<'_>) -> &'a mut Taken {
    let (service, partition) = (service_of(message.topic()), message.partition());
    let known = taken.iter().rposition(|Taken { source, .. }| *source.service == *service && source.partition == partition);
    let at = known.unwrap_or_else(|| {
        let source = PartitionId { service: service.into(), partition };
        let ring = rings.lock().get(&source).map(|ring| (ring.clone(), ring.generation()));
        taken.push(Taken { source, ring, records: Vec::new() });
        taken.len() - 1
    });
    &mut taken[at]
}

impl Taken {
    /// Takes a record, unless an acknowledgement of this process has put it into the ring already.
    fn receive(&mut self, message: &BorrowedMessage<'_>) {
        if self.ring.as_ref().is_some_and(|(ring, _)| message.offset() >= ring.end()) {
            self.records.push(Arc::new(SharedRecord::new(raw(message))));
        }
    }

    fn hand_on(self) {
        if let Some((ring, generation)) = self.ring {
            ring.push(self.records, generation);
        }
    }
}
