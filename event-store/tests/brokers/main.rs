//! Brokers die under a writer and come back: each acknowledged command is there once, and the writer goes on. In a program of its own,
//! since nothing else may use the brokers meanwhile.

#![allow(dead_code, reason = "the account is shared with the contract suite")]

#[path = "../contract/account.rs"]
mod account;

use account::{Account, AccountCommand as Do};
use event_sourcing::Timestamp;
use event_store::{
    Barrier, Cause, CommandError, CommandMeta, Follower, Log, NodeName, OwnerParts, PartitionId, PartitionOwner, WriterConfig,
    kafka::{KafkaConfig, KafkaLog, KafkaProducer, Profile, TopicPlan, Topics, topic_of},
    run::Verdict,
};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};
use uuid::Uuid;

const ACCOUNT: Uuid = Uuid::from_u128(7);

fn script(name: &str) -> Command {
    Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../stack").join(name))
}

/// Brokers that the test may kill.
struct Brokers {
    directory: PathBuf,
    addresses: String,
    count: i32,
}

impl Brokers {
    fn tell(&self, what: &str, broker: i32) {
        let status = script("kafka").args([what, &broker.to_string()]).env("D", &self.directory).status().expect("stack/kafka runs");
        assert!(status.success(), "stack/kafka {what} {broker}");
    }

    /// The broker that leads partition 0 of a topic.
    fn leader(&self, topic: &str) -> i32 {
        let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &self.addresses).create().expect("a client");
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(20)).expect("the brokers answer");
        metadata.topics()[0].partitions()[0].leader()
    }

    /// The broker that leads it after `former`, once the brokers have elected one.
    async fn leader_after(&self, topic: &str, former: i32) -> i32 {
        let elected = async {
            loop {
                match self.leader(topic) {
                    leader if leader >= 0 && leader != former => return leader,
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), elected).await.expect("another broker leads within 30 s")
    }
}

/// A writer of one partition of a topic of its own.
struct Writing {
    owner: Arc<PartitionOwner<Account>>,
    log: Arc<dyn Log>,
    topic: String,
}

async fn writing(brokers: &Brokers) -> Writing {
    let config = KafkaConfig::new(&brokers.addresses, "brokers");
    let service: &'static str = format!("brokers-{}", Uuid::new_v4().simple()).leak();
    let profile = Profile { replication: brokers.count, min_insync: if brokers.count > 1 { 2 } else { 1 } };
    let plan = TopicPlan { services: vec![service], partitions: 1, profile };
    let topics = Topics::new(&config).expect("an admin client");
    topics.create(&plan).await.expect("the topic is created");
    let log: Arc<dyn Log> = Arc::new(KafkaLog::new(KafkaProducer::new(&config).expect("a producer"), service, config.clone()));
    let source = PartitionId { service: "accounts".into(), partition: 0 };
    let node = NodeName { owner: "a".into(), address: "127.0.0.1:0".into() };
    let barrier = topics.barrier(service).expect("the brokers answer");
    assert_eq!(barrier, if brokers.count > 1 { Barrier::Append } else { Barrier::End });
    let config = WriterConfig { barrier, ..WriterConfig::default() };
    let parts = OwnerParts { log: log.clone(), source, schemas: account::schemas(), node, config, snapshots: None };
    Writing { owner: Arc::new(PartitionOwner::spawn(parts)), log, topic: topic_of(service) }
}

impl Writing {
    /// Deposits 1 under a command id of its own, asking again while the answer is "not now".
    async fn deposit(&self, id: u128) -> u64 {
        deposit(&self.owner, id).await
    }

    /// So many deposits at once, from `first` on.
    fn deposits(&self, first: u128, count: u128) -> Vec<tokio::task::JoinHandle<u64>> {
        (first..first + count)
            .map(|id| {
                let owner = self.owner.clone();
                tokio::spawn(async move { deposit(&owner, id).await })
            })
            .collect()
    }

