//! Daybook's append, in process: commands to the real host, owner and writer, over a log.

use crate::{load::Call, stage::Stage};
use anyhow::{Context, Result};
use domain::{
    ProductId, Quantity, Text, UserId,
    order::{Order, OrderCommand, OrderLine},
};
use event_sourcing::{Cause, Timestamp};
use event_store::{
    Ack, Append, Barrier, CommandMeta, Cursor, Host, Hosted, LocalOwner, Log, LogError, MemoryLog, NodeName, NotQueued, Tag, WriterConfig,
    kafka::KafkaLog,
};
use parking_lot::Mutex;
use std::{path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

/// Where an owner keeps its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// In memory alone.
    Memory,
    /// In memory and in snapshots, as `daybook run` does.
    Snapshots,
}

/// How long the owners of a log that is short may take until they write.
const SOON: Duration = Duration::from_secs(60);

/// A host that owns all partitions of a log, as `daybook run` makes it.
pub struct Ours {
    host: Arc<Host<Order>>,
    _data: Option<TempDir>,
}

/// A host that owns nothing yet, with the bounds of `daybook run`.
pub fn host(log: Arc<dyn Log>, partitions: i32, barrier: Barrier, snapshots: Option<&Path>) -> Host<Order> {
    let (config, address) = (WriterConfig { barrier, ..WriterConfig::default() }, "127.0.0.1:0".into());
    let host = Host::new(log, partitions, schemas::bundled(), NodeName { owner: "bench".into(), address }, config);
    match snapshots {
        Some(directory) => host.with_snapshots(directory.to_owned()),
        None => host,
    }
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

/// The circumstances of a command that was never given before.
pub fn meta() -> CommandMeta {
    let trace = Uuid::new_v4().simple().to_string();
    let traceparent = Some(format!("00-{trace}-{}-01", &trace[..16]));
    let cause = Cause { actor: "anonymous".into(), correlation_id: trace, causation_id: None, traceparent };
    CommandMeta { command_id: Uuid::new_v4(), time: now(), expected_version: None, only_of: None, cause }
}

impl Ours {
    /// Owns the one partition of a topic of its own.
    pub async fn on_kafka(stage: &Stage, what: &str) -> Result<Self> {
        Self::on_partitions(stage, what, 1).await
    }

    /// Owns all partitions of a topic of its own.
    pub async fn on_partitions(stage: &Stage, what: &str, partitions: i32) -> Result<Self> {
        let service = stage.topic_of(what, partitions).await?;
        let log = KafkaLog::new(stage.producer()?, service, stage.config.clone());
        let data = tempfile::tempdir()?;
        let host = host(Arc::new(log), partitions, stage.barrier(service)?, Some(data.path()));
        Ok(Self { _data: Some(data), ..Self::start(Arc::new(host), SOON).await? })
    }

    /// Owns a log, and waits until it may write.
    pub async fn own(log: Arc<dyn Log>, barrier: Barrier, keeps: Keeps) -> Result<Self> {
        let data = (keeps == Keeps::Snapshots).then(tempfile::tempdir).transpose()?;
        let host = host(log, 1, barrier, data.as_ref().map(TempDir::path));
        Ok(Self { _data: data, ..Self::start(Arc::new(host), SOON).await? })
    }

    /// Has a host own all of its partitions, and waits until it may write each.
    pub async fn start(host: Arc<Host<Order>>, within: Duration) -> Result<Self> {
        let (mut changes, partitions) = (host.changes(), host.partitions());
        (0..partitions).for_each(|partition| host.start(partition));
        let owned = async {
            while host.claims().iter().filter(|(_, claim)| claim.is_some()).count() < partitions as usize {
                changes.changed().await?;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(within, owned).await.with_context(|| format!("what is to be owned is not within {within:?}"))??;
        Ok(Self { host, _data: None })
    }

    /// The offset of the claim under which it writes.
    pub fn claim(&self) -> Option<i64> {
        self.host.claims().into_iter().find_map(|(_, claim)| claim)
    }

    /// The version of an aggregate, as its owner knows it.
    pub async fn version(&self, id: Uuid) -> Result<u64> {
        Ok(self.host.try_read(id).await.context("its partition is not owned any more")??.version)
    }

    /// Gives all partitions up.
    pub async fn stop(&self) {
        for partition in 0..self.host.partitions() {
            self.host.stop(partition).await;
        }
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
