//! The peer that appends in Kafka's transactions.

use crate::{
    bare::{Answers, Prepared, To, client},
    load::Call,
    stage::Stage,
};
use anyhow::{Result, anyhow, ensure};
use event_store::Append;
use rdkafka::producer::{BaseProducer, Producer};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A transactional producer. It polls by itself: with a polling thread beside it each commit would wait for that thread.
pub struct Transactional {
    producer: BaseProducer<Answers>,
    prepared: Prepared,
}

impl Transactional {
    /// Connects, and aborts the transactions that earlier producers of its name left open.
    pub async fn on_kafka(stage: &Stage, records: &[Append]) -> Result<Self> {
        let mut client = client(stage, "0");
        client.set("transactional.id", uuid::Uuid::new_v4().to_string()).set("retry.backoff.ms", "5");
        let producer: BaseProducer<Answers> = client.create_with_context(Answers::default())?;
        producer.init_transactions(Duration::from_secs(30))?;
        Ok(Self { producer, prepared: Prepared::new(stage, records).await? })
    }

    /// One transaction of so many records.
    fn commit(&self, count: u64) -> Result<()> {
        self.producer.begin_transaction()?;
        for number in 0..count {
            self.producer.send(self.prepared.record(number, To::Counted)).map_err(|(error, _)| anyhow!(error))?;
        }
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::from_micros(100));
        }
        Ok(self.producer.commit_transaction(Duration::from_secs(10))?)
    }
}

/// Appends in transactions: appends that come while one is being committed share the next one, `most` at most.
pub struct Transactions(mpsc::UnboundedSender<oneshot::Sender<bool>>);

impl Transactions {
    /// Starts the thread that commits.
    pub fn begin(producer: Transactional, most: usize) -> Self {
        let (to, mut waiting) = mpsc::unbounded_channel::<oneshot::Sender<bool>>();
        std::thread::spawn(move || {
            while let Some(first) = waiting.blocking_recv() {
                let others = std::iter::from_fn(|| waiting.try_recv().ok());
                let all: Vec<_> = std::iter::once(first).chain(others.take(most - 1)).collect();
                let done = producer.commit(all.len() as u64).is_ok();
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