    /// The command ids of the deposits that count, in the log's order.
    async fn counted(&self) -> Vec<u128> {
        let end = self.log.end(0).await.expect("the log's end");
        let source = PartitionId { service: "accounts".into(), partition: 0 };
        let mut follower = Follower::start(&self.log, source).await.expect("a follower");
        let (mut counted, mut next) = (Vec::new(), 0);
        while next < end {
            for record in follower.next().await.expect("records") {
                next = record.offset + 1;
                let event = record.event.filter(|_| record.verdict == Verdict::Counts);
                counted.extend(event.map(|event| Uuid::parse_str(event.command_id()).expect("a command id").as_u128()));
            }
        }
        counted
    }
}

async fn deposit(owner: &PartitionOwner<Account>, id: u128) -> u64 {
    let cause = Cause { actor: "test".into(), correlation_id: "c".into(), causation_id: None, traceparent: None };
    let meta = CommandMeta { command_id: Uuid::from_u128(id), time: Timestamp(1), expected_version: None, only_of: None, cause };
    let asking = async {
        loop {
            match owner.execute(ACCOUNT, Do::Deposit(1), meta.clone(), id as u64).await {
                Ok(accepted) => return accepted.version,
                Err(CommandError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(90), asking).await.expect("settled within 90 s")
}

fn required(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    if value.is_none() {
        assert!(std::env::var_os("DAYBOOK_TEST_ALL").is_none(), "{name} must be set");
        eprintln!("passed over: {name} is not set (./test sets it)");
    }
    value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_broker_is_killed_and_comes_back() {
    let (Some(addresses), Some(directory)) = (required("DAYBOOK_KAFKA"), required("DAYBOOK_STACK")) else { return };
    let brokers = Brokers { directory: directory.into(), addresses, count: 1 };
    let writing = writing(&brokers).await;
    for id in 1..=20 {
        assert_eq!(writing.deposit(id).await, id as u64);
    }
    brokers.tell("kill", 1);
    let during = writing.deposits(21, 1);
    brokers.tell("start", 1);
    for answer in during {
        assert_eq!(answer.await.expect("an answer"), 21);
    }
    for id in (1..=21).chain([22]) {
        assert_eq!(writing.deposit(id).await, id as u64, "each is there once, and remembered");
    }
}

/// Starts three brokers of the test's own.
fn three_brokers(directory: &Path) -> Brokers {
    let output = script("up").args(["--brokers", "3", "--directory"]).arg(directory).output().expect("stack/up runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    let addresses = said.split_whitespace().find_map(|word| word.strip_prefix("DAYBOOK_KAFKA=")).expect("addresses").to_owned();
    Brokers { directory: directory.to_owned(), addresses, count: 3 }
}

/// Stops the brokers however the test ends.
struct Stop(PathBuf);

impl Drop for Stop {
    fn drop(&mut self) {
        let _ = script("down").arg("--directory").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_brokers_the_leader_is_killed_and_then_the_majority() {
    if required("DAYBOOK_KAFKA").is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let _stop = Stop(directory.path().to_owned());
    let brokers = three_brokers(directory.path());
    let writing = writing(&brokers).await;
    writing.deposit(1).await;
    let (leader, under_way) = (brokers.leader(&writing.topic), writing.deposits(2, 200));
    brokers.tell("kill", leader);
    all(under_way).await;
    all(writing.deposits(202, 50)).await;
    // Only another leader can have acknowledged those.
    let next = brokers.leader_after(&writing.topic, leader).await;
    brokers.tell("kill", next);
    let without_quorum = writing.deposits(252, 20);
    brokers.tell("start", leader);
    all(without_quorum).await;
    let mut counted = writing.counted().await;
    counted.sort_unstable();
    assert_eq!(counted, (1..272).collect::<Vec<u128>>(), "each deposit counts once, and none is lost");
}

async fn all(answers: Vec<tokio::task::JoinHandle<u64>>) {
    for answer in answers {
        answer.await.expect("an answer");
    }
}
