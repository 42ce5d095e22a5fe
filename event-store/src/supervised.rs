//! Tests of what becomes of a node's parts that meet a defect, stop in the middle, or are placed while they stop.

use crate::{
    Append, Batch, BatchError, BatchHandler, Cause, Checkpoint, CommandError, CommandMeta, Headers, Host, Hosted, LocalOwner, Log,
    MemoryLog, NodeName, PartitionId, PlacedReader, Reader, Readers, Supervisor, Tag, WriterConfig,
    account::{self, Account, AccountCommand},
    kafka::{KafkaConfig, KafkaLog, KafkaProducer, KafkaTail, Placed, Placement},
    partition_of, tripwire,
};
use event_sourcing::Timestamp;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The partitions of the tests' logs: each test uses one that no other does.
const PARTITIONS: i32 = 64;

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("not within 20 s: {what}"));
}

/// An account of this partition.
fn account_in(partition: i32) -> Uuid {
    (1..).map(Uuid::from_u128).find(|id| partition_of(id.to_string().as_bytes(), PARTITIONS) == partition).expect("there are many ids")
}

fn host_on(log: &MemoryLog, node: &str) -> Host<Account> {
    let name = NodeName { owner: node.to_owned(), address: format!("{node}:1") };
    let config = WriterConfig { save_every: Duration::from_millis(20), ..WriterConfig::default() };
    Host::new(Arc::new(log.clone()), PARTITIONS, account::schemas(), name, config)
}

fn meta(id: u128) -> CommandMeta {
    let cause = Cause { actor: "test".into(), correlation_id: "c".into(), causation_id: None, traceparent: None };
    CommandMeta { command_id: Uuid::from_u128(id), time: Timestamp(1), expected_version: None, only_of: None, cause }
}

/// Deposits 1; true when it was accepted.
async fn deposits(host: &Host<Account>, partition: i32, id: u128) -> bool {
    let answer = host.try_execute(account_in(partition), AccountCommand::Deposit(1), meta(id)).await;
    match answer {
        Some(Ok(_)) => true,
        None | Some(Err(CommandError::Unavailable(_))) => false,
        Some(Err(error)) => panic!("{error}"),
    }
}

