//! The tails of one process: each reads for itself, and the one into which acknowledged records are put has every record once.

use crate::stores::required;
use event_store::{
    Append, Cursor, Headers, Log, Tag,
    kafka::{KafkaConfig, KafkaLog, KafkaProducer, KafkaTail, Profile, StandbyLog, TopicPlan, Topics},
};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

async fn append(log: &KafkaLog, keys: std::ops::Range<u32>) {
    let (acks, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let record = |key: u32| Append { key: key.to_string(), payload: Vec::new(), headers: Headers::default() };
    let records = keys.clone().map(|key| (record(key), Tag { epoch: 1, at: i64::from(key) })).collect();
    log.append_all(0, records, &acks).expect("they are queued");
    for _ in keys {
        heard.recv().await.expect("an answer").offset.expect("it is acknowledged");
    }
}

async fn keys(cursor: &mut Box<dyn Cursor>, count: usize) -> Vec<String> {
    let mut keys = Vec::new();
    while keys.len() < count {
        let records = tokio::time::timeout(Duration::from_secs(20), cursor.next()).await.expect("records come").expect("it reads");
        keys.extend(records.iter().map(|record| String::from_utf8_lossy(&record.key).into_owned()));
    }
    keys
}

fn expected(keys: std::ops::Range<u32>) -> Vec<String> {
    keys.map(|key| key.to_string()).collect()
}

/// A topic of one partition for a service of the test's own.
async fn topic() -> Option<(KafkaConfig, &'static str)> {
    let config = KafkaConfig::new(&required("DAYBOOK_KAFKA")?, "tails");
    let service: &'static str = format!("tails-{}", Uuid::new_v4().simple()).leak();
    let plan = TopicPlan { services: vec![service], partitions: 1, profile: Profile { replication: 1, min_insync: 1 } };
    Topics::new(&config).expect("an admin client").create(&plan).await.expect("the topic is created");
    Some((config, service))
}

#[tokio::test]
async fn each_tail_reads_for_itself_whoever_appends() {
    let Some((config, service)) = topic().await else { return };
    let (own, foreign) = (KafkaProducer::new(&config).expect("a producer"), KafkaProducer::new(&config).expect("a producer"));
    let shown = Arc::new(KafkaTail::shown(&config, &own).expect("a tail"));
    let apart = Arc::new(KafkaTail::start(&config, &own).expect("a tail"));
    let log = |producer: &KafkaProducer| Arc::new(KafkaLog::new(producer.clone(), service, config.clone()));
    let (here, elsewhere) = (log(&own), log(&foreign));
    let mut readers = Vec::new();
    for tail in [shown, apart] {
        readers.push(StandbyLog::new(here.clone(), tail, service).read(0, 0).await.expect("a cursor"));
    }
    append(&here, 0..50).await;
    append(&elsewhere, 50..100).await;
    append(&here, 100..150).await;
    for reader in &mut readers {
        assert_eq!(keys(reader, 150).await, expected(0..150));
    }
    // The cursor of the other tail gives the partition up; this one reads on, also the records of other processes.
    drop(readers.pop());
    append(&elsewhere, 150..200).await;
    append(&here, 200..250).await;
    assert_eq!(keys(&mut readers[0], 100).await, expected(150..250));
}

#[tokio::test]
async fn a_partition_is_read_whole_whether_it_is_written_here_or_elsewhere() {
    let Some((config, service)) = topic().await else { return };
    let (own, foreign) = (KafkaProducer::new(&config).expect("a producer"), KafkaProducer::new(&config).expect("a producer"));
    let shown = Arc::new(KafkaTail::shown(&config, &own).expect("a tail"));
    let log = |producer: &KafkaProducer| Arc::new(KafkaLog::new(producer.clone(), service, config.clone()));
    let (here, elsewhere) = (log(&own), log(&foreign));
    here.written(0, true);
    let mut reader = StandbyLog::new(here.clone(), shown, service).read(0, 0).await.expect("a cursor");
    let mut next = 0;
    // Each phase of writing elsewhere lasts longer than both consumers read the partition.
    for written in [true, false, true, false] {
        here.written(0, written);
        for _ in 0..25 {
            append(&elsewhere, next..next + 10).await;
            append(&here, next + 10..next + 20).await;
            assert_eq!(keys(&mut reader, 20).await, expected(next..next + 20), "written here: {written}");
            next += 20;
            tokio::time::sleep(Duration::from_millis(if written { 10 } else { 100 })).await;
        }
    }
}
