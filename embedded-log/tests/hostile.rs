//! Peers that do not mean well: the server closes their connections, and goes on serving the others.

mod common;
#[path = "common/running.rs"]
mod running;
#[path = "common/wire.rs"]
mod wire;

use bytes::Bytes;
use common::{batch_bytes, create, sealed};
use embedded_log::{ServerSettings, Store};
use kafka_protocol::{
    messages::{
        ApiKey, ApiVersionsRequest, CreateTopicsRequest, FetchRequest, FindCoordinatorRequest, JoinGroupRequest, ListOffsetsRequest,
        MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, ProduceRequest, SyncGroupRequest, TopicName,
        create_topics_request::CreatableTopic,
        fetch_request::{FetchPartition, FetchTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::StrBytes,
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use running::Running;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use wire::{ask, connect, frame};

const ORDERS: TopicName = TopicName(StrBytes::from_static_str("orders"));

fn produce(batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_records(Some(batch));
    let topic = TopicProduceData::default().with_name(ORDERS).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic])
}

fn fetch(wait: i32) -> FetchRequest {
    let partition = FetchPartition::default().with_partition_max_bytes(1_000);
    let topic = FetchTopic::default().with_topic(ORDERS).with_partitions(vec![partition]);
    FetchRequest::default().with_max_wait_ms(wait).with_min_bytes(1).with_max_bytes(1_000).with_topics(vec![topic])
}

/// Requests as clients make them.
fn honest() -> Vec<Vec<u8>> {
    let topic = CreatableTopic::default().with_name(ORDERS).with_num_partitions(1).with_replication_factor(1);
    vec![
        frame(ApiKey::ApiVersions, 3, 1, &ApiVersionsRequest::default()),
        frame(ApiKey::Metadata, 12, 2, &MetadataRequest::default()),
        frame(ApiKey::Metadata, 1, 3, &MetadataRequest::default()),
        frame(ApiKey::Produce, 9, 4, &produce(sealed(batch_bytes(&[b"a", b"b"], None, 5)))),
        frame(ApiKey::Produce, 3, 5, &produce(sealed(batch_bytes(&[b"a"], Some((1, 0, 0)), 5)))),
        frame(ApiKey::Fetch, 12, 6, &fetch(1)),
        frame(ApiKey::Fetch, 4, 7, &fetch(1)),
        frame(ApiKey::ListOffsets, 7, 8, &ListOffsetsRequest::default()),
        frame(ApiKey::CreateTopics, 5, 9, &CreateTopicsRequest::default().with_topics(vec![topic])),
        frame(ApiKey::FindCoordinator, 3, 10, &FindCoordinatorRequest::default()),
        frame(ApiKey::JoinGroup, 7, 11, &JoinGroupRequest::default().with_session_timeout_ms(1_000)),
        frame(ApiKey::SyncGroup, 5, 12, &SyncGroupRequest::default()),
        frame(ApiKey::OffsetCommit, 8, 13, &OffsetCommitRequest::default()),
        frame(ApiKey::OffsetFetch, 7, 14, &OffsetFetchRequest::default()),
    ]
}

/// What a hostile peer sends.
#[derive(Clone, Debug)]
enum Sent {
    Noise(Vec<u8>),
    /// A request header of this kind and version, and noise behind it.
    Request(i16, i16, Vec<u8>),
    /// An honest request with some bytes replaced, cut off, with its length put right or not.
    Changed {
        which: usize,
        changes: Vec<(usize, u8)>,
        cut: usize,
        is_length_right: bool,
    },
    /// A length, and fewer bytes than that.
    Announced(i32, Vec<u8>),
}

fn sent() -> impl Strategy<Value = Sent> {
    let noise = || vec(any::<u8>(), 0..300);
    let changes = vec((any::<usize>(), prop_oneof![any::<u8>(), Just(0x7f), Just(0xff), Just(0)]), 1..6);
    prop_oneof![
        noise().prop_map(Sent::Noise),
        (0..70_i16, 0..14_i16, noise()).prop_map(|(key, version, noise)| Sent::Request(key, version, noise)),
        (any::<usize>(), changes, prop_oneof![Just(0_usize), 0..50_usize], any::<bool>())
            .prop_map(|(which, changes, cut, is_length_right)| Sent::Changed { which, changes, cut, is_length_right }),
        (any::<i32>(), noise()).prop_map(|(length, noise)| Sent::Announced(length, noise)),
    ]
}

impl Sent {
    fn bytes(self, honest: &[Vec<u8>]) -> Vec<u8> {
        match self {
            Self::Noise(noise) => noise,
            Self::Request(key, version, noise) => {
                let mut bytes = (noise.len() as i32 + 10).to_be_bytes().to_vec();
                bytes.extend(key.to_be_bytes().into_iter().chain(version.to_be_bytes()));
                bytes.extend([0, 0, 0, 1, 0xff, 0xff]);
                bytes.extend(noise);
                bytes
            }
            Self::Changed { which, changes, cut, is_length_right } => {
                let mut bytes = honest[which % honest.len()].clone();
                for (at, byte) in changes {
                    let at = at % bytes.len();
                    bytes[at] = byte;
                }
                bytes.truncate(bytes.len().saturating_sub(cut).max(4));
                if is_length_right {
                    let length = bytes.len() as i32 - 4;
                    bytes[..4].copy_from_slice(&length.to_be_bytes());
                }
                bytes
            }
            Self::Announced(length, noise) => length.to_be_bytes().into_iter().chain(noise).collect(),
        }
    }
}

/// How often anything in this process has panicked. A handler that panics closes its connection, as a refusal does.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn count_panics() {
    static COUNTS: Once = Once::new();
    COUNTS.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            before(panic);
        }));
    });
}

