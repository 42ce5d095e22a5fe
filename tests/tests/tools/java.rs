//! Apache Kafka's client in Java, by a program of its own.

use super::{
    log::Log,
    program::{Kafka, run},
};

/// What the program prints.
const EXPECTED: &str = "\
cluster: 1 node, controller 1
created: orders 4
topics: [orders]
settings: max.message.bytes=5000 retention.ms=-1
unknown: UnknownTopicOrPartitionException
produced: [0/0, 1/0, 2/0, 3/0, 0/1, 1/1, 2/1, 3/1]
too large: RecordTooLargeException
offsets: earliest 0, latest 2, at 3000 -> 1@5000, newest 1@5000
sought: 2/1 k6=v6 n:6
members: 2 + 2
shared: [0/0 v0, 0/1 v4, 1/0 v1, 1/1 v5, 2/0 v2, 2/1 v6, 3/0 v3, 3/1 v7]
committed: [2, 2, 2, 2]
alone: 4
went on: [0/2 after, 1/2 after, 2/2 after, 3/2 after]
groups: [readers consumer]
group: Stable 1
transactions: TransactionalIdAuthorizationException
";

#[tokio::test(flavor = "multi_thread")]
async fn a_java_client_finds_what_it_expects_of_kafka() {
    let Some(kafka) = Kafka::named() else { return };
    let log = Log::serve(&[]).await;
    let mut command = kafka.java();
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/Client.java")).arg(&log.address);
    let said = run(command, "").await;
    assert_eq!(said.out, EXPECTED, "{}", said.error);
    assert!(said.succeeded, "{}", said.error);
}
