//! Apache Kafka's tools for topics and their settings.

use super::{
    log::Log,
    program::{CLUSTER, CONFIGS, Kafka, OFFSETS, TOPICS, run},
};

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_described_grown_and_deleted() {
    let Some(kafka) = Kafka::named() else { return };
    let log = Log::serve(&[("others", 1)]).await;
    let topics = async |arguments: &str| kafka.run(&log, TOPICS, arguments).await;
    let made = topics("--create --topic orders --partitions 2 --replication-factor 1 --config retention.ms=-1").await;
    assert_eq!(made.done(), "Created topic orders.\n");
    let (described, listed, again, three) = tokio::join!(
        topics("--describe --topic orders"),
        topics("--list"),
        topics("--create --topic orders --partitions 2"),
        topics("--create --topic copied --partitions 1 --replication-factor 3"),
    );
    assert_eq!(listed.done(), "orders\nothers\n");
    assert!(described.out.contains("PartitionCount: 2\tReplicationFactor: 1\tConfigs: retention.ms=-1\n"), "{described:?}");
    for partition in ["0", "1"] {
        let row = described.row(&["Topic:", "orders", "Partition:", partition]);
        assert_eq!(row[4..10], ["Leader:", "1", "Replicas:", "1", "Isr:", "1"], "{row:?}");
    }
    assert!(again.refused().contains("TopicExistsException"));
    assert!(three.refused().contains("InvalidReplicationFactorException"));
    assert_eq!(topics("--alter --topic orders --partitions 5").await.done(), "");
    let (offsets, fewer) = tokio::join!(kafka.run(&log, OFFSETS, "--topic orders"), topics("--alter --topic orders --partitions 3"));
    assert_eq!(offsets.sorted(), (0..5).map(|partition| format!("orders:{partition}:0")).collect::<Vec<_>>());
    assert!(fewer.refused().contains("InvalidPartitionsException"));
    topics("--delete --topic orders").await.done();
    let (listed, gone) = tokio::join!(topics("--list"), topics("--describe --topic orders"));
    assert_eq!(listed.done(), "others\n");
    assert!(gone.refused().contains("Topic 'orders' does not exist"));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_described_and_changed_or_refused_with_the_reason() {
    let Some(kafka) = Kafka::named() else { return };
    let log = Log::serve(&[("orders", 1)]).await;
    let configs = async |arguments: &str| kafka.run(&log, CONFIGS, arguments).await;
    let mut cluster_id = kafka.java();
    cluster_id.args([CLUSTER, "cluster-id", "--bootstrap-server", &log.address]);
    let (changed, refused, broker, cluster) = tokio::join!(
        configs("--entity-type topics --entity-name orders --alter --add-config max.message.bytes=2000"),
        configs("--entity-type topics --entity-name orders --alter --add-config retention.ms=1000"),
        configs("--entity-type brokers --entity-name 1 --describe --all"),
        run(cluster_id, ""),
    );
    assert_eq!(changed.done(), "Completed updating config for topic orders.\n");
    assert!(refused.refused().contains("retention.ms=1000: this log keeps records for ever"));
    for setting in ["auto.create.topics.enable=false", "log.retention.ms=-1", "min.insync.replicas=1"] {
        assert_eq!(broker.row(&[setting])[1], "sensitive=false");
    }
    assert!(cluster.row(&["Cluster", "ID:"])[2].len() > 20);
    let (own, all) = tokio::join!(
        configs("--entity-type topics --entity-name orders --describe"),
        configs("--entity-type topics --entity-name orders --describe --all"),
    );
    let shown = "synonyms={DYNAMIC_TOPIC_CONFIG:max.message.bytes=2000, DEFAULT_CONFIG:max.message.bytes=1048588}";
    assert_eq!(own.done(), format!("Dynamic configs for topic orders are:\n  max.message.bytes=2000 sensitive=false {shown}\n"));
    assert_eq!(all.row(&["cleanup.policy=delete"])[1..], ["sensitive=false", "synonyms={DEFAULT_CONFIG:cleanup.policy=delete}"]);
    let removed = configs("--entity-type topics --entity-name orders --alter --delete-config max.message.bytes").await;
    assert_eq!(removed.done(), "Completed updating config for topic orders.\n");
    let own = configs("--entity-type topics --entity-name orders --describe").await;
    assert_eq!(own.done(), "Dynamic configs for topic orders are:\n");
}
