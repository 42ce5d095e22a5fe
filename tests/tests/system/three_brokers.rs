//! Three brokers of Apache Kafka for one test.

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
};
use std::{path::PathBuf, process::Command, time::Duration};
use system_tests::process::{eventually, required};
use tempfile::TempDir;

/// How long the brokers may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Three brokers of the test's own, which go with it.
pub struct Cluster {
    pub brokers: String,
    directory: TempDir,
}

fn stack(script: &str) -> Command {
    Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../stack").join(script))
}

impl Cluster {
    /// None where the parts of real brokers are not at hand.
    pub fn up() -> Option<Self> {
        required("DAYBOOK_KAFKA_TOOLS")?;
        // Within that of the brokers that `./test` has started, so that it finds these as well if the test is killed.
        let around = std::env::var_os("DAYBOOK_STACK").map_or_else(std::env::temp_dir, PathBuf::from);
        let directory = tempfile::Builder::new().prefix("cluster.").tempdir_in(around).expect("a directory");
        let mut cluster = Self { brokers: String::new(), directory };
        let started = stack("up").arg("--directory").arg(cluster.directory.path()).args(["--brokers", "3"]).output().expect("it runs");
        let said = String::from_utf8_lossy(&started.stdout).into_owned();
        assert!(started.status.success(), "{said}{}", String::from_utf8_lossy(&started.stderr));
        let brokers = said.split_whitespace().find_map(|word| word.strip_prefix("DAYBOOK_KAFKA="));
        cluster.brokers = brokers.expect("it says where they are").to_owned();
        Some(cluster)
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.brokers).create().expect("an admin client")
    }

    pub async fn make(&self, topic: &str, partitions: i32, copies: i32, settings: &[(&str, &str)]) {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(copies));
        let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
        let made = self.admin().create_topics(&[new], &AdminOptions::new()).await.expect("an answer");
        assert_eq!(made, [Ok(topic.to_owned())]);
        // Each broker has to hear of it.
        eventually("the topic is there", async || self.copies(topic).filter(|found| found.len() == partitions as usize)).await;
    }

    pub async fn delete(&self, topic: &str) {
        let gone = self.admin().delete_topics(&[topic], &AdminOptions::new()).await.expect("an answer");
        assert_eq!(gone, [Ok(topic.to_owned())]);
        eventually("the topic is gone", async || self.copies(topic).is_none().then_some(())).await;
    }

    /// How many copies each partition of a topic has that have caught up; none if there is no such topic.
    pub fn copies(&self, topic: &str) -> Option<Vec<usize>> {
        let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &self.brokers).create().expect("a consumer");
        let metadata = consumer.fetch_metadata(None, PATIENCE).expect("an answer");
        let topic = metadata.topics().iter().find(|found| found.name() == topic)?;
        Some(topic.partitions().iter().map(|partition| partition.isr().len()).collect())
    }

    /// Puts a copy of a topic's one partition onto each of the three brokers, by Kafka's own tool, and waits until they have caught up.
    pub async fn spread(&self, topic: &str) {
        let plan = self.directory.path().join("spread.json");
        let partition = serde_json::json!({"topic": topic, "partition": 0, "replicas": [1, 2, 3]});
        std::fs::write(&plan, serde_json::json!({"version": 1, "partitions": [partition]}).to_string()).expect("it is written");
        let jars = required("DAYBOOK_KAFKA_TOOLS").expect("it was there before");
        let mut tool = Command::new("java");
        tool.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp", &format!("{jars}/*")]);
        tool.args(["org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "--bootstrap-server", &self.brokers, "--execute"]);
        let done = tool.arg("--reassignment-json-file").arg(&plan).output().expect("it runs");
        assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        eventually("there are three copies", async || self.copies(topic).filter(|found| found == &[3])).await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = stack("down").arg("--directory").arg(self.directory.path()).output();
    }
}
