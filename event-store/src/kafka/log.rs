//! Appending to and reading from one topic.

use super::{
    KafkaConfig,
    append_errors::{append_error, rejection},
    current::Current,
    topic_of,
};
use crate::{
    Append, Barrier, PartitionId, RawRecord,
    envelope::SharedRecord,
    log::{Ack, AppendError, Cursor, Log, LogError, NotQueued, Tag, Unsent},
    ring::{Ring, Rings},
};
use bytes::Bytes;
use parking_lot::RwLock;
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    client::Client,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{BorrowedMessage, DeliveryResult, Header, Headers, Message, OwnedHeaders},
    producer::{BaseRecord, Producer, ProducerContext},
};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// How many records one step of a cursor hands on at most.
const MOST_RECORDS: usize = 1_000;
/// How long the brokers may take to answer a question about a topic.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Where the outcome of one append goes.
pub struct AckTo {
    tag: Tag,
    acks: mpsc::UnboundedSender<Ack>,
    /// The partition's ring, where this process reads it, and its generation when the record was sent.
    ring: Option<(Arc<Ring>, u64)>,
}

impl AckTo {
    /// Puts the acknowledged record into the ring, so that this process's readers need not wait for their consumer to fetch it: the broker
    /// says that the log holds it at this offset. Only if the ring has all records before it.
    fn show(&self, message: &BorrowedMessage<'_>) {
        if let Some((ring, generation)) = self.ring.as_ref().filter(|(ring, _)| ring.end() == message.offset()) {
            ring.push(vec![Arc::new(SharedRecord::new(raw(message)))], *generation);
        }
    }
}

/// Takes the broker's answers on the producer's own thread.
pub struct AckContext;

impl ClientContext for AckContext {}

impl ProducerContext for AckContext {
    type DeliveryOpaque = Box<AckTo>;

    fn delivery(&self, result: &DeliveryResult<'_>, to: Box<AckTo>) {
        let offset = match result {
            // A broker that took the record for one it has already does not say where that one stands.
            Ok(message) if message.offset() < 0 => Err(AppendError::Unknown("acknowledged without an offset".to_owned())),
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(append_error(error)),
        };
        let stands = offset.is_ok();
        let _ = to.acks.send(Ack { tag: to.tag, offset });
        if let Ok(message) = result
            && stands
        {
            to.show(message);
        }
    }
}

/// An idempotent producer of all partitions of a log: sharing it between them is twice as fast as one each.
#[derive(Clone)]
pub struct KafkaProducer {
    current: Arc<Current>,
    rings: Rings,
    written: Arc<watch::Sender<HashSet<PartitionId>>>,
}

impl KafkaProducer {
    /// Connects in the background; an unreachable broker shows as failing appends.
    pub fn new(config: &KafkaConfig) -> Result<Self, LogError> {
        Ok(Self { current: Current::connect(config)?, rings: Rings::default(), written: Arc::default() })
    }

    /// A producer of the same process on connections of its own, for other logs: a broker takes the requests of a connection one after
    /// another, and librdkafka sends one for each partition, so logs that share a connection wait in one queue.
    pub fn beside(&self, config: &KafkaConfig) -> Result<Self, LogError> {
        Ok(Self { current: Current::connect(config)?, ..self.clone() })
    }

    /// The rings into which acknowledged records are put; the tail of [`KafkaTail::shown`](super::KafkaTail::shown) has them.
    pub(super) fn rings(&self) -> Rings {
        self.rings.clone()
    }

    /// The partitions that this process writes through this producer, as their owners report.
    pub(super) fn written(&self) -> watch::Receiver<HashSet<PartitionId>> {
        self.written.subscribe()
    }

    /// Queues a record of any topic: a log, or the owners' topic.
    pub(super) fn send(
        &self,
        topic: &str,
        partition: i32,
        key: &str,
        payload: &[u8],
        headers: OwnedHeaders,
        to: AckTo,
    ) -> Result<(), NotQueued> {
        let record = BaseRecord::with_opaque_to(topic, Box::new(to)).partition(partition).key(key).payload(payload).headers(headers);
        let client = self.current.client();
        client.send(record).map_err(|(error, _)| match error {
            KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => NotQueued::Full,
            error => {
                if client.client().fatal_error().is_some()
                    && let Err(error) = self.current.replace(&client)
                {
                    tracing::error!(%error, "there is no new client of the log yet");
                }
                tracing::error!(%error, topic, partition, "the producer refuses a record");
                error.rdkafka_error_code().and_then(rejection).map_or(NotQueued::Broken, NotQueued::Never)
            }
        })
    }
}

