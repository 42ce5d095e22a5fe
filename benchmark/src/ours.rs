//! Daybook's append, in process: commands to the real host, owner and writer, over a log.

use crate::{load::Call, stage::Stage};
use anyhow::{Context, Result};
use domain::{
    ProductId, Quantity, Text, Timestamp, UserId,
    order::{Order, OrderCommand, OrderLine},
};
use event_store::{
    Ack, Append, Barrier, Cause, CommandMeta, Cursor, Host, Hosted, LocalOwner, Log, LogError, MemoryLog, NodeName, NotQueued, Tag,
    WriterConfig, kafka::KafkaLog,
};
use parking_lot::Mutex;
use schemas::Schemas;
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

/// Where an owner keeps what it has folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// In memory alone.
    Memory,
    /// And in snapshots, as `daybook run` does.
    Snapshots,
}

/// A host that owns a log of one partition, as `daybook run` makes it.
pub struct Ours {
    host: Arc<Host<Order>>,
    _data: TempDir,
}

/// An order of two lines: what each command of the figures places, under an id of its own.
pub fn place() -> Result<OrderCommand> {
    let line = |n: u128| {
        anyhow::Ok(OrderLine { product_id: ProductId(Uuid::from_u128((n << 64) | n)), quantity: Quantity::new(3)?, agreed_price: None })
    };
    let lines = vec![line(1)?, line(2)?];
    let payment_method: Text = "card".parse()?;
    let placed_at = now();
    Ok(OrderCommand::Place {
        user_id: UserId(Uuid::from_u128(7 << 64)),
        lines,
        payment_method,
        placed_at,
        expires_at: placed_at.plus_millis(900_000),
    })
}

/// The clock.
pub fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

fn meta() -> CommandMeta {
    let trace = Uuid::new_v4().simple().to_string();
    let traceparent = Some(format!("00-{trace}-{}-01", &trace[..16]));
    let cause = Cause { actor: "anonymous".into(), correlation_id: trace, causation_id: None, traceparent };
    CommandMeta { command_id: Uuid::new_v4(), time: now(), expected_version: None, cause }
}

impl Ours {
    /// Owns the one partition of a topic of its own.
    pub async fn on_kafka(stage: &Stage, what: &str) -> Result<Self> {
        let service = stage.topic(what).await?;
        let log = KafkaLog::new(stage.producer()?, service, stage.config.clone());
        Self::own(Arc::new(log), stage.barrier(service)?, Keeps::Snapshots).await
    }

    /// Owns a log, and waits until it may write.
    pub async fn own(log: Arc<dyn Log>, barrier: Barrier, keeps: Keeps) -> Result<Self> {
        let (data, config) = (tempfile::tempdir()?, WriterConfig { barrier, ..WriterConfig::default() });
        let node = NodeName { owner: "bench".into(), address: "127.0.0.1:0".into() };
        let host = Host::new(log, 1, Schemas::bundled(), node, config);
        let host = Arc::new(if keeps == Keeps::Snapshots { host.with_snapshots(data.path().to_owned()) } else { host });
        let mut changes = host.changes();
        host.start(0);
        let owned = async {
            while host.claims().iter().all(|(_, claim)| claim.is_none()) {
                changes.changed().await?;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(Duration::from_secs(60), owned).await.context("the partition is not owned within a minute")??;
        Ok(Self { host, _data: data })
    }

    /// The offset of the claim under which it writes.
    pub fn claim(&self) -> Option<i64> {
        self.host.claims().into_iter().find_map(|(_, claim)| claim)
    }

    /// Gives the partition up.
    pub async fn stop(&self) {
        self.host.stop(0).await;
    }
}

impl Call for Ours {
    async fn call(&self, _: u64) -> Result<()> {
        let answer = self.host.try_execute(Uuid::new_v4(), place()?, meta()).await;
        answer.context("the partition is not owned any more")?.map(drop).map_err(Into::into)
    }
}

/// The records that so many commands make: what the peers append, byte for byte.
pub async fn records(count: u64) -> Result<Vec<Append>> {
    let log = Keeping { log: MemoryLog::new(1), kept: Arc::default() };
    let kept = log.kept.clone();
    let ours = Ours::own(Arc::new(log), Barrier::End, Keeps::Memory).await?;
    for number in 0..count {
        ours.call(number).await?;
    }
    ours.stop().await;
    let records = std::mem::take(&mut *kept.lock());
    Ok(records)
}

/// Keeps what is appended to a log, claims aside.
struct Keeping {
    log: MemoryLog,
    kept: Arc<Mutex<Vec<Append>>>,
}

#[async_trait::async_trait]
impl Log for Keeping {
    fn append(&self, partition: i32, record: Append, tag: Tag, acks: &UnboundedSender<Ack>) -> Result<(), NotQueued> {
        if tag.at >= 0 {
            self.kept.lock().push(record.clone());
        }
        self.log.append(partition, record, tag, acks)
    }

    async fn end(&self, partition: i32) -> Result<i64, LogError> {
        self.log.end(partition).await
    }

    async fn read(&self, partition: i32, from: i64) -> Result<Box<dyn Cursor>, LogError> {
        self.log.read(partition, from).await
    }
}
