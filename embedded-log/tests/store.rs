//! The store: what it acknowledges is there, whatever order things were asked for in.

mod common;

use common::{batch, batch_bytes, batches, create, disk::Disk, one, partition, read, sealed, values};
use embedded_log::{
    Amount, AppendError, Batch, BatchError, Committed, NewTopic, OpenError, Store, StoreSettings, TopicError, TopicSettings,
};
use std::path::Path;

fn on(disk: &Disk, directory: &Path) -> Store {
    let settings = StoreSettings { storage: Some(disk.storage()), ..StoreSettings::default() };
    Store::open_with(directory, settings).expect("the store opens")
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_opening_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a new store");
    let cluster = store.cluster_id().expect("an id");
    let topic = create(&store, "orders", 2).await;
    for value in ["a", "b", "c"] {
        store.append(topic.partitions[0].key(), one(value)).await.expect("appended");
    }
    let last = store.append(topic.partitions[1].key(), batch(&[b"x", b"y"], None)).await.expect("appended");
    assert_eq!((last.base, topic.partitions[1].end()), (0, 2));
    drop(store);

    let store = Store::open(directory.path()).expect("the same store");
    assert_eq!(store.cluster_id(), Ok(cluster));
    let again = store.catalog().topic("orders").expect("the topic").clone();
    assert_eq!((again.id, again.partitions.len()), (topic.id, 2));
    assert_eq!((again.partitions[0].end(), again.partitions[1].end()), (3, 2));
    let all = read(&store, &again.partitions[0], 0).expect("it can be read");
    assert_eq!(all, [(0, "a".into()), (1, "b".into()), (2, "c".into())]);
    assert_eq!(store.append(again.partitions[0].key(), one("d")).await.expect("appended").base, 3);
}

#[tokio::test]
async fn a_batch_is_kept_as_it_came_but_for_its_offset() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a new store");
    let key = create(&store, "orders", 1).await.partitions[0].key();
    // A batch whose records are compressed, as far as anybody can tell who does not open it.
    let mut bytes = batch_bytes(&[b"a", b"b"], None, 5);
    bytes[22] = 4;
    let sent = sealed(bytes);
    store.append(key, one("first")).await.expect("appended");
    store.append(key, Batch::parse(sent.clone()).expect("sound")).await.expect("appended");
    let found = store.read_batches(&partition(&store, "orders"), 2, Amount { bytes: 0, at_least_one: true }).expect("read");
    assert_eq!(batches(&found), [(1, found.to_vec())], "the batch that holds offset 2 begins at 1");
    assert_eq!(found[16..], sent[16..]);
}

#[tokio::test]
async fn a_reader_gets_whole_batches_up_to_its_limit_and_at_least_one_if_it_must() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a new store");
    let key = create(&store, "orders", 1).await.partitions[0].key();
    for value in ["a", "b", "c"] {
        store.append(key, one(value)).await.expect("appended");
    }
    let orders = partition(&store, "orders");
    let size = one("a").size();
    let get = |bytes, at_least_one| values(&store.read_batches(&orders, 0, Amount { bytes, at_least_one }).expect("read")).len();
    assert_eq!((get(size * 2, false), get(size * 3 - 1, false), get(size - 1, false), get(0, true)), (2, 2, 0, 1));
    assert_eq!(read(&store, &orders, 3), Ok(vec![]));
}

#[tokio::test]
async fn all_that_waits_together_is_synced_together() {
    let (disk, directory) = (Disk::default(), tempfile::tempdir().expect("a directory"));
    let store = on(&disk, directory.path());
    let key = create(&store, "orders", 1).await.partitions[0].key();
    let held = disk.held();
    let first = store.append(key, one("first"));
    // The batch is written before the second sync at the latest, of two or three.
    disk.wait_for_sync();
    disk.pass_one();
    disk.wait_for_sync();
    let before = disk.syncs();
    let rest: Vec<_> = (0..50).map(|index| store.append(key, one(&index.to_string()))).collect();
    assert_eq!(partition(&store, "orders").end(), 0, "nobody sees what is not on the disk");
    drop(held);
    assert_eq!(first.await.expect("appended").base, 0);
    for (index, append) in (1..).zip(rest) {
        assert_eq!(append.await.expect("appended").base, index);
    }
    assert!(disk.syncs() - before < 10, "two transactions, each of two phases: {} syncs", disk.syncs() - before);
}

