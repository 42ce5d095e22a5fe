//! One consumer for all that a process reads: it keeps the newest records of each partition in a [`Ring`].

use super::{KafkaConfig, KafkaProducer, log::is_passing, log::raw, service_of, topic_of, wake::Wake};
use crate::{LogError, PartitionId, envelope::SharedRecord, metrics, ring::Ring};
use parking_lot::Mutex;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::BorrowedMessage,
};
use std::{
    collections::HashMap,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// How many records one step takes at most, before they are handed on.
const MOST_RECORDS: usize = 2_000;

/// The rings of a tail.
pub(super) type Rings = Arc<Mutex<HashMap<PartitionId, Arc<Ring>>>>;

/// The process's consumer at the end of the logs.
pub struct KafkaTail {
    consumer: Arc<BaseConsumer>,
    rings: Rings,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl KafkaTail {
    /// Starts with no partition. The producer is the one with which this process appends.
    pub fn start(config: &KafkaConfig, producer: &KafkaProducer) -> Result<Self, LogError> {
        Self::with_rings(config, producer, Rings::default())
    }

    /// The one whose readers are shown what the producer appends, as soon as it is acknowledged. A producer shows it to one tail: call this
    /// once.
    pub fn shown(config: &KafkaConfig, producer: &KafkaProducer) -> Result<Self, LogError> {
        Self::with_rings(config, producer, producer.rings())
    }

    fn with_rings(config: &KafkaConfig, producer: &KafkaProducer, rings: Rings) -> Result<Self, LogError> {
        let consumer: Arc<BaseConsumer> = Arc::new(config.reader().create().map_err(|error| LogError(error.to_string()))?);
        let stop = CancellationToken::new();
        let (polled, filled, until) = (consumer.clone(), rings.clone(), stop.clone());
        let idle = config.idle_look_millis.map(|millis| Idle::new(producer.wake(), Duration::from_millis(millis.into())));
        let poll = move || follow(&polled, &filled, idle, &until);
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

/// How long nothing must come before the tail only looks now and then.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// How long one look takes: time enough for a fetch on a busy machine, since a pause discards one that is under way.
const LOOK: Duration = Duration::from_millis(150);
/// How long a record that this process has appended is waited for before the tail rests all the same.
const EXPECT: Duration = Duration::from_secs(10);

/// For a broker that does not wake a waiting fetch, and that pays for each.
struct Idle {
    wake: Arc<Wake>,
    look_every: Duration,
    /// When a record came last.
    last: Instant,
    /// Set while something that this process has appended has not come yet.
    expects: Option<Instant>,
}

impl Idle {
    fn new(wake: Arc<Wake>, look_every: Duration) -> Self {
        Self { wake, look_every, last: Instant::now(), expects: Some(Instant::now() + EXPECT) }
    }

    /// Lets the consumer rest when nothing has come for a while, until this process appends or the next look is due.
    fn rest(&mut self, consumer: &BaseConsumer, took: usize) -> Result<(), KafkaError> {
        if self.wake.take() {
            self.expects = Some(Instant::now() + EXPECT);
        }
        if took > 0 {
            (self.last, self.expects) = (Instant::now(), None);
        }
        if self.last.elapsed() < IDLE_AFTER || self.expects.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        let assigned = consumer.assignment()?;
        consumer.pause(&assigned)?;
        let rung = self.wake.wait(self.look_every);
        consumer.resume(&assigned)?;
        stir(consumer, &assigned);
        self.expects = rung.then(|| Instant::now() + EXPECT);
        self.last = if rung { Instant::now() } else { Instant::now() - (IDLE_AFTER - LOOK) };
        Ok(())
    }
}

/// Wakes librdkafka's broker thread, which would sleep on for up to a second after a resume: any request does.
fn stir(consumer: &BaseConsumer, assigned: &TopicPartitionList) {
    if let Some(first) = assigned.elements().first() {
        let _ = consumer.fetch_watermarks(first.topic(), first.partition(), LOOK);
    }
}

fn follow(consumer: &BaseConsumer, rings: &Rings, mut idle: Option<Idle>, until: &CancellationToken) {
    let wait = Duration::from_millis(if idle.is_some() { 25 } else { 100 });
    while !until.is_cancelled() {
        let took = step(consumer, rings, wait);
        if let Some(Err(error)) = idle.as_mut().map(|idle| idle.rest(consumer, took)) {
            tracing::warn!(%error, "the tail cannot rest");
        }
    }
}

/// What one step takes of a partition.
struct Taken {
    source: PartitionId,
    ring: Option<Arc<Ring>>,
    /// Behind the last record that came.
    end: i64,
    records: Vec<Arc<SharedRecord>>,
}

/// What was taken of the message's partition, which as a rule is that of the message before.
fn of_partition<'a>(taken: &'a mut Vec<Taken>, rings: &Rings, message: &BorrowedMessage<'_>) -> &'a mut Taken {
    let (service, partition) = (service_of(message.topic()), message.partition());
    let known = taken.iter().rposition(|Taken { source, .. }| *source.service == *service && source.partition == partition);
    let at = known.unwrap_or_else(|| {
        let source = PartitionId { service: service.into(), partition };
        let ring = rings.lock().get(&source).cloned();
        taken.push(Taken { source, ring, end: 0, records: Vec::new() });
        taken.len() - 1
    });
    &mut taken[at]
}

impl Taken {
    /// Takes a record, unless the process's own acknowledgements brought it already.
    fn take(&mut self, message: &BorrowedMessage<'_>) {
        self.end = message.offset() + 1;
        if self.ring.as_ref().is_some_and(|ring| message.offset() >= ring.end()) {
            self.records.push(Arc::new(SharedRecord::new(raw(message))));
        }
    }
}

/// Takes what the consumer has and hands it to the rings, each partition's records at once. Answers how many there were.
fn step(consumer: &BaseConsumer, rings: &Rings, first_wait: Duration) -> usize {
    let (mut taken, mut took) = (Vec::new(), 0);
    let mut wait = first_wait;
    for _ in 0..MOST_RECORDS {
        match consumer.poll(wait) {
            None => break,
            Some(Ok(message)) => {
                of_partition(&mut taken, rings, &message).take(&message);
                took += 1;
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
    for Taken { source, ring, end, records } in taken {
        metrics::LOG_END.with_label_values(&[&*source.service, &source.partition.to_string()]).set(end);
        if let Some(ring) = ring {
            ring.push(records);
        }
    }
    took
}