impl AckTo {
    /// An outcome that nobody waits for.
    pub(super) fn nobody() -> Self {
        let (acks, _) = mpsc::unbounded_channel();
        Self { tag: Tag { epoch: 0, at: -1 }, acks, ring: None }
    }
}

/// One service's log: the topic `<service>.events`.
pub struct KafkaLog {
    producer: KafkaProducer,
    topic: Arc<str>,
    service: Arc<str>,
    config: KafkaConfig,
    /// The read barrier that the topic needs by its copies, where somebody looks at them.
    barrier: RwLock<Option<Barrier>>,
}

impl KafkaLog {
    /// The log of a service whose topic exists.
    pub fn new(producer: KafkaProducer, service: &str, config: KafkaConfig) -> Self {
        Self { producer, topic: topic_of(service).into(), service: service.into(), config, barrier: RwLock::default() }
    }

    /// Notes the read barrier that the topic needs by its copies now. Its owners here use it from their next answer on.
    pub fn needs(&self, barrier: Barrier) {
        *self.barrier.write() = Some(barrier);
    }

    fn ring(&self, partition: i32) -> Option<(Arc<Ring>, u64)> {
        let rings = self.producer.rings.lock();
        let ring = rings.get(&PartitionId { service: self.service.clone(), partition })?;
        Some((ring.clone(), ring.generation()))
    }
}

#[async_trait::async_trait]
impl Log for KafkaLog {
    fn append(&self, partition: i32, record: Append, tag: Tag, acks: &mpsc::UnboundedSender<Ack>) -> Result<(), NotQueued> {
        let (headers, to) = (owned(&record.headers), AckTo { tag, acks: acks.clone(), ring: self.ring(partition) });
        self.producer.send(&self.topic, partition, &record.key, &record.payload, headers, to)
    }

    /// Makes all headers before it queues the first record. That record wakes librdkafka, which sends the records that it finds a moment
    /// later; those that come after that wait for the acknowledgement, and the client's thread does not rest meanwhile (`linger.ms=0`).
    fn append_all(&self, partition: i32, records: Vec<(Append, Tag)>, acks: &mpsc::UnboundedSender<Ack>) -> Result<(), Unsent> {
        let ring = self.ring(partition);
        let to = |tag| AckTo { tag, acks: acks.clone(), ring: ring.clone() };
        let ready: Vec<_> = records.into_iter().map(|(record, tag)| (owned(&record.headers), record, to(tag))).collect();
        ready.into_iter().try_for_each(|(headers, Append { key, payload, .. }, to)| {
            let at = to.tag.at;
            self.producer.send(&self.topic, partition, &key, &payload, headers, to).map_err(|why| Unsent { at, why })
        })
    }

    fn barrier(&self) -> Option<Barrier> {
        *self.barrier.read()
    }

    fn written(&self, partition: i32, written: bool) {
        let source = PartitionId { service: self.service.clone(), partition };
        self.producer.written.send_if_modified(|sources| if written { sources.insert(source) } else { sources.remove(&source) });
    }

    fn went_back(&self, partition: i32) {
        if let Some((ring, _)) = self.ring(partition) {
            ring.doubt();
        }
    }

    /// Asked on the producer's client: on a connection that fetches, the question would wait behind the long poll.
    async fn end(&self, partition: i32) -> Result<i64, LogError> {
        let (producer, topic) = (self.producer.current.client(), self.topic.clone());
        let ask = move || end_of(producer.client(), &topic, partition);
        let answer = tokio::task::spawn_blocking(ask).await.map_err(|error| LogError(error.to_string()))?;
        answer.map_err(|error| LogError(error.to_string()))
    }

    async fn read(&self, partition: i32, from: i64) -> Result<Box<dyn Cursor>, LogError> {
        let consumer: BaseConsumer = self.config.reader().create().map_err(|error| LogError(error.to_string()))?;
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&self.topic, partition, Offset::Offset(from)).map_err(|error| LogError(error.to_string()))?;
        consumer.assign(&assignment).map_err(|error| LogError(error.to_string()))?;
        let (to, records) = mpsc::channel(2);
        std::thread::Builder::new()
            .name(format!("read {}/{partition}", self.topic))
            .spawn(move || read_on(&consumer, &to))
            .map_err(|error| LogError(error.to_string()))?;
        Ok(Box::new(KafkaCursor { records }))
    }
}