#[tokio::test]
async fn an_idempotent_batch_stands_in_the_log_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a new store");
    let key = create(&store, "orders", 1).await.partitions[0].key();
    let producer = store.new_producer().await.expect("an id");
    let sent = |epoch, sequence| batch(&[b"a", b"b"], Some((producer, epoch, sequence)));
    store.append(key, one("before")).await.expect("appended");
    assert_eq!(store.append(key, sent(0, 0)).await.expect("appended").base, 1);
    let again = store.append(key, sent(0, 0)).await.expect("it is there");
    assert_eq!((again.base, again.is_duplicate), (1, true));
    assert_eq!(store.append(key, sent(0, 4)).await, Err(AppendError::OutOfOrder));
    // Two batches on their way at once, the second twice.
    let (one, two, twice) = (store.append(key, sent(0, 2)), store.append(key, sent(0, 4)), store.append(key, sent(0, 4)));
    let bases = [one.await.expect("appended").base, two.await.expect("appended").base, twice.await.expect("appended").base];
    assert_eq!(bases, [3, 5, 5]);
    drop(store);

    let store = Store::open(directory.path()).expect("the same store");
    assert_eq!(store.append(key, sent(0, 2)).await.expect("it is there").base, 3);
    assert_eq!(store.append(key, sent(1, 0)).await.expect("a new epoch").base, 7);
    assert_eq!(store.append(key, sent(0, 6)).await, Err(AppendError::StaleEpoch));
    assert_eq!(partition(&store, "orders").end(), 9);
    assert!(store.new_producer().await.expect("an id") > producer);
}

#[tokio::test]
async fn a_producer_whose_id_was_not_given_is_refused_and_spoils_no_later_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a new store");
    let key = create(&store, "orders", 1).await.partitions[0].key();
    let given = store.new_producer().await.expect("an id");
    let sent = |producer, value: &'static [u8]| batch(&[value], Some((producer, 0, 0)));
    for made_up in [given + 1, i64::MAX] {
        assert_eq!(store.append(key, sent(made_up, b"made up")).await, Err(AppendError::UnknownProducer));
    }
    store.append(key, sent(given, b"a")).await.expect("appended");
    let next = store.new_producer().await.expect("an id");
    let appended = store.append(key, sent(next, b"b")).await.expect("appended");
    assert_eq!((appended.base, appended.is_duplicate), (1, false), "nobody has appended under this id before");
    drop(store);

    let store = Store::open(directory.path()).expect("the same store");
    assert_eq!(store.append(key, sent(next + 1, b"made up")).await, Err(AppendError::UnknownProducer));
    assert!(store.append(key, sent(next, b"b")).await.expect("it is there").is_duplicate, "an id that was given stays good");
    assert!(store.append(key, one("no producer")).await.is_ok());
}

#[tokio::test]
async fn all_topics_together_have_so_many_partitions_at_most() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a new store");
    let new = |name: &str, partitions| NewTopic { name: name.into(), partitions, settings: TopicSettings::new() };
    create(&store, "large", 9_000).await;
    create(&store, "small", 999).await;
    let refused = |are, more| TopicError::TooManyPartitions { most: 10_000, are, more };
    assert_eq!(store.create_topic(new("two", 2)).await.expect_err("too many"), refused(9_999, 2));
    create(&store, "one", 1).await;
    assert_eq!(store.add_partitions("one", 2).await.expect_err("too many"), refused(10_000, 1));
    assert_eq!(store.create_topic(new("one", 1)).await.expect_err("there is one"), TopicError::Exists);
    store.delete_topic("small").await.expect("it goes");
    assert_eq!(store.add_partitions("one", 1_000).await.expect("there is room again").partitions.len(), 1_000);
}