fn assert_no_panic() {
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "a refusal must not be a panic; what has panicked stands above");
}

/// Sends bytes, ends the connection, and waits until the server has ended it, too.
fn throw(address: SocketAddr, bytes: &[u8]) {
    let mut stream = connect(address);
    // The server may have closed the connection before all is written.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the server neither answers nor closes"),
    }
}

/// A client that means well appends a record and lists the topics.
fn assert_is_served(address: SocketAddr) {
    let mut stream = connect(address);
    for (correlation, request) in honest().iter().enumerate().take(4) {
        let answer = ask(&mut stream, request).expect("an answer");
        assert_eq!(answer[..4], (correlation as i32 + 1).to_be_bytes());
    }
}

/// The process's memory in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("pages") * 4096
}

async fn running(directory: &std::path::Path, settings: ServerSettings) -> Running {
    let store = Arc::new(Store::open(directory).expect("the store opens"));
    count_panics();
    create(&store, "orders", 1).await;
    // The ids that the honest requests bear.
    for id in 0..2 {
        assert_eq!(store.new_producer().await, Ok(id));
    }
    Running::serve(store, settings).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_bytes_are_survived() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = running(directory.path(), ServerSettings::default()).await;
    let address = running.address;
    tokio::task::spawn_blocking(move || {
        let (honest, mut runner) = (
            honest(),
            TestRunner::new_with_rng(
                Config::default(),
                proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
            ),
        );
        assert_is_served(address);
        let before = resident();
        for round in 0..3_000 {
            let bytes = sent().new_tree(&mut runner).expect("a case").current().bytes(&honest);
            throw(address, &bytes);
            if round % 300 == 0 {
                assert_is_served(address);
            }
        }
        assert_is_served(address);
        assert_no_panic();
        let grown = resident().saturating_sub(before);
        assert!(grown < 100 << 20, "{grown} bytes more than before");
    })
    .await
    .expect("it is survived");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_billions_costs_no_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = running(directory.path(), ServerSettings::default()).await;
    let address = running.address;
    tokio::task::spawn_blocking(move || {
        let before = resident();
        // Every kind of request, in every version, with a list that is longer than anything: wherever the list is, it is met somewhere.
        for key in 0..70_i16 {
            for version in 0..14_i16 {
                for lead in [0, 1, 2, 3, 4, 6, 8, 10] {
                    let mut noise = vec![0; lead];
                    noise.extend([0x7f, 0xff, 0xff, 0xff, 0x07, 0xff, 0xff, 0xff, 0xff, 0x0f]);
                    throw(address, &Sent::Request(key, version, noise).bytes(&[]));
                }
            }
        }
        assert_is_served(address);
        assert_no_panic();
        let grown = resident().saturating_sub(before);
        assert!(grown < 50 << 20, "{grown} bytes more than before");
    })
    .await
    .expect("it is survived");
}

