//! The logs that the suite runs on: memory, the embedded log, Apache Kafka. Each test has a topic of its own.

use embedded_log::{Server, Store};
use event_store::{
    Log, MemoryLog,
    kafka::{KafkaConfig, KafkaLog, KafkaProducer, Profile, TopicPlan, Topics},
};
use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};
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

/// On the embedded log, served by this process.
pub async fn embedded() -> Option<Arc<dyn Log>> {
    static SERVED: OnceLock<(Served, tempfile::TempDir)> = OnceLock::new();
    let start = || {
        let directory = tempfile::tempdir().expect("a temporary directory");
        (Served::start(directory.path(), 0), directory)
    };
    let (served, _) = tokio::task::spawn_blocking(move || SERVED.get_or_init(start)).await.expect("it starts");
    Some(on_brokers(&served.config()).await)
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

/// The embedded log, on a runtime of its own, so that it outlives the test that started it and can be cut off.
pub struct Served {
    runtime: Runtime,
    pub port: u16,
}

impl Served {
    /// Opens the log in a directory and serves it; port 0 is any. Waits until whoever had the directory before has let go of it.
    pub fn start(directory: &Path, port: u16) -> Self {
        let until = Instant::now() + Duration::from_secs(30);
        let store = loop {
            match Store::open(directory) {
                Ok(store) => break store,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let server = runtime.block_on(Server::bind(address, Arc::new(store))).expect("the port is free");
        let port = server.local_addr().port();
        runtime.spawn(server.run(std::future::pending()));
        Self { runtime, port }
    }

    pub fn config(&self) -> KafkaConfig {
        KafkaConfig::new(&format!("127.0.0.1:{}", self.port), "contract")
    }

    /// Ends it in the middle of whatever it does.
    pub fn cut_off(self) {
        self.runtime.shutdown_background();
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