#[tokio::test]
async fn a_batch_that_is_not_sound_or_too_large_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a new store");
    let settings = TopicSettings::from([("max.message.bytes".to_owned(), "100".to_owned())]);
    let topic = store.create_topic(NewTopic { name: "small".into(), partitions: 1, settings }).await.expect("created");
    let key = topic.partitions[0].key();
    assert_eq!(store.append(key, one(&"x".repeat(100))).await, Err(AppendError::TooLarge(100)));
    assert!(store.append(key, one("x")).await.is_ok());

    let refused = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = batch_bytes(&[b"a", b"b"], None, 5);
        change(&mut bytes);
        Batch::parse(sealed(bytes)).expect_err("it is not sound")
    };
    assert_eq!(refused(&|bytes| bytes[16] = 1), BatchError::Format(1));
    assert_eq!(refused(&|bytes| bytes[22] = 0x10), BatchError::Attributes(0x10));
    assert_eq!(refused(&|bytes| bytes[22] = 0x08), BatchError::Attributes(0x08));
    assert!(matches!(refused(&|bytes| bytes[26] = 7), BatchError::Records(_)), "the last offset is not that of the last record");
    assert!(matches!(refused(&|bytes| (bytes[26], bytes[60]) = (2, 3)), BatchError::Records(_)), "a record is missing");
    assert!(matches!(refused(&|bytes| (bytes[26], bytes[60]) = (0, 1)), BatchError::Records(_)), "a record too many");
    assert!(matches!(refused(&|bytes| bytes[64] = 2), BatchError::Records(_)), "the first record is not the first");
    let mut damaged = sealed(batch_bytes(&[b"a"], None, 5)).to_vec();
    damaged[65] ^= 1;
    assert_eq!(Batch::parse(damaged.clone().into()).expect_err("damaged"), BatchError::Checksum);
    assert!(matches!(Batch::parse(damaged[..65].to_vec().into()), Err(BatchError::Length { .. })));
    assert_eq!(Batch::parse(damaged[..60].to_vec().into()).expect_err("short"), BatchError::Short(60));
}

#[tokio::test]
async fn topics_grow_change_and_go() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a new store");
    let orders = create(&store, "orders", 2).await;
    let key = orders.partitions[0].key();
    store.append(key, one("a")).await.expect("appended");
    let committed = Committed { key, offset: 1, leader_epoch: 0, metadata: "so far".into() };
    assert_eq!(store.commit_offsets("readers", vec![committed.clone()]).await, Ok(vec![]));
    let new = |name: &str, partitions| NewTopic { name: name.into(), partitions, settings: TopicSettings::new() };
    assert_eq!(store.create_topic(new("orders", 1)).await.expect_err("there is one"), TopicError::Exists);
    assert_eq!(store.create_topic(new("a/b", 1)).await.expect_err("no name"), TopicError::Name);
    assert!(matches!(store.create_topic(new("none", 0)).await, Err(TopicError::Partitions { .. })));
    assert!(matches!(store.add_partitions("orders", 2).await, Err(TopicError::Partitions { .. })));
    assert_eq!(store.add_partitions("orders", 3).await.expect("it grows").partitions.len(), 3);
    let set = |value: &'static str| move |settings: &mut TopicSettings| drop(settings.insert("retention.ms".into(), value.into()));
    assert!(matches!(store.set_topic_settings("orders", set("1000")).await, Err(TopicError::Setting(_))));
    assert!(store.set_topic_settings("orders", set("-1")).await.is_ok());
    drop(store);

    let store = Store::open(directory.path()).expect("the same store");
    let orders = store.catalog().topic("orders").expect("the topic").clone();
    assert_eq!((orders.partitions.len(), orders.settings.len(), orders.partitions[0].end()), (3, 1, 1));
    assert_eq!(store.offsets("readers"), Ok(vec![committed.clone()]));
    assert_eq!(store.groups(), Ok(vec!["readers".to_owned()]));
    store.delete_topic("orders").await.expect("it goes");
    assert_eq!(store.delete_topic("orders").await, Err(TopicError::Unknown));
    assert_eq!(store.append(key, one("b")).await, Err(AppendError::UnknownPartition));
    assert_eq!(store.offsets("readers"), Ok(vec![]));
    assert_eq!(store.commit_offsets("readers", vec![committed]).await, Ok(vec![key]));
    create(&store, "orders", 1).await;
    assert_eq!(read(&store, &partition(&store, "orders"), 0), Ok(vec![]), "a topic of the same name is another one");
}

