//! The logs that the suite runs on: memory, the embedded broker, Apache Kafka. Each test has a topic of its own.

use event_store::{
    Log, MemoryLog,
    kafka::{KafkaConfig, KafkaLog, KafkaProducer, Profile, TopicPlan, Topics},
};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};
use uuid::Uuid;

/// Makes an empty log of one partition.
pub async fn memory() -> Option<Arc<dyn Log>> {
    Some(Arc::new(MemoryLog::new(1)))
}

/// On Apache Kafka, at `DAYBOOK_KAFKA`.
pub async fn kafka() -> Option<Arc<dyn Log>> {
    let brokers = required("DAYBOOK_KAFKA")?;
    Some(on_brokers(&KafkaConfig::new(&brokers, "contract")).await)
}

/// On the embedded broker, whose program is at `DAYBOOK_EMBEDDED_BROKER`.
pub async fn embedded() -> Option<Arc<dyn Log>> {
    static BROKER: OnceLock<Option<(Broker, tempfile::TempDir)>> = OnceLock::new();
    let start = || {
        let program = required("DAYBOOK_EMBEDDED_BROKER")?;
        let directory = tempfile::tempdir().expect("a temporary directory");
        Some((Broker::start(&program, directory.path()), directory))
    };
    let (broker, _) = tokio::task::spawn_blocking(move || BROKER.get_or_init(start).as_ref()).await.expect("the broker starts")?;
    Some(on_brokers(&broker.config()).await)
}

/// A variable that `./test` sets. In a run by hand it may be missing: the test is passed over then, with a message.
pub fn required(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        assert!(std::env::var_os("DAYBOOK_TEST_ALL").is_none(), "{name} must be set");
        eprintln!("passed over: {name} is not set (./test sets it)");
    }
    value
}

/// A new topic on running brokers, with one partition.
pub async fn on_brokers(config: &KafkaConfig) -> Arc<dyn Log> {
    let service: &'static str = format!("contract-{}", Uuid::new_v4().simple()).leak();
    let plan = TopicPlan { services: vec![service], partitions: 1, profile: Profile { replication: 1, min_insync: 1 } };
    let topics = Topics::new(config).expect("an admin client");
    topics.create(&plan).await.expect("the topic is created");
    Arc::new(KafkaLog::new(KafkaProducer::new(config).expect("a producer"), service, config.clone()))
}

/// The embedded broker as a child process on a port of its own.
pub struct Broker {
    child: Child,
    pub port: u16,
}

impl Broker {
    pub fn start(program: &str, directory: &std::path::Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
        Self::start_on(program, directory, port)
    }

    pub fn start_on(program: &str, directory: &std::path::Path, port: u16) -> Self {
        let mut child = Command::new(program)
            .args(["--port", &port.to_string(), "--exit-with-stdin", "--directory"])
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the embedded broker starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout is piped")).read_line(&mut line).expect("a line");
        assert!(line.contains("ready"), "the broker said {line:?}");
        Self { child, port }
    }

    pub fn config(&self) -> KafkaConfig {
        let mut config = KafkaConfig::new(&format!("127.0.0.1:{}", self.port), "contract");
        config.fetch_wait_millis = 10;
        config
    }

    pub fn kill(mut self) {
        self.child.kill().expect("the broker can be killed");
        self.child.wait().expect("the broker ends");
    }
}

/// Waits until the probe finds something, for 30 s at most.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let probing = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), probing).await.unwrap_or_else(|_| panic!("not within 30 s: {what}"))
}
