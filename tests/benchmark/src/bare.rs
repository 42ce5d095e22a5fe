//! The peer on Kafka: a bare producer that appends the same bytes.

use crate::{figure::Sample, load::Call, load::Cores, load::Span, stage::Stage};
use anyhow::{Result, ensure};
use event_store::{Append, kafka::topic_of};
use rdkafka::{
    ClientConfig, ClientContext,
    consumer::BaseConsumer,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseRecord, Producer, ProducerContext, PurgeConfig, ThreadedProducer},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Who is told that a record is acknowledged.
pub enum To {
    /// The caller that waits for it.
    One(oneshot::Sender<bool>),
    /// Nobody; it is counted.
    Counted,
}

/// Tells the waiting callers, on the producer's own thread.
#[derive(Default)]
pub struct Answers {
    acked: Arc<AtomicU64>,
}

impl Answers {
    /// How many records are acknowledged of those that nobody waits for.
    pub fn acked(&self) -> Arc<AtomicU64> {
        self.acked.clone()
    }
}

impl ClientContext for Answers {}

impl ProducerContext for Answers {
    type DeliveryOpaque = Box<To>;

    fn delivery(&self, result: &DeliveryResult<'_>, to: Box<To>) {
        match *to {
            To::One(to) => drop(to.send(result.is_ok())),
            To::Counted => drop(self.acked.fetch_add(result.is_ok().into(), Ordering::Relaxed)),
        }
    }
}

/// A record, ready to be handed to librdkafka.
struct One {
    key: String,
    payload: Vec<u8>,
    headers: OwnedHeaders,
}

impl From<&Append> for One {
    fn from(record: &Append) -> Self {
        Self { key: record.key.clone(), payload: record.payload.clone(), headers: headers(record) }
    }
}

/// A record's headers, as librdkafka takes them.
pub fn headers(record: &Append) -> OwnedHeaders {
    let empty = OwnedHeaders::new_with_capacity(record.headers.len());
    record.headers.iter().fold(empty, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

/// Records that are made beforehand, and a topic of their own.
pub struct Prepared {
    topic: String,
    records: Vec<One>,
}

impl Prepared {
    /// Makes the topic.
    pub async fn new(stage: &Stage, records: &[Append]) -> Result<Self> {
        Ok(Self { topic: topic_of(stage.topic("bare").await?), records: records.iter().map(One::from).collect() })
    }

    /// The record of this number, for the topic's one partition.
    pub fn record(&self, number: u64, to: To) -> BaseRecord<'_, String, Vec<u8>, Box<To>> {
        let One { key, payload, headers } = &self.records[number as usize % self.records.len()];
        BaseRecord::with_opaque_to(&self.topic, Box::new(to)).partition(0).key(key).payload(payload).headers(headers.clone())
    }
}

/// A bare idempotent producer.
pub struct Bare {
    producer: ThreadedProducer<Answers>,
    acked: Arc<AtomicU64>,
    prepared: Prepared,
}

impl Bare {
    /// Connects; `linger` is librdkafka's `linger.ms`.
    pub async fn on_kafka(stage: &Stage, records: &[Append], linger: &str) -> Result<Self> {
        let context = Answers::default();
        let acked = context.acked();
        let producer = client(stage, linger).set("enable.idempotence", "true").create_with_context(context)?;
        Ok(Self { producer, acked, prepared: Prepared::new(stage, records).await? })
    }

    fn send(&self, number: u64, to: To) -> Result<(), KafkaError> {
        self.producer.send(self.prepared.record(number, to)).map_err(|(error, _)| error)
    }

    /// Appends a record that was made just now, and waits for its acknowledgement.
    pub async fn append(&self, record: &Append) -> Result<()> {
        self.acknowledged(|to| {
            let queued = BaseRecord::with_opaque_to(&self.prepared.topic, Box::new(to)).partition(0);
            let queued = queued.key(&record.key).payload(&record.payload).headers(headers(record));
            self.producer.send(queued).map_err(|(error, _)| error)
        })
        .await
    }

    async fn acknowledged(&self, send: impl FnOnce(To) -> Result<(), KafkaError>) -> Result<()> {
        let (to, acked) = oneshot::channel();
        send(To::One(to))?;
        ensure!(acked.await?, "a record was not acknowledged");
        Ok(())
    }

    /// Appends without waiting for acknowledgements: the most that this client can append.
    pub async fn open_loop(self, span: Span) -> Result<Sample> {
        self.call(0).await?;
        tokio::task::spawn_blocking(move || self.flood(span)).await?
    }

    fn flood(&self, span: Span) -> Result<Sample> {
        let began = Instant::now() + span.warm;
        let ends = began + span.counted;
        self.send_until(began)?;
        let (acked, cores) = (self.acked.load(Ordering::Relaxed), Cores::begin()?);
        self.send_until(ends)?;
        let (acked, cores) = (self.acked.load(Ordering::Relaxed) - acked, cores.busy()?);
        self.producer.purge(PurgeConfig::default().queue().inflight());
        Ok(Sample { rate: acked as f64 / span.counted.as_secs_f64(), p50: 0.0, p99: 0.0, cores })
    }

    fn send_until(&self, until: Instant) -> Result<()> {
        let mut number = 0;
        while Instant::now() < until {
            match self.send(number, To::Counted) {
                Ok(()) => number += 1,
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => std::thread::sleep(Duration::from_micros(500)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Call for Bare {
    async fn call(&self, number: u64) -> Result<()> {
        self.acknowledged(|to| self.send(number, to)).await
    }
}

/// The same as the engine's producer, but for `linger.ms`.
pub fn client(stage: &Stage, linger: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &stage.config.brokers).set("acks", "all").set("linger.ms", linger);
    client.set("queue.buffering.max.messages", "200000").set("message.timeout.ms", "30000");
    client
}

/// A bare consumer, which is assigned its partitions and commits nothing. Like Daybook's own it does not pause for a second whenever its
/// queue is full, as librdkafka does by default.
pub fn consumer(brokers: &str) -> Result<BaseConsumer> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers).set("group.id", "bench").set("fetch.queue.backoff.ms", "5");
    client.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    Ok(client.create()?)
}