#[tokio::test]
async fn a_record_is_found_by_its_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a new store");
    let key = create(&store, "orders", 1).await.partitions[0].key();
    let orders = partition(&store, "orders");
    assert_eq!((store.newest(&orders), store.offset_since(&orders, 0)), (Ok(None), Ok(None)));
    // Offsets 0 to 2 at 10 to 12, 3 at 30, 4 at 20 (late), 5 and 6 at 40 and 41.
    for (count, time) in [(3, 10), (1, 30), (1, 20), (2, 40)] {
        let values = vec![&b"x"[..]; count];
        store.append(key, Batch::parse(sealed(batch_bytes(&values, None, time))).expect("sound")).await.expect("appended");
    }
    let since = |time| store.offset_since(&orders, time).expect("it can be read");
    assert_eq!([since(0), since(11), since(13), since(30)], [Some((0, 10)), Some((1, 11)), Some((3, 30)), Some((3, 30))]);
    assert_eq!([since(31), since(41), since(42)], [Some((5, 40)), Some((6, 41)), None]);
    assert_eq!(store.newest(&orders), Ok(Some((6, 41))));
    // A batch whose header names a time that none of its records has, and one with a record that is older than any time.
    let mut lying = batch_bytes(&[b"x"], None, 50);
    lying[35..43].copy_from_slice(&90_i64.to_be_bytes());
    let mut overflowing = batch_bytes(&[b"x", b"y"], None, 95);
    overflowing[27..35].copy_from_slice(&i64::MIN.to_be_bytes());
    overflowing[63] = 1; // -1 as a zigzag number
    overflowing[35..43].copy_from_slice(&i64::MAX.to_be_bytes());
    for bytes in [lying, overflowing] {
        store.append(key, Batch::parse(sealed(bytes)).expect("sound")).await.expect("appended");
    }
    assert_eq!([since(42), since(50), since(51), since(90)], [Some((7, 50)), Some((7, 50)), Some((7, 90)), Some((7, 90))]);
    assert_eq!([since(91), since(i64::MAX)], [Some((8, i64::MAX)); 2]);
    assert_eq!(store.newest(&orders), Ok(Some((8, i64::MAX))));
}

#[tokio::test]
async fn a_directory_has_one_owner() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a new store");
    let second = Store::open(directory.path()).expect_err("it has an owner");
    assert!(matches!(&second, OpenError::Owned { owner, .. } if *owner == std::process::id().to_string()), "{second}");
    assert_eq!(second.to_string().lines().count(), 1);
    drop(store);
    Store::open(directory.path()).expect("the owner is gone");
}

#[tokio::test]
async fn the_former_brokers_directory_is_known() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("broker.db"), b"SQLite format 3\0").expect("a file");
    let refused = Store::open(directory.path()).expect_err("it is another broker's");
    assert!(matches!(refused, OpenError::FormerBroker { .. }), "{refused}");
    assert!(!directory.path().join("log.redb").exists());
}