async fn goes_on(host: &Host<Account>, partition: i32, id: u128) {
    until("a command is accepted", async || deposits(host, partition, id).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_panics_is_started_again_and_answers() {
    let (log, partition) = (MemoryLog::new(PARTITIONS), 1);
    let supervisor = Supervisor::default();
    let host = host_on(&log, "a").supervised(supervisor.clone());
    host.start(partition);
    goes_on(&host, partition, 1).await;
    let armed = Arc::new(AtomicUsize::new(1));
    let trips = armed.clone();
    tripwire::arm("owner", partition, move || {
        assert!(trips.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_err(), "an owner's defect, for a test");
    });
    // The one during which it happens is not settled, and is asked again.
    goes_on(&host, partition, 2).await;
    goes_on(&host, partition, 3).await;
    assert_eq!((armed.load(SeqCst), supervisor.why()), (0, None), "it happened, and the node lives");
    host.stop(partition).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(host.claims().is_empty(), "what was stopped is not started again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_panics_again_and_again_ends_the_node() {
    let (log, partition) = (MemoryLog::new(PARTITIONS), 2);
    let supervisor = Supervisor::default();
    let host = host_on(&log, "a").supervised(supervisor.clone());
    tripwire::arm("owner", partition, || panic!("an owner's defect, for a test"));
    host.start(partition);
    tokio::time::timeout(Duration::from_secs(20), supervisor.stop().cancelled()).await.expect("the node ends");
    let why = supervisor.why().expect("a reason");
    assert!(why.contains("the owner of accounts/2") && why.contains("defect"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_that_panics_is_tried_again_and_loses_nothing() {
    let (log, partition, directory) = (MemoryLog::new(PARTITIONS), 3, tempfile::tempdir().expect("a directory"));
    let host = host_on(&log, "a").with_snapshots(directory.path().to_owned());
    let saves = Arc::new(AtomicUsize::new(0));
    let counted = saves.clone();
    tripwire::arm("saver", partition, move || assert!(counted.fetch_add(1, SeqCst) > 1, "a saver's defect, for a test"));
    host.start(partition);
    goes_on(&host, partition, 1).await;
    until("the third save", async || saves.load(SeqCst) > 2).await;
    goes_on(&host, partition, 2).await;
    host.stop(partition).await;
    // What was saved is believed, and holds both.
    let again = host_on(&log, "b").with_snapshots(directory.path().to_owned());
    again.start(partition);
    until(
        "the account is read",
        async || matches!(again.try_read(account_in(partition)).await, Some(Ok(accepted)) if accepted.version == 2),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_panics_is_replaced() {
    let (log, partition) = (MemoryLog::new(PARTITIONS), 4);
    let owner = host_on(&log, "a");
    owner.start(partition);
    let host = host_on(&log, "b").standing_by(Arc::new(log.clone()));
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = seen.clone();
    tripwire::arm("standby", partition, move || assert!(counted.fetch_add(1, SeqCst) > 0, "a standby's defect, for a test"));
    let wanted = HashSet::from([partition]);
    host.stand_by(&wanted);
    until("the second standby reads", async || {
        host.stand_by(&wanted);
        seen.load(SeqCst) > 1
    })
    .await;
}

/// The owner that took the partition over has stepped down and saves, when the group places the partition here.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_partition_that_is_placed_here_while_its_owner_steps_down_gets_another_owner() {
    let (log, partition, directory) = (MemoryLog::new(PARTITIONS), 5, tempfile::tempdir().expect("a directory"));
    let config = WriterConfig { save_every: Duration::from_secs(3_600), ..WriterConfig::default() };
    let name = NodeName { owner: "a".into(), address: "a:1".into() };
    let host = Host::<Account>::new(Arc::new(log.clone()), PARTITIONS, account::schemas(), name, config)
        .with_snapshots(directory.path().to_owned())
        .standing_by(Arc::new(log.clone()));
    let (saves, saving) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (saves, may_go_on) = (Mutex::new(saves), Mutex::new(may_go_on));
    tripwire::arm("saver", partition, move || {
        let _ = saves.lock().send(());
        let _ = may_go_on.lock().recv_timeout(Duration::from_secs(10));
    });
    // Given: the partition was taken over and written here.
    assert!(host.take_over(account_in(partition)).await);
    assert!(deposits(&host, partition, 1).await);
    // When: another node claims it, the owner here notices and saves, and meanwhile the group places the partition here.
    let other = host_on(&log, "b");
    other.start(partition);
    goes_on(&other, partition, 2).await;
    host.confirm(partition);
    tokio::task::spawn_blocking(move || saving.recv_timeout(Duration::from_secs(10))).await.expect("no panic").expect("it saves");
    other.stop(partition).await;
    host.start(partition);
    drop(go_on);
    // Then: it is owned here.
    goes_on(&host, partition, 3).await;
    assert!(host.claims().iter().any(|(owned, claim)| *owned == partition && claim.is_some()));
}

/// What the group and the routers may ask of a node, in any order, while its saves take their time.
async fn one_of_anything(host: &Host<Account>, other: &Host<Account>, partition: i32, draw: u64) {
    match draw % 6 {
        0 => host.start(partition),
        1 => host.stop(partition).await,
        2 => drop(host.take_over(account_in(partition)).await),
        3 => host.confirm(partition),
        4 => other.start(partition),
        _ => drop(deposits(host, partition, u128::from(draw)).await),
    }
}

/// Schedules drawn by chance: wherever the owner is in its life when the group places the partition here, it is owned here soon after.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_came_before_a_partition_that_is_placed_here_is_owned_here() {
    let partition = 7;
    tripwire::arm("saver", partition, || std::thread::sleep(Duration::from_millis(15)));
    for seed in 0..40_u64 {
        let (log, directory) = (MemoryLog::new(PARTITIONS), tempfile::tempdir().expect("a directory"));
        let host = host_on(&log, "a").with_snapshots(directory.path().to_owned()).standing_by(Arc::new(log.clone()));
        let other = host_on(&log, "b");
        // A linear congruence (Knuth's) is chance enough.
        let draws = std::iter::successors(Some(seed), |draw| {
            Some(draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
        });
        for draw in draws.skip(1).take(12).map(|draw| draw >> 33) {
            one_of_anything(&host, &other, partition, draw).await;
            tokio::time::sleep(Duration::from_millis(draw % 7)).await;
        }
        other.stop(partition).await;
        host.start(partition);
        goes_on(&host, partition, u128::from(seed) << 64 | 1).await;
        host.stop(partition).await;
        assert!(host.claims().is_empty(), "seed {seed}: what was stopped is not owned");
    }
}

/// A handler that takes its time, and notes what happens in which order.
struct Slow {
    log: Arc<Mutex<Vec<&'static str>>>,
    begun: CancellationToken,
}

struct Noted(Arc<Mutex<Vec<&'static str>>>);

impl Drop for Noted {
    fn drop(&mut self) {
        // A statement under way is not given up at once.
        std::thread::sleep(Duration::from_millis(100));
        self.0.lock().push("the lane has ended");
    }
}

#[async_trait::async_trait]
impl BatchHandler for Slow {
    async fn start(&self, _: &PartitionId) -> Result<Checkpoint, BatchError> {
        let _noted = Noted(self.log.clone());
        self.begun.cancel();
        std::future::pending().await
    }

    async fn apply(&self, _: &Batch) -> Result<(), BatchError> {
        Ok(())
    }

    async fn finish(&self, _: &PartitionId) {
        self.log.lock().push("finish");
    }
}

fn readers(handler: Arc<dyn BatchHandler>) -> Arc<Readers> {
    let config = KafkaConfig::new("127.0.0.1:1", "test");
    let tail = KafkaTail::start(&config, &KafkaProducer::new(&config).expect("a producer")).expect("a tail");
    let reader = Reader { name: "accounts/views".into(), sources: vec!["accounts"], handler };
    let logs: HashMap<&'static str, Arc<dyn Log>> = [("accounts", Arc::new(MemoryLog::new(1)) as Arc<dyn Log>)].into();
    Readers::new(vec![reader], logs, tail, Supervisor::default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_is_lost_is_finished_after_its_lane_has_ended() {
    let (log, begun) = (Arc::default(), CancellationToken::new());
    let readers = readers(Arc::new(Slow { log: Arc::clone(&log), begun: begun.clone() }));
    let placed = PlacedReader { readers, name: "accounts/views".into() };
    let source = PartitionId { service: "accounts".into(), partition: 0 };
    placed.gained(&source);
    begun.cancelled().await;
    tokio::task::spawn_blocking(move || placed.lost(&source)).await.expect("no panic");
    assert_eq!(*log.lock(), ["the lane has ended", "finish"]);
}

/// Panics the first time that it is asked where to begin.
struct Clumsy(AtomicUsize, CancellationToken);

#[async_trait::async_trait]
impl BatchHandler for Clumsy {
    async fn start(&self, _: &PartitionId) -> Result<Checkpoint, BatchError> {
        assert!(self.0.fetch_add(1, SeqCst) > 0, "a handler's defect, for a test");
        self.1.cancel();
        Ok(Checkpoint::default())
    }

    async fn apply(&self, _: &Batch) -> Result<(), BatchError> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_whose_beginning_panics_begins_again() {
    let begun = CancellationToken::new();
    let readers = readers(Arc::new(Clumsy(AtomicUsize::new(0), begun.clone())));
    readers.gain_all(&PartitionId { service: "accounts".into(), partition: 0 });
    tokio::time::timeout(Duration::from_secs(20), begun.cancelled()).await.expect("it begins again");
}

struct Told(Mutex<mpsc::Sender<String>>);

impl Placed for Told {
    fn gained(&self, _: &PartitionId) {}
    fn lost(&self, _: &PartitionId) {}
    fn broken(&self, why: &str) {
        let _ = self.0.lock().send(why.to_owned());
    }
}

#[test]
fn a_membership_that_panics_says_so() {
    let (told, heard) = mpsc::channel();
    tripwire::arm("placement", -1, || panic!("a membership's defect, for a test"));
    let config = KafkaConfig::new("127.0.0.1:1", "test");
    let _member = Placement::join(&config, "a-group", &["accounts"], Arc::new(Told(Mutex::new(told)))).expect("it joins");
    let why = heard.recv_timeout(Duration::from_secs(20)).expect("it is said");
    assert!(why.contains("a-group") && why.contains("defect"), "{why}");
}

/// Its thread ends with the test's process at the latest; what it polls is answered meanwhile: nothing is listening, so by a time-out.
#[tokio::test]
async fn a_producer_whose_thread_panics_answers_all_the_same() {
    let passed = Arc::new(AtomicUsize::new(0));
    let counted = passed.clone();
    tripwire::arm("producer", -1, move || assert!(counted.fetch_add(1, SeqCst) > 0, "a producer's defect, for a test"));
    let config = KafkaConfig { append_timeout_millis: 3_000, ..KafkaConfig::new("127.0.0.1:1", "test") };
    let log = KafkaLog::new(KafkaProducer::new(&config).expect("a producer"), "accounts", config.clone());
    until("it has panicked", async || passed.load(SeqCst) > 0).await;
    let (acks, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let record = Append { key: "a".into(), payload: Vec::new(), headers: Headers::default() };
    log.append(0, record, Tag { epoch: 1, at: 0 }, &acks).expect("it is queued");
    let ack = tokio::time::timeout(Duration::from_secs(20), heard.recv()).await.expect("an answer comes").expect("the producer lives");
    assert!(ack.offset.is_err() && passed.load(SeqCst) > 1);
}