/// A connection that the server has a place for: those that were closed before may hold theirs for a moment yet.
fn served(address: SocketAddr) -> TcpStream {
    loop {
        let mut stream = connect(address);
        if ask(&mut stream, &honest()[0]).is_some() {
            return stream;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_frames_memory_and_connections_hold() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings =
        ServerSettings { max_request_bytes: 100_000, max_pending_bytes: 150_000, max_connections: 4, ..ServerSettings::default() };
    let running = running(directory.path(), settings).await;
    let address = running.address;
    tokio::task::spawn_blocking(move || {
        // Frames that are too long, or shorter than nothing.
        for length in [100_001, i32::MAX, -1, i32::MIN] {
            let mut stream = connect(address);
            assert_eq!(ask(&mut stream, &length.to_be_bytes()), None, "{length}");
        }
        // Two connections want more memory than there is.
        let part = |stream: &mut TcpStream| stream.write_all(&[&99_999_i32.to_be_bytes()[..], &[0; 90_000]].concat());
        let (mut one, mut two) = (served(address), served(address));
        part(&mut one).expect("taken");
        let _ = part(&mut two);
        one.set_read_timeout(Some(Duration::from_millis(500))).expect("a limit");
        two.set_read_timeout(Some(Duration::from_millis(500))).expect("a limit");
        let is_closed =
            |stream: &mut TcpStream| !matches!(stream.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
        let closed = usize::from(is_closed(&mut one)) + usize::from(is_closed(&mut two));
        assert_eq!(closed, 1, "one of the two is closed, the other one waits for its rest");
        drop((one, two));
        // More connections than there may be.
        let held: Vec<TcpStream> = (0..4).map(|_| served(address)).collect();
        assert_eq!(ask(&mut connect(address), &honest()[0]), None);
        drop(held);
    })
    .await
    .expect("it is survived");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_begins_a_request_and_sends_no_more_is_shut_out_and_who_is_silent_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = ServerSettings { request_within: Duration::from_millis(200), ..ServerSettings::default() };
    let running = running(directory.path(), settings).await;
    let address = running.address;
    tokio::task::spawn_blocking(move || {
        let (mut silent, mut slow) = (served(address), served(address));
        slow.write_all(&[0, 0, 1]).expect("taken");
        slow.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
        let closed = slow.read(&mut [0]);
        assert!(!matches!(&closed, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{closed:?}");
        assert!(ask(&mut silent, &honest()[0]).is_some(), "it was silent for as long");
    })
    .await
    .expect("it is survived");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_batch_is_refused_and_a_waiting_fetch_holds_up_nobody_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = running(directory.path(), ServerSettings::default()).await;
    let address = running.address;
    tokio::task::spawn_blocking(move || {
        let mut waiting = connect(address);
        waiting.write_all(&frame(ApiKey::Fetch, 11, 1, &fetch(15_000))).expect("sent");
        let mut batch = sealed(batch_bytes(&[b"a"], None, 5)).to_vec();
        batch[65] ^= 1;
        let mut stream = connect(address);
        let refused = ask(&mut stream, &frame(ApiKey::Produce, 3, 2, &produce(batch.into()))).expect("an answer");
        // Correlation, one topic, its name, one partition, its number, the error.
        assert_eq!(refused[24..26], 2_i16.to_be_bytes(), "{refused:?}");
        let taken = ask(&mut stream, &honest()[3]).expect("an answer");
        assert_eq!(taken[..4], 4_i32.to_be_bytes());
        let mut length = [0; 4];
        waiting.read_exact(&mut length).expect("the fetch is woken");
        assert!(u32::from_be_bytes(length) > 60);
    })
    .await
    .expect("it is survived");
}
