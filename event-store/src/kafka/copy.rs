//! Copies a log from one cluster to another, record by record, so that each record keeps its offset.
//!
//! Records name absolute offsets (`run`, `at`), and views and snapshots remember some, so a copy whose offsets differ would be another log.
//! Offsets have no holes, since no log is compacted or written in transactions: what stands at the target is always the beginning of the
//! source, and a copy that was cut off goes on at the target's end.

use super::{KafkaConfig, log::is_passing, topic_of};
use crate::{LogError, PartitionId};
use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, Headers, OwnedHeaders, OwnedMessage},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};
use std::{sync::Arc, time::Duration};

const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);
/// How long neither side may be silent. Brokers that are restarted one by one are back sooner.
const SILENCE: Duration = Duration::from_secs(120);

/// Why a partition is not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A cluster does not answer. Run again, the copy goes on where it stopped.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The target holds records that the source does not have.
    #[error("{partition}: the target has {target} records and the source {source_end}: the target holds another log")]
    Longer {
        /// The partition.
        partition: PartitionId,
        /// The target's end.
        target: i64,
        /// The source's end.
        source_end: i64,
    },
    /// The two differ at an offset.
    #[error("{partition}: the two differ at offset {offset} ({what}): the target is no copy of the source")]
    Differs {
        /// The partition.
        partition: PartitionId,
        /// The first offset at which they do.
        offset: i64,
        /// In what: `key`, `value`, `headers`, `timestamp`.
        what: &'static str,
    },
    /// A record did not get the offset that it has in the source.
    #[error(
        "{partition}: record {offset} of the source stands at {stands} in the target: somebody else writes there, or the source has a hole"
    )]
    Displaced {
        /// The partition.
        partition: PartitionId,
        /// The record's offset in the source.
        offset: i64,
        /// Where the target put it, or where the source went on.
        stands: i64,
    },
}

/// One partition of a log, on the cluster that it is copied from and on the one that it is copied to.
pub struct PartitionCopy {
    partition: PartitionId,
    from: KafkaConfig,
    to: KafkaConfig,
}

/// Is told how many records were copied or compared.
pub type OnRecords<'a> = &'a (dyn Fn(u64) + Sync);

impl PartitionCopy {
    /// Names the partition and the clusters. The topic exists on both.
    pub fn new(partition: PartitionId, from: KafkaConfig, to: KafkaConfig) -> Self {
        Self { partition, from, to }
    }

    /// The partition that is copied.
    pub fn partition(&self) -> &PartitionId {
        &self.partition
    }

    /// The partition's end in the source and in the target. Blocks for a round trip to each.
    pub fn ends(&self) -> Result<(i64, i64), LogError> {
        Ok((self.end(&self.from)?, self.end(&self.to)?))
    }

    /// Refuses a target that is not the beginning of the source, as far as its end and its last record tell. Returns its end.
    ///
    /// # Errors
    /// The target holds another log, or a cluster does not answer.
    pub fn check(&self, source_end: i64) -> Result<i64, CopyError> {
        let target = self.end(&self.to)?;
        if target > source_end {
            return Err(CopyError::Longer { partition: self.partition.clone(), target, source_end });
        }
        if target > 0 {
            self.compare(target - 1, target, &|_| {})?;
        }
        Ok(target)
    }

    /// Copies the records from the target's end up to `end`. Blocks until each is acknowledged by all copies at its own offset.
    ///
    /// # Errors
    /// As [`check`](Self::check); a record that got another offset.
    pub fn copy(&self, end: i64, on_records: OnRecords<'_>) -> Result<(), CopyError> {
        let begin = self.check(end)?;
        if begin == end {
            return Ok(());
        }
        let mut reader = Reader::new(&self.from, &self.partition, begin)?;
        let writer = Writer::new(&self.to, &self.partition)?;
        while let Some(message) = reader.next(end)? {
            writer.write(&message)?;
            on_records(1);
        }
        writer.finish()
    }

    /// Compares the records from `begin` up to `end`, byte for byte, with their timestamps. Blocks.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self, begin: i64, end: i64, on_records: OnRecords<'_>) -> Result<(), CopyError> {
        if begin == end {
            return Ok(());
        }
        let mut ours = Reader::new(&self.from, &self.partition, begin)?;
        let mut theirs = Reader::new(&self.to, &self.partition, begin)?;
        while let Some(message) = ours.next(end)? {
            let offset = message.offset();
            let other = theirs.next(end)?;
            if let Some(what) = other.map_or(Some("value"), |other| difference(&message, &other)) {
                return Err(CopyError::Differs { partition: self.partition.clone(), offset, what });
            }
            on_records(1);
        }
        Ok(())
    }

    fn end(&self, cluster: &KafkaConfig) -> Result<i64, LogError> {
        let consumer: BaseConsumer = cluster.reader().create().map_err(failed)?;
        let (_, end) =
            consumer.fetch_watermarks(&topic_of(&self.partition.service), self.partition.partition, ANSWERS_WITHIN).map_err(failed)?;
        Ok(end)
    }
}

