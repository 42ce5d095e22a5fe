//! The server as librdkafka sees it.

mod common;
#[path = "common/running.rs"]
mod running;

use rdkafka::{
    Message, Offset, TopicPartitionList,
    admin::{AdminOptions, AlterConfig, NewPartitions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication},
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::RDKafkaErrorCode,
    message::{Header, Headers, OwnedHeaders},
    producer::{FutureRecord, Producer},
};
use running::{PATIENCE, Running, produce};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

fn assigned(consumer: &impl Consumer, topic: &str, partitions: &[(i32, Offset)]) {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in partitions {
        list.add_partition_offset(topic, *partition, *offset).expect("an offset");
    }
    consumer.assign(&list).expect("assigned");
}

async fn next(consumer: &StreamConsumer) -> (i32, i64, String) {
    let message = tokio::time::timeout(PATIENCE, consumer.recv()).await.expect("in time").expect("a record");
    let value = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
    (message.partition(), message.offset(), value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_produced_is_consumed_also_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = Running::start(directory.path()).await;
    running.create("orders", 2).await;
    let producer = running.producer(&[("enable.idempotence", "true")]);
    assert_eq!(produce(&producer, "orders", 1, "a").await, 0);
    let headers = OwnedHeaders::new().insert(Header { key: "kind", value: Some("test") });
    let record = FutureRecord::to("orders").partition(1).key("key").payload("b").headers(headers).timestamp(7);
    assert_eq!(producer.send(record, PATIENCE).await.expect("acknowledged").offset, 1);
    drop(producer);
    running.stop().await;

    let running = Running::start(directory.path()).await;
    let consumer = running.consumer(&[]);
    assigned(&consumer, "orders", &[(1, Offset::Beginning)]);
    assert_eq!(next(&consumer).await, (1, 0, "a".into()));
    let message = tokio::time::timeout(PATIENCE, consumer.recv()).await.expect("in time").expect("a record");
    assert_eq!((message.key(), message.timestamp().to_millis(), message.offset()), (Some(&b"key"[..]), Some(7), 1));
    assert_eq!(message.headers().map(|headers| headers.get(0).value), Some(Some(&b"test"[..])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_come_back_in_order_whatever_their_codec() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = Running::start(directory.path()).await;
    running.create("orders", 1).await;
    for (codec, idempotent) in [("none", "true"), ("gzip", "true"), ("none", "false"), ("gzip", "false")] {
        let producer = running.producer(&[("compression.type", codec), ("enable.idempotence", idempotent), ("linger.ms", "5")]);
        let sends = (0..500).map(|index| {
            let record = FutureRecord::<(), _>::to("orders").partition(0).payload(codec.as_bytes());
            producer.send_result(record).unwrap_or_else(|(error, _)| panic!("{index}: {error}"))
        });
        for delivery in sends.collect::<Vec<_>>() {
            delivery.await.expect("an answer").expect("acknowledged");
        }
    }
    let consumer = running.consumer(&[("check.crcs", "true")]);
    assigned(&consumer, "orders", &[(0, Offset::Beginning)]);
    for offset in 0..2_000 {
        let codec = if (offset / 500) % 2 == 0 { "none" } else { "gzip" };
        assert_eq!(next(&consumer).await, (0, offset, codec.to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_can_be_none_one_or_all() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = Running::start(directory.path()).await;
    running.create("orders", 1).await;
    for acks in ["0", "1", "all"] {
        let producer = running.producer(&[("acks", acks)]);
        produce(&producer, "orders", 0, acks).await;
        producer.flush(PATIENCE).expect("flushed");
    }
    let consumer = running.consumer(&[]);
    assigned(&consumer, "orders", &[(0, Offset::Beginning)]);
    let seen = BTreeSet::from([next(&consumer).await.2, next(&consumer).await.2, next(&consumer).await.2]);
    assert_eq!(seen, BTreeSet::from(["0".to_owned(), "1".to_owned(), "all".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_fetch_is_woken_by_an_append() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = Running::start(directory.path()).await;
    running.create("orders", 2).await;
    let producer = running.producer(&[]);
    let consumer = running.consumer(&[("fetch.wait.max.ms", "5000")]);
    assigned(&consumer, "orders", &[(0, Offset::Beginning), (1, Offset::Beginning)]);
    produce(&producer, "orders", 0, "first").await;
    next(&consumer).await;
    let mut quickest = Duration::MAX;
    for round in 1..=5 {
        // The consumer has had its record, so its next fetch is on its way or waits.
        tokio::time::sleep(Duration::from_millis(100)).await;
        produce(&producer, "orders", round % 2, "next").await;
        let acknowledged = Instant::now();
        next(&consumer).await;
        quickest = quickest.min(acknowledged.elapsed());
    }
    assert!(quickest < Duration::from_millis(50), "{quickest:?}, and a fetch waits for 5 s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_shares_the_partitions_and_one_member_takes_over_from_another() {
    for strategy in ["cooperative-sticky", "range"] {
        let directory = tempfile::tempdir().expect("a directory");
        let running = Running::start(directory.path()).await;
        running.create("orders", 4).await;
        let producer = running.producer(&[]);
        for partition in 0..4 {
            produce(&producer, "orders", partition, "before").await;
        }
        let member = || {
            let consumer = running.consumer(&[
                ("partition.assignment.strategy", strategy),
                ("session.timeout.ms", "6000"),
                ("heartbeat.interval.ms", "100"),
            ]);
            consumer.subscribe(&["orders"]).expect("subscribed");
            consumer
        };
        let one = member();
        for _ in 0..4 {
            let (partition, offset, _) = next(&one).await;
            commit(&one, partition, offset + 1);
        }
        let two = member();
        let shared = || one.assignment().expect("some").count() == 2 && two.assignment().expect("some").count() == 2;
        polling(&[&one, &two], shared).await;
        drop(one);
        polling(&[&two], || two.assignment().expect("some").count() == 4).await;
        for partition in 0..4 {
            produce(&producer, "orders", partition, "after").await;
        }
        let mut seen = BTreeMap::new();
        while seen.len() < 4 {
            let (partition, offset, value) = next(&two).await;
            assert_eq!((offset, &*value), (1, "after"), "it goes on where the other one committed");
            seen.insert(partition, offset);
        }
    }
}

fn commit(consumer: &StreamConsumer, partition: i32, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("orders", partition, Offset::Offset(offset)).expect("an offset");
    consumer.commit(&list, CommitMode::Sync).expect("committed");
}

/// Polls the consumers until something holds.
async fn polling(consumers: &[&StreamConsumer], holds: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "not in time");
        for consumer in consumers {
            let _ = tokio::time::timeout(Duration::from_millis(20), consumer.recv()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn committed_offsets_outlive_the_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = Running::start(directory.path()).await;
    running.create("orders", 1).await;
    let consumer = running.consumer(&[]);
    commit(&consumer, 0, 42);
    drop(consumer);
    running.stop().await;

    let running = Running::start(directory.path()).await;
    let consumer = running.base_consumer(&[]);
    let mut list = TopicPartitionList::new();
    list.add_partition("orders", 0);
    let committed = consumer.committed_offsets(list, PATIENCE).expect("an answer");
    assert_eq!(committed.elements()[0].offset(), Offset::Offset(42));
    let groups = consumer.fetch_group_list(None, PATIENCE).expect("an answer");
    assert_eq!(groups.groups().iter().map(|group| group.name()).collect::<Vec<_>>(), ["readers"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_listed_by_place_and_by_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = Running::start(directory.path()).await;
    running.create("orders", 1).await;
    let producer = running.producer(&[]);
    for time in [10, 20, 30] {
        let record = FutureRecord::<(), _>::to("orders").partition(0).payload("x").timestamp(time);
        producer.send(record, PATIENCE).await.expect("acknowledged");
    }
    let consumer = running.base_consumer(&[]);
    assert_eq!(consumer.fetch_watermarks("orders", 0, PATIENCE).expect("an answer"), (0, 3));
    for (time, offset) in [(5, Offset::Offset(0)), (11, Offset::Offset(1)), (30, Offset::Offset(2)), (31, Offset::End)] {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("orders", 0, Offset::Offset(time)).expect("a time");
        let found = consumer.offsets_for_times(list, PATIENCE).expect("an answer");
        assert_eq!(found.elements()[0].offset(), offset, "at {time}");
    }
    assigned(&consumer, "orders", &[(0, Offset::Offset(4))]);
    let metadata = consumer.fetch_metadata(None, PATIENCE).expect("an answer");
    assert_eq!((metadata.brokers().len(), metadata.topics().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_administered() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = Running::start(directory.path()).await;
    let (admin, options) = (running.admin(), AdminOptions::new());
    running.create("orders", 1).await;
    let forgets = NewTopic::new("forgets", 1, TopicReplication::Fixed(1)).set("retention.ms", "1000");
    let compacted = NewTopic::new("compacted", 1, TopicReplication::Fixed(1)).set("cleanup.policy", "compact");
    let copied = NewTopic::new("copied", 1, TopicReplication::Fixed(3));
    let again = NewTopic::new("orders", 1, TopicReplication::Fixed(1));
    let created = admin.create_topics(&[forgets, compacted, copied, again], &options).await.expect("an answer");
    let expected = [
        Err(("forgets".to_owned(), RDKafkaErrorCode::InvalidConfig)),
        Ok("compacted".to_owned()),
        Err(("copied".to_owned(), RDKafkaErrorCode::InvalidReplicationFactor)),
        Err(("orders".to_owned(), RDKafkaErrorCode::TopicAlreadyExists)),
    ];
    assert_eq!(created, expected);
    let grown = admin.create_partitions(&[NewPartitions::new("orders", 3)], &options).await.expect("an answer");
    assert_eq!(grown, [Ok("orders".to_owned())]);
    let change = |name, value| AlterConfig::new(ResourceSpecifier::Topic("orders")).set(name, value);
    let changed = admin.alter_configs(&[change("max.message.bytes", "1000")], &options).await.expect("an answer");
    assert_eq!(changed, [Ok(OwnedResourceSpecifier::Topic("orders".to_owned()))]);
    // The client does not tell of a refusal, so the settings do. This older request replaces all settings.
    admin.alter_configs(&[change("retention.bytes", "1000")], &options).await.expect("an answer");
    let described = admin.describe_configs(&[ResourceSpecifier::Topic("orders")], &options).await.expect("an answer");
    let described = described.into_iter().next().expect("a topic").expect("described");
    let value = |name: &str| described.entries.iter().find(|entry| entry.name == name).and_then(|entry| entry.value.clone());
    assert_eq!([value("max.message.bytes"), value("retention.ms")], [Some("1000".to_owned()), Some("-1".to_owned())]);

    let producer = running.producer(&[]);
    let large = "x".repeat(2_000);
    let refused = producer.send(FutureRecord::<(), _>::to("orders").partition(2).payload(&large), PATIENCE).await;
    let code = refused.expect_err("it is too large").0.rdkafka_error_code();
    assert_eq!(code, Some(RDKafkaErrorCode::MessageSizeTooLarge));
    assert_eq!(admin.delete_topics(&["orders"], &options).await.expect("an answer"), [Ok("orders".to_owned())]);
    assert!(running.store.catalog().topic("orders").is_none());
}
