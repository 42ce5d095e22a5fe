//! What a server does for one client has limits, and they are given back.

mod common;
#[path = "common/running.rs"]
mod running;
#[path = "common/wire.rs"]
mod wire;

use bytes::Bytes;
use common::{batch_bytes, create, disk::Disk, disk::on, sealed};
use embedded_log::{ServerSettings, Store};
use kafka_protocol::{
    messages::{
        ApiKey, ApiVersionsRequest, FetchRequest, MetadataRequest, ProduceRequest, TopicName,
        fetch_request::{FetchPartition, FetchTopic},
        metadata_request::MetadataRequestTopic,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::StrBytes,
};
use running::{PATIENCE, Running};
use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};
use wire::{ask, call, connect, frame};

const ORDERS: TopicName = TopicName(StrBytes::from_static_str("orders"));

async fn running(store: Store, partitions: u32, settings: ServerSettings) -> Running {
    create(&store, "orders", partitions).await;
    Running::serve(Arc::new(store), settings).await
}

/// Does what blocks beside the server.
async fn asking<T: Send + 'static>(address: SocketAddr, ask: impl FnOnce(SocketAddr) -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(move || ask(address)).await.expect("it is answered")
}

/// An append of a record of so many bytes.
fn append(bytes: usize) -> Vec<u8> {
    let batch: Bytes = sealed(batch_bytes(&[&vec![b'x'; bytes]], None, 1));
    let data = PartitionProduceData::default().with_records(Some(batch));
    let topic = TopicProduceData::default().with_name(ORDERS).with_partition_data(vec![data]);
    frame(ApiKey::Produce, 9, 7, &ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]))
}

fn is_closed(stream: &mut TcpStream, within: Duration) -> bool {
    stream.set_read_timeout(Some(within)).expect("a limit");
    match stream.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_connection_is_closed_unless_it_waits_for_something() {
    let (disk, directory) = (Disk::default(), tempfile::tempdir().expect("a directory"));
    let settings = ServerSettings { idle_within: Duration::from_millis(300), ..ServerSettings::default() };
    let running = running(on(&disk, directory.path()), 1, settings).await;
    let held = disk.held();
    let appending = asking(running.address, |address| {
        let mut appending = connect(address);
        appending.write_all(&append(10)).expect("sent");
        let mut fetching = connect(address);
        let partition = FetchPartition::default().with_partition_max_bytes(1_000);
        let topic = FetchTopic::default().with_topic(ORDERS).with_partitions(vec![partition]);
        let fetch = FetchRequest::default().with_max_wait_ms(15_000).with_min_bytes(1).with_max_bytes(1_000).with_topics(vec![topic]);
        fetching.write_all(&frame(ApiKey::Fetch, 12, 7, &fetch)).expect("sent");
        let (mut silent, mut active) = (connect(address), connect(address));
        for _ in 0..8 {
            std::thread::sleep(Duration::from_millis(100));
            call(&mut active, 3, &ApiVersionsRequest::default());
        }
        assert!(is_closed(&mut silent, Duration::from_secs(5)), "it has sent nothing");
        assert!(!is_closed(&mut appending, Duration::from_millis(1)), "its append waits for the disk");
        assert!(!is_closed(&mut fetching, Duration::from_millis(1)), "its fetch waits for a record");
        (appending, fetching)
    });
    let (appending, fetching) = appending.await;
    drop(held);
    asking(running.address, move |_| {
        for mut waiting in [appending, fetching] {
            waiting.set_read_timeout(Some(Duration::from_secs(10))).expect("a limit");
            let mut answer = Vec::new();
            waiting.read_to_end(&mut answer).expect("closed when it waits for nothing any more, and is silent");
            assert!(answer.len() > 8, "it had its answer before");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_append_may_be_large() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("the store opens");
    let settings = ServerSettings { max_other_request_bytes: 10_000, ..ServerSettings::default() };
    let running = running(store, 1, settings).await;
    asking(running.address, |address| {
        let named = |count| MetadataRequest::default().with_topics(Some(vec![topic("a-topic-that-there-is-not"); count]));
        assert!(ask(&mut connect(address), &frame(ApiKey::Metadata, 9, 7, &named(300))).is_some());
        assert!(ask(&mut connect(address), &frame(ApiKey::Metadata, 9, 7, &named(400))).is_none(), "it has more than 10,000 bytes");
        // It is refused by its first bytes: nothing is kept of it.
        let mut stream = connect(address);
        stream.write_all(&frame(ApiKey::Metadata, 9, 7, &named(400))[..6]).expect("sent");
        assert!(is_closed(&mut stream, Duration::from_secs(5)));
        assert!(ask(&mut connect(address), &append(50_000)).is_some());
    })
    .await;
}

fn topic(name: &'static str) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_static_str(name))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_needs_room_and_a_small_one_does_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("the store opens");
    let settings = ServerSettings { max_answer_bytes: 100_000, ..ServerSettings::default() };
    let running = running(store, 8_000, settings).await;
    asking(running.address, |address| {
        let of = |name| frame(ApiKey::Metadata, 9, 7, &MetadataRequest::default().with_topics(Some(vec![topic(name)])));
        assert!(ask(&mut connect(address), &of("orders")).is_none(), "8,000 partitions do not fit into 100,000 bytes");
        assert!(ask(&mut connect(address), &of("other")).is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_that_has_gone_had_queued_counts_until_it_is_on_the_disk() {
    let (disk, directory) = (Disk::default(), tempfile::tempdir().expect("a directory"));
    let settings = ServerSettings { max_pending_bytes: 150_000, ..ServerSettings::default() };
    let running = running(on(&disk, directory.path()), 1, settings).await;
    let held = disk.held();
    let waits = disk.clone();
    asking(running.address, move |address| {
        let mut gone = connect(address);
        gone.write_all(&append(100_000)).expect("sent");
        waits.wait_for_sync();
        // No frame has a negative length: the server is done with this client at once.
        gone.write_all(&(-1_i32).to_be_bytes()).expect("sent");
        drop(gone);
        for _ in 0..20 {
            let mut next = connect(address);
            let _ = next.write_all(&append(100_000));
            assert!(is_closed(&mut next, Duration::from_millis(100)), "there is no room for another 100,000 bytes");
        }
    })
    .await;
    drop(held);
    asking(running.address, |address| {
        let until = Instant::now() + PATIENCE;
        while ask(&mut connect(address), &append(100_000)).is_none() {
            assert!(Instant::now() < until, "the room is not given back");
        }
    })
    .await;
}