fn failed(error: KafkaError) -> LogError {
    LogError(error.to_string())
}

/// In what two records differ.
fn difference(one: &OwnedMessage, other: &OwnedMessage) -> Option<&'static str> {
    let headers = |message: &OwnedMessage| -> Vec<(String, Option<Vec<u8>>)> {
        let all = message.headers().into_iter().flat_map(Headers::iter);
        all.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    };
    if one.key() != other.key() {
        Some("key")
    } else if one.payload() != other.payload() {
        Some("value")
    } else if headers(one) != headers(other) {
        Some("headers")
    } else {
        (one.timestamp() != other.timestamp()).then_some("timestamp")
    }
}

/// Reads a partition forward, and notices a hole.
struct Reader {
    consumer: BaseConsumer,
    partition: PartitionId,
    next: i64,
}

impl Reader {
    fn new(cluster: &KafkaConfig, partition: &PartitionId, from: i64) -> Result<Self, LogError> {
        let consumer: BaseConsumer = cluster.reader().create().map_err(failed)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic_of(&partition.service), partition.partition, Offset::Offset(from)).map_err(failed)?;
        consumer.assign(&list).map_err(failed)?;
        Ok(Self { consumer, partition: partition.clone(), next: from })
    }

    /// The next record below `end`.
    fn next(&mut self, end: i64) -> Result<Option<OwnedMessage>, CopyError> {
        if self.next >= end {
            return Ok(None);
        }
        let mut silent = Duration::ZERO;
        while silent < SILENCE {
            match self.consumer.poll(LOOK).map(|polled| polled.map(|message| message.detach())) {
                Some(Ok(message)) => return self.follows(message).map(Some),
                Some(Err(error)) if !is_passing(&error) => return Err(failed(error).into()),
                Some(Err(_)) | None => silent += LOOK,
            }
        }
        Err(LogError(format!("{} gave no record for {} s", self.partition, SILENCE.as_secs())).into())
    }

    fn follows(&mut self, message: OwnedMessage) -> Result<OwnedMessage, CopyError> {
        if message.offset() != self.next {
            return Err(CopyError::Displaced { partition: self.partition.clone(), offset: self.next, stands: message.offset() });
        }
        self.next += 1;
        Ok(message)
    }
}

/// What went wrong with an append, as the client's thread hears it.
type Fault = Arc<Mutex<Option<CopyError>>>;

struct Acks {
    partition: PartitionId,
    fault: Fault,
}

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    /// The offset that the record has in the source.
    type DeliveryOpaque = Box<i64>;

    fn delivery(&self, result: &DeliveryResult<'_>, offset: Box<i64>) {
        let fault = match result {
            Ok(message) if message.offset() == *offset => return,
            Ok(message) => CopyError::Displaced { partition: self.partition.clone(), offset: *offset, stands: message.offset() },
            Err((error, _)) => LogError(error.to_string()).into(),
        };
        self.fault.lock().get_or_insert(fault);
    }
}

/// Appends records to a partition and checks the offset of each.
struct Writer {
    producer: BaseProducer<Acks>,
    topic: String,
    partition: i32,
    fault: Fault,
}

impl Writer {
    fn new(cluster: &KafkaConfig, partition: &PartitionId) -> Result<Self, LogError> {
        let mut client = cluster.client();
        client.set("enable.idempotence", "true").set("acks", "all").set("linger.ms", "5");
        client.set("message.timeout.ms", SILENCE.as_millis().to_string()).set("queue.buffering.max.messages", "100000");
        let fault = Fault::default();
        let acks = Acks { partition: partition.clone(), fault: fault.clone() };
        let producer = client.create_with_context(acks).map_err(failed)?;
        Ok(Self { producer, topic: topic_of(&partition.service), partition: partition.partition, fault })
    }

    /// Queues a record; waits while the queue is full.
    fn write(&self, message: &OwnedMessage) -> Result<(), CopyError> {
        loop {
            self.heard()?;
            let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(&self.topic, Box::new(message.offset())).partition(self.partition);
            record.key = message.key();
            record.payload = message.payload();
            record.headers = message.headers().map(copied);
            record.timestamp = message.timestamp().to_millis();
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => self.producer.poll(LOOK),
                Err((error, _)) => return Err(failed(error).into()),
            }
        }
    }

    /// Waits until all records are acknowledged.
    fn finish(&self) -> Result<(), CopyError> {
        self.producer.flush(SILENCE).map_err(failed)?;
        self.heard()
    }

    fn heard(&self) -> Result<(), CopyError> {
        self.producer.poll(Duration::ZERO);
        self.fault.lock().take().map_or(Ok(()), Err)
    }
}

fn copied(headers: &OwnedHeaders) -> OwnedHeaders {
    headers
        .iter()
        .fold(OwnedHeaders::new_with_capacity(headers.count()), |owned, Header { key, value }| owned.insert(Header { key, value }))
}
