//! A consumer group decides which node should own which partition. It may be wrong for a while; safety does not rest on it.

use super::{KafkaConfig, service_of, topic_of};
use crate::{LogError, PartitionId, bounded::Bounded, tripwire};
use rdkafka::{
    ClientContext, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Hears which partitions this node is given and loses. `gained` and `lost` are called on the thread that polls the group, and must return
/// within the group's session timeout.
pub trait Placed: Send + Sync + 'static {
    /// This node is given a partition.
    fn gained(&self, source: &PartitionId);
    /// This node is to give the partition up: answer the commands that were taken, then return.
    fn lost(&self, source: &PartitionId);
    /// The group has assigned this node its partitions, perhaps none.
    fn settled(&self) {}
    /// The membership met a defect: this node is given nothing any more, and does not learn what it loses.
    fn broken(&self, why: &str);
}

/// How long one poll lasts. An idle one spins through its last millisecond, and a node is a member of a group for each of its readers.
const LOOK: Duration = Duration::from_millis(250);

/// A member of a consumer group that fetches nothing.
pub struct Placement {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Placement {
    /// Joins `group` for the logs of `services`.
    pub fn join(config: &KafkaConfig, group: &str, services: &[&str], placed: Arc<dyn Placed>) -> Result<Self, LogError> {
        let mut client = config.client();
        client.set("group.id", group).set("enable.auto.commit", "false").set("auto.offset.reset", "latest");
        client
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "1000");
        client.set("queued.min.messages", "1").set("fetch.wait.max.ms", "500");
        let consumer: BaseConsumer<Rebalances> = client
            .create_with_context(Rebalances { placed: placed.clone(), troubles: Bounded::default() })
            .map_err(|error| LogError(error.to_string()))?;
        let topics: Vec<String> = services.iter().map(|service| topic_of(service)).collect();
        consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>()).map_err(|error| LogError(error.to_string()))?;
        let stop = CancellationToken::new();
        let (until, name) = (stop.clone(), format!("group {group}"));
        let described = name.clone();
        let member = move || {
            let polled = catch_unwind(AssertUnwindSafe(|| poll(&consumer, &until)));
            if polled.is_err() {
                placed.broken(&format!("the membership in the {described} met a defect"));
            }
        };
        let thread = std::thread::Builder::new().name(name).spawn(member).map_err(|error| LogError(error.to_string()))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Begins to leave the group; dropping it waits for the end. Who leaves several groups begins with all of them.
    pub fn begin_to_leave(&self) {
        self.stop.cancel();
    }
}

fn poll(consumer: &BaseConsumer<Rebalances>, until: &CancellationToken) {
    let troubles = Bounded::default();
    while !until.is_cancelled() {
        tripwire::pass("placement", -1);
        if let Some(Err(error)) = consumer.poll(LOOK)
            && let Some(held_back) = troubles.admit()
        {
            tracing::warn!(%error, held_back, "placement");
        }
    }
}

impl Drop for Placement {
    /// Leaves the group: the callback gives the partitions up, and the other nodes take over at once.
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Rebalances {
    placed: Arc<dyn Placed>,
    troubles: Bounded,
}

impl ClientContext for Rebalances {}

impl ConsumerContext for Rebalances {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            sources(partitions).iter().for_each(|source| self.placed.lost(source));
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => {
                // This consumer is only a member of the group; other consumers read the records.
                if let Err(error) = consumer.pause(partitions) {
                    tracing::warn!(%error, "placement cannot pause its partitions");
                }
                sources(partitions).iter().for_each(|source| self.placed.gained(source));
                self.placed.settled();
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => {
                if let Some(held_back) = self.troubles.admit() {
                    tracing::warn!(%error, held_back, "rebalance");
                }
            }
        }
    }
}

fn sources(partitions: &TopicPartitionList) -> Vec<PartitionId> {
    let source = |topic: &str, partition| PartitionId { service: service_of(topic).into(), partition };
    partitions.elements().iter().map(|element| source(element.topic(), element.partition())).collect()
}