/// The end of a partition. If the partition's leader was a broker that librdkafka has struck off since, librdkafka does not know the
/// partition, and fetches the topic's metadata anew only after minutes: so this fetches them, and asks again.
fn end_of(client: &Client<impl ClientContext>, topic: &str, partition: i32) -> KafkaResult<i64> {
    let ask = || client.fetch_watermarks(topic, partition, ANSWERS_WITHIN).map(|(_, end)| end);
    match ask() {
        Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownPartition) => {
            client.fetch_metadata(Some(topic), ANSWERS_WITHIN)?;
            ask()
        }
        answer => answer,
    }
}

fn owned(headers: &crate::Headers) -> OwnedHeaders {
    let empty = OwnedHeaders::new_with_capacity(headers.len());
    headers.iter().fold(empty, |owned, (key, value)| owned.insert(Header { key, value: Some(value) }))
}

struct KafkaCursor {
    records: mpsc::Receiver<Result<Vec<RawRecord>, LogError>>,
}

#[async_trait::async_trait]
impl Cursor for KafkaCursor {
    async fn next(&mut self) -> Result<Vec<RawRecord>, LogError> {
        self.records.recv().await.unwrap_or_else(|| Err(LogError("the reader stopped".into())))
    }
}

/// Reads until the cursor is dropped, or until an error that does not pass by itself.
fn read_on(consumer: &BaseConsumer, to: &mpsc::Sender<Result<Vec<RawRecord>, LogError>>) {
    while !to.is_closed() {
        let batch = next_batch(consumer);
        let failed = batch.is_err();
        if !matches!(&batch, Ok(records) if records.is_empty()) && to.blocking_send(batch).is_err() || failed {
            return;
        }
    }
}

fn next_batch(consumer: &BaseConsumer) -> Result<Vec<RawRecord>, LogError> {
    let mut records = Vec::new();
    let mut wait = Duration::from_millis(100);
    while records.len() < MOST_RECORDS {
        match consumer.poll(wait) {
            None => break,
            Some(Ok(message)) => records.push(raw(&message)),
            Some(Err(error)) if is_passing(&error) => break,
            Some(Err(error)) => return Err(LogError(error.to_string())),
        }
        wait = Duration::ZERO;
    }
    Ok(records)
}

/// Whether librdkafka recovers from this error by itself: a broker is away for a while.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve};
    matches!(error.rdkafka_error_code(), Some(AllBrokersDown | BrokerTransportFailure | OperationTimedOut | Resolve))
}

/// A message as a record of the engine.
pub(super) fn raw(message: &BorrowedMessage<'_>) -> RawRecord {
    let copy = |bytes: Option<&[u8]>| Bytes::copy_from_slice(bytes.unwrap_or_default());
    RawRecord { offset: message.offset(), key: copy(message.key()), payload: copy(message.payload()), headers: headers(message) }
}

fn headers(message: &BorrowedMessage<'_>) -> crate::Headers {
    let Some(from) = message.headers() else { return crate::Headers::default() };
    let bytes = from.iter().map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len)).sum();
    let mut headers = crate::Headers::with_capacity(from.count(), bytes);
    from.iter().for_each(|header| headers.push(header.key, header.value.unwrap_or_default()));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_beside_another_tells_the_same_readers() {
        let config = KafkaConfig::new("127.0.0.1:1", "beside");
        let first = KafkaProducer::new(&config).expect("a producer");
        let beside = first.beside(&config).expect("a producer");
        assert!(!Arc::ptr_eq(&first.current, &beside.current));
        assert!(Arc::ptr_eq(&first.rings, &beside.rings));
        assert!(Arc::ptr_eq(&first.written, &beside.written));
    }

    #[test]
    fn a_client_that_is_broken_for_good_is_replaced_once_and_ends() {
        let producer = KafkaProducer::new(&KafkaConfig::new("127.0.0.1:1", "replaced")).expect("a producer");
        let broken = producer.current.client();
        producer.current.replace(&broken).expect("a new client");
        let fresh = producer.current.client();
        assert!(!Arc::ptr_eq(&broken, &fresh));
        producer.current.replace(&broken).expect("nothing to do");
        assert!(Arc::ptr_eq(&producer.current.client(), &fresh), "another has replaced it");
    }

    #[test]
    fn a_producer_that_nobody_has_any_more_ends() {
        let producer = KafkaProducer::new(&KafkaConfig::new("127.0.0.1:1", "ends")).expect("a producer");
        let client = Arc::downgrade(&producer.current.client());
        let until = std::time::Instant::now() + Duration::from_secs(20);
        let wait_for = |reached: &dyn Fn(usize) -> bool| {
            while !reached(client.strong_count()) {
                assert!(std::time::Instant::now() < until, "{} have it", client.strong_count());
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        // The thread polls the producer before the test drops it.
        wait_for(&|holders| holders == 2);
        drop(producer);
        wait_for(&|holders| holders == 0);
    }
}
