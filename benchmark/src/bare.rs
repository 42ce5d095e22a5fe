//! The peers on Kafka: a bare producer, and one with transactions, that append the same bytes.

use crate::{figure::Sample, load::Call, load::Cores, load::Span, stage::Stage};
use anyhow::{Result, ensure};
use event_store::{Append, kafka::topic_of};
use rdkafka::{
    ClientConfig, ClientContext,
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
use tokio::sync::{mpsc, oneshot};

/// Who hears that a record is acknowledged.
pub enum To {
    /// Who waits for it.
    One(oneshot::Sender<bool>),
    /// Nobody; it is counted.
    Counted,
}

/// Tells those who wait, on the producer's own thread.
#[derive(Default)]
pub struct Answers {
    acked: Arc<AtomicU64>,
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
struct Prepared {
    key: String,
    payload: Vec<u8>,
    headers: OwnedHeaders,
}

impl From<&Append> for Prepared {
    fn from(record: &Append) -> Self {
        let empty = OwnedHeaders::new_with_capacity(record.headers.len());
        let add = |headers: OwnedHeaders, (key, value): &(&str, String)| headers.insert(Header { key, value: Some(value.as_str()) });
        Self { key: record.key.clone(), payload: record.payload.clone(), headers: record.headers.iter().fold(empty, add) }
    }
}

/// A bare idempotent producer of its own topic, whose records are made beforehand.
pub struct Bare {
    producer: ThreadedProducer<Answers>,
    acked: Arc<AtomicU64>,
    topic: String,
    records: Vec<Prepared>,
}

impl Bare {
    /// Connects; `linger` is librdkafka's `linger.ms`.
    pub async fn on_kafka(stage: &Stage, records: &[Append], linger: &str) -> Result<Self> {
        let mut client = client(stage, linger);
        Self::connect(stage, records, client.set("enable.idempotence", "true")).await
    }

    /// One whose records stand in transactions.
    pub async fn transactional(stage: &Stage, records: &[Append]) -> Result<Self> {
        let mut client = client(stage, "0");
        let bare = Self::connect(stage, records, client.set("transactional.id", uuid::Uuid::new_v4().to_string())).await?;
        bare.producer.init_transactions(Duration::from_secs(30))?;
        Ok(bare)
    }

    async fn connect(stage: &Stage, records: &[Append], client: &ClientConfig) -> Result<Self> {
        let context = Answers::default();
        let acked = context.acked.clone();
        let topic = topic_of(stage.topic("bare").await?);
        Ok(Self { producer: client.create_with_context(context)?, acked, topic, records: records.iter().map(Prepared::from).collect() })
    }

    fn send(&self, number: u64, to: To) -> Result<(), KafkaError> {
        let Prepared { key, payload, headers } = &self.records[number as usize % self.records.len()];
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new(to)).partition(0).key(key).payload(payload).headers(headers.clone());
        self.producer.send(record).map_err(|(error, _)| error)
    }

    /// As fast as it goes, waiting for nobody: the most that this client can append.
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

    /// One transaction: all these records, or none.
    fn commit(&self, count: u64) -> Result<()> {
        self.producer.begin_transaction()?;
        for number in 0..count {
            self.send(number, To::Counted)?;
        }
        Ok(self.producer.commit_transaction(Duration::from_secs(10))?)
    }
}

impl Call for Bare {
    async fn call(&self, number: u64) -> Result<()> {
        let (to, acked) = oneshot::channel();
        self.send(number, To::One(to))?;
        ensure!(acked.await?, "a record was not acknowledged");
        Ok(())
    }
}

/// The same as the engine's producer, but for `linger.ms`.
fn client(stage: &Stage, linger: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &stage.config.brokers).set("acks", "all").set("linger.ms", linger);
    client.set("queue.buffering.max.messages", "200000").set("message.timeout.ms", "30000");
    client
}

/// Appends in transactions: those who come while one is being committed are in the next one together, `most` at most.
pub struct Transactions(mpsc::UnboundedSender<oneshot::Sender<bool>>);

impl Transactions {
    /// Starts the thread that commits.
    pub fn begin(bare: Bare, most: usize) -> Self {
        let (to, mut waiting) = mpsc::unbounded_channel::<oneshot::Sender<bool>>();
        std::thread::spawn(move || {
            while let Some(first) = waiting.blocking_recv() {
                let others = std::iter::from_fn(|| waiting.try_recv().ok());
                let all: Vec<_> = std::iter::once(first).chain(others.take(most - 1)).collect();
                let done = bare.commit(all.len() as u64).is_ok();
                for one in all {
                    let _ = one.send(done);
                }
            }
        });
        Self(to)
    }
}

impl Call for Transactions {
    async fn call(&self, _: u64) -> Result<()> {
        let (to, done) = oneshot::channel();
        self.0.send(to)?;
        ensure!(done.await?, "a transaction was not committed");
        Ok(())
    }
}
