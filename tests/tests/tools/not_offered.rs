//! What the embedded log does not have it says, and the tool says it.

use super::{
    log::Log,
    program::{CONSUMER, DELETE_RECORDS, Kafka},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_offered_is_named() {
    let Some(kafka) = Kafka::named() else { return };
    let log = Log::serve(&[("orders", 1)]).await;
    log.append("orders", &["a"]).await;
    let directory = tempfile::tempdir().expect("a directory");
    let until = directory.path().join("until.json");
    std::fs::write(&until, r#"{"version": 1, "partitions": [{"topic": "orders", "partition": 0, "offset": 1}]}"#).expect("written");
    let from_file = format!("--offset-json-file {}", until.display());
    let (deleted, newer) = tokio::join!(
        kafka.run(&log, DELETE_RECORDS, &from_file),
        kafka.run(&log, CONSUMER, "--topic orders --group new --max-messages 1 --consumer-property group.protocol=consumer"),
    );
    assert!((deleted.out + &deleted.error).contains("The node does not support DELETE_RECORDS"));
    // The tool ends as if it were content.
    let newer = newer.out + &newer.error;
    assert!(newer.contains("The cluster does not support the new CONSUMER group protocol. Set group.protocol=classic"), "{newer}");
    let left = kafka.run(&log, CONSUMER, "--topic orders --partition 0 --offset earliest --max-messages 1").await;
    assert_eq!(left.done(), "a\n");
}
