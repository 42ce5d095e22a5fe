//! A shop that has outgrown its one machine moves to three brokers of Apache Kafka.

use super::{
    copying::cut_off,
    real::ON_REAL_PARTS,
    shop::Shop,
    three_brokers::{Cluster, PATIENCE},
};
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use std::{
    path::Path,
    process::{Command, Output},
    time::Instant,
};
use system_tests::process::{Daybook, free_port, required, tool};

/// The topic that is not as it must be.
const ORDERS: &str = "orders.events";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A copy of a source's log to the cluster.
struct Copying<'a> {
    program: &'a str,
    here: &'a Path,
    port: u16,
    cluster: &'a Cluster,
}

impl Copying<'_> {
    fn arguments(&self) -> [&str; 7] {
        ["copy", "--to", &self.cluster.brokers, "--replication", "3", "--min-insync", "2"]
    }

    fn run(&self) -> Output {
        tool(self.program, self.here, self.port, &self.arguments())
    }

    fn refused(&self, code: i32, why: &str) {
        let refused = self.run();
        assert_eq!((refused.status.code(), said(&refused).contains(why)), (Some(code), true), "{why}: {}", said(&refused));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_moves_to_three_brokers_although_its_copying_is_killed() {
    let _alone = ON_REAL_PARTS.lock().await;
    let (here, there) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let port = free_port();
    let Some(program) = required("DAYBOOK_PROGRAM") else { return };
    let began = Instant::now();
    let Some(cluster) = Cluster::up() else { return };
    println!("three brokers were up after {:?}", began.elapsed());
    let daybook = Daybook::embedded(here.path(), port).await.expect("the program is there");
    let shop = Shop::open(daybook.client(), "moving", 1_000).await;
    let before = shop.order("before", 2, "card").await;
    for number in 0..10 {
        let order = shop.order(&number.to_string(), 1, "card").await;
        shop.ended(&order, "confirmed").await;
    }
    shop.ended(&before, "confirmed").await;
    assert!(daybook.terminate(), "it ends in good order");

    let copying = Copying { program: &program, here: here.path(), port, cluster: &cluster };
    what_is_not_as_it_must_be_is_refused(&copying).await;
    let partly = cut_off(&program, here.path(), port, &copying.arguments(), &cluster.brokers).await;
    let copied = copying.run();
    assert_eq!(copied.status.code(), Some(0), "{}", said(&copied));
    assert!(said(&copied).contains("each record stands at its own offset"), "{}", said(&copied));
    let all = super::copying::records(&cluster.brokers);
    println!("it was killed when {partly} of {all} records were copied");
    assert!(0 < partly && partly < all);
    assert_eq!(cluster.copies(ORDERS), Some(vec![3]));

    let settings = [
        ("DAYBOOK_KAFKA", cluster.brokers.as_str()),
        ("DAYBOOK_MAIL", "folder"),
        ("DAYBOOK_GATEWAY", "simulated"),
        ("DAYBOOK_PARTITIONS", "1"),
        ("DAYBOOK_REPLICATION", "3"),
        ("DAYBOOK_MIN_INSYNC", "2"),
    ];
    let moved = Daybook::start(there.path(), &[], &settings, &["DAYBOOK_POSTGRES", "SCHEMA_REGISTRY_URL"]).await.expect("it starts there");
    let shop = Shop { client: moved.client(), ..shop };
    assert_eq!(shop.order("before", 2, "card").await, before, "the key is remembered");
    shop.ended(&before, "confirmed").await;
    let after = shop.order("after", 1, "card").await;
    shop.ended(&after, "confirmed").await;
    // 2 before, 10 one by one, 1 after.
    shop.stock(987, 0).await;
    for check in [&["topics", "check"][..], &["verify"], &["replay"]] {
        let mut command = Command::new(&program);
        command
            .args(check)
            .envs(settings)
            .env("DAYBOOK_DATA", there.path())
            .env_remove("DAYBOOK_POSTGRES")
            .env_remove("SCHEMA_REGISTRY_URL");
        let proved = command.output().expect("it runs");
        assert_eq!(proved.status.code(), Some(0), "{check:?}: {}", said(&proved));
    }
    assert!(moved.terminate(), "it ends in good order");
    println!("all of it took {:?}", began.elapsed());
}

/// A target with a topic of another shape, or with somebody's records in it; it is as before afterwards.
async fn what_is_not_as_it_must_be_is_refused(copying: &Copying<'_>) {
    let cluster = copying.cluster;
    let right = [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1"), ("min.insync.replicas", "2")];
    cluster.make(ORDERS, 2, 3, &right).await;
    copying.refused(2, &format!("daybook: {ORDERS} on {}: partitions is 2, must be 1", cluster.brokers));
    cluster.delete(ORDERS).await;
    cluster.make(ORDERS, 1, 1, &right).await;
    copying.refused(2, "replication is 1, must be at least 3");
    cluster.delete(ORDERS).await;
    cluster.make(ORDERS, 1, 3, &[("retention.ms", "3600000"), ("min.insync.replicas", "2")]).await;
    copying.refused(2, "retention.ms is 3600000, must be -1");
    cluster.delete(ORDERS).await;
    assert_eq!(super::copying::records(&cluster.brokers), 0, "nothing was written");

    cluster.make(ORDERS, 1, 3, &right).await;
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", &cluster.brokers).create().expect("a producer");
    producer.send(FutureRecord::to(ORDERS).key("theirs").payload("theirs"), PATIENCE).await.expect("acknowledged");
    copying.refused(4, "orders/0: the two differ at offset 0 (key): the target is no copy of the source");
    assert_eq!(super::copying::records(&cluster.brokers), 1, "nothing was written");
    cluster.delete(ORDERS).await;
}
