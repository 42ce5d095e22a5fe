//! Pauses an idle consumer: for a broker that does not wake a waiting fetch, and for which each fetch costs work.

use super::wake::Wake;
use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long nothing must come before the tail only looks now and then.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// How long one look takes: time enough for a fetch on a busy machine, since a pause discards a fetch that is under way.
const LOOK: Duration = Duration::from_millis(150);
/// How long the tail waits for a record that this process has appended before it rests all the same.
const EXPECT: Duration = Duration::from_secs(10);

/// Decides when a consumer may rest.
pub(super) struct Idle {
    wake: Arc<Wake>,
    look_every: Duration,
    /// When a record came last.
    last: Instant,
    /// Set while a record that this process has appended has not come yet: until when to wait for it.
    expects: Option<Instant>,
}

impl Idle {
    pub fn new(wake: Arc<Wake>, look_every: Duration) -> Self {
        Self { wake, look_every, last: Instant::now(), expects: Some(Instant::now() + EXPECT) }
    }

    /// Lets the consumer rest when nothing has come for a while, until this process appends or the next look is due.
    pub fn rest(&mut self, consumer: &BaseConsumer, took: usize) -> Result<(), KafkaError> {
        if self.wake.was_woken() {
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

/// Wakes librdkafka's broker thread, which would sleep on for up to a second after a resume: any request wakes it.
fn stir(consumer: &BaseConsumer, assigned: &TopicPartitionList) {
    if let Some(first) = assigned.elements().first() {
        let _ = consumer.fetch_watermarks(first.topic(), first.partition(), LOOK);
    }
}
