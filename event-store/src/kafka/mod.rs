//! The log on Kafka, through librdkafka.

mod append_errors;
mod copy;
mod current;
mod directory;
mod following;
mod log;
mod placement;
mod properties;
mod reach;
mod standby_log;
mod tail;
mod topic_rules;
mod topics;

pub use copy::{CopyError, OnRecords, PartitionCopy};
pub use directory::{OwnersTopic, Presence};
pub use log::{KafkaLog, KafkaProducer};
pub use placement::{Placed, Placement};
pub use properties::{Properties, PropertiesError};
pub use standby_log::StandbyLog;
pub use tail::KafkaTail;
pub use topics::{Profile, TopicPlan, Topics, TopicsError, Violation};

use rdkafka::ClientConfig;

/// The compacted topic that tells routers which node owns which partition.
pub const OWNERS_TOPIC: &str = "daybook.owners";

/// The topic of a service's log.
pub fn topic_of(service: &str) -> String {
    format!("{service}.events")
}

/// The service whose log a topic is.
pub(crate) fn service_of(topic: &str) -> &str {
    topic.strip_suffix(".events").unwrap_or(topic)
}

/// How to reach the brokers.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// `host:port[,host:port]`.
    pub brokers: String,
    /// The client's name in the brokers' logs.
    pub client_id: String,
    /// After how many milliseconds without an acknowledgement an append is in doubt.
    pub append_timeout_millis: u32,
    /// Further properties of each client: security, compression.
    pub properties: Properties,
}

impl KafkaConfig {
    /// The defaults for real brokers.
    pub fn new(brokers: &str, client_id: &str) -> Self {
        Self { brokers: brokers.into(), client_id: client_id.into(), append_timeout_millis: 10_000, properties: Properties::default() }
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.brokers).set("client.id", &self.client_id);
        client.set("reconnect.backoff.ms", "20").set("reconnect.backoff.max.ms", "1000");
        self.properties.set(&mut client);
        client
    }

    /// The settings of a consumer that is given its partitions and offsets and commits nothing.
    fn reader(&self) -> ClientConfig {
        let mut client = self.client();
        client.set("group.id", "daybook.unused").set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        client.set("auto.offset.reset", "error").set("fetch.wait.max.ms", "500");
        // A full queue stops librdkafka's fetches for a second by default, however soon it is empty.
        client.set("fetch.queue.backoff.ms", "5").set("queued.min.messages", "10000");
        client.set("fetch.error.backoff.ms", "50").set("isolation.level", "read_uncommitted");
        client
    }
}
