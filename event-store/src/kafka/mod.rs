//! The log on Kafka, through librdkafka.

mod directory;
mod following;
mod idle;
mod log;
mod placement;
mod standby_log;
mod tail;
mod topics;
mod wake;

pub use directory::OwnersTopic;
pub use log::{KafkaLog, KafkaProducer};
pub use placement::{Placed, Placement};
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
    /// How long the broker may hold a fetch back when there is no new record, in milliseconds. Kafka wakes a waiting fetch when a record
    /// comes; the embedded broker does not, so there it is the latency of reading.
    pub fetch_wait_millis: u32,
    /// For a broker that does not wake a waiting fetch: when no record comes, fetch only this often, and at once when this process appends.
    /// None for Kafka, where waiting costs nothing.
    pub idle_look_millis: Option<u32>,
    /// After how many milliseconds without an acknowledgement an append is in doubt.
    pub append_timeout_millis: u32,
    /// Further librdkafka properties (security, for instance), as they are.
    pub properties: Vec<(String, String)>,
}

impl KafkaConfig {
    /// The defaults for real brokers.
    pub fn new(brokers: &str, client_id: &str) -> Self {
        Self {
            brokers: brokers.into(),
            client_id: client_id.into(),
            fetch_wait_millis: 500,
            idle_look_millis: None,
            append_timeout_millis: 10_000,
            properties: Vec::new(),
        }
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.brokers).set("client.id", &self.client_id);
        client.set("reconnect.backoff.ms", "20").set("reconnect.backoff.max.ms", "1000");
        self.properties.iter().for_each(|(key, value)| {
            client.set(key, value);
        });
        client
    }

    /// The settings of a consumer that is given its partitions and offsets and commits nothing.
    fn reader(&self) -> ClientConfig {
        let mut client = self.client();
        client.set("group.id", "daybook.unused").set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        client.set("auto.offset.reset", "error").set("fetch.wait.max.ms", self.fetch_wait_millis.to_string());
        // A full queue stops librdkafka's fetches for a second by default, however soon it is empty.
        client.set("fetch.queue.backoff.ms", "5").set("queued.min.messages", "10000");
        client.set("fetch.error.backoff.ms", "50").set("isolation.level", "read_uncommitted");
        client
    }
}
