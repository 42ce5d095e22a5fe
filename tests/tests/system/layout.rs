//! Topics that an operator changes: more partitions, less than a record's size, a retention.

use super::{
    identity::{brokers, on_brokers, refused, run_on},
    shop::Shop,
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier},
    client::DefaultClientContext,
};
use serde_json::json;
use system_tests::process::{Daybook, eventually, free_port, required, tool};

type Admin = AdminClient<DefaultClientContext>;

fn admin(brokers: &str) -> Admin {
    ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a client")
}

async fn set(admin: &Admin, topic: &str, name: &str, value: &str) {
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(name, value);
    let changed = admin.alter_configs([&change], &AdminOptions::new()).await.expect("an answer");
    assert!(changed[0].is_ok(), "{changed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_topic_is_given_partitions_ends_and_does_not_start_again() {
    let (log, data, port) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"), free_port());
    let _served = brokers(log.path(), port).await;
    let address = format!("127.0.0.1:{port}");
    let Some(mut daybook) = on_brokers(data.path(), &address).await else { return };
    Shop::open(daybook.client(), "partitions", 10).await;
    let more = NewPartitions::new("users.events", 4);
    let added = admin(&address).create_partitions([&more], &AdminOptions::new()).await.expect("an answer");
    assert!(added[0].is_ok(), "{added:?}");
    let code = eventually("the node ends", async || daybook.ended()).await;
    let said = std::fs::read_to_string(data.path().join("daybook.log")).expect("a log");
    let last = said.lines().last().unwrap_or_default();
    assert_eq!(code, Some(2), "{said}");
    assert!(last.starts_with("daybook: topic users.events has 4 partitions now, and had 1"), "{last}");
    for arguments in [&["--partitions", "4"][..], &["--partitions", "1"], &[]] {
        let said = refused(&run_on(data.path(), &address, arguments).await);
        assert!(said.contains("users.events") && said.contains("partitions-added.md"), "{arguments:?}: {said}");
    }
    let Some(program) = required("DAYBOOK_PROGRAM") else { return };
    let verified = tool(&program, data.path(), port, &["verify", "users", "--kafka", &address]);
    let found = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert_eq!(verified.status.code(), Some(4), "{found}");
    assert!(found.contains("a claim says that the log has 1 partitions; it has 4"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_partitions_or_copies_that_the_topics_do_not_have_is_refused_at_the_start() {
    let (directory, port) = (tempfile::tempdir().expect("a directory"), free_port());
    let Some(daybook) = Daybook::embedded(directory.path(), port).await else { return };
    assert!(daybook.terminate());
    let program = required("DAYBOOK_PROGRAM").expect("it was there before");
    for (argument, setting, says) in [
        ("--partitions", "DAYBOOK_PARTITIONS", "partitions is 1, must be 3"),
        ("--replication", "DAYBOOK_REPLICATION", "replication is 1, must be at least 3"),
    ] {
        let arguments = ["run", "--http", "127.0.0.1:0", "--log", "off", argument, "3"];
        let said = refused(&tool(&program, directory.path(), port, &arguments));
        assert!(said.contains(".events: ") && said.contains(says) && said.contains(setting), "{said}");
    }
    let daybook = Daybook::embedded(directory.path(), port).await.expect("it starts as it was");
    assert!(daybook.terminate());
}

#[tokio::test(flavor = "multi_thread")]
async fn dangerous_settings_of_topics_are_refused_at_the_start() {
    let (log, data, port) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"), free_port());
    let _served = brokers(log.path(), port).await;
    let address = format!("127.0.0.1:{port}");
    let Some(daybook) = on_brokers(data.path(), &address).await else { return };
    assert!(daybook.terminate());
    let admin = admin(&address);
    for (topic, name, wrong, must, right) in [
        ("orders.events", "max.message.bytes", "5000", "at least 1000000", "1048588"),
        ("daybook.owners", "cleanup.policy", "delete", "compact", "compact"),
    ] {
        set(&admin, topic, name, wrong).await;
        let said = refused(&run_on(data.path(), &address, &[]).await);
        assert!(said.contains(&format!("topic {topic}: {name} is {wrong}, must be {must}")), "{said}");
        set(&admin, topic, name, right).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_its_topic_does_not_take_is_refused_and_the_others_go_on() {
    let (log, data, port) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"), free_port());
    let _served = brokers(log.path(), port).await;
    let address = format!("127.0.0.1:{port}");
    let Some(daybook) = on_brokers(data.path(), &address).await else { return };
    let shop = Shop::open(daybook.client(), "large", 1_000).await;
    set(&admin(&address), "orders.events", "max.message.bytes", "2000").await;
    let order = |lines: usize| {
        let lines = vec![json!({"product_id": shop.product, "quantity": 1}); lines];
        json!({"user_id": shop.user, "lines": lines, "payment": {"method": "card"}})
    };
    let small = futures::future::join_all((0..32).map(|number| {
        let (client, body) = (shop.client.clone(), order(1));
        async move { client.post("/orders", Some(&format!("small-{number}")), body).await.status().as_u16() }
    }));
    let (large, small) = tokio::join!(shop.client.post("/orders", Some("large"), order(150)), small);
    assert_eq!(large.status().as_u16(), 413);
    let problem: serde_json::Value = large.json().await.expect("JSON");
    assert_eq!(problem["type"], "urn:daybook:problem:event-too-large", "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(" bytes")), "{problem}");
    assert_eq!(small, [201; 32], "each of them fits, though all together do not");
    set(&admin(&address), "orders.events", "max.message.bytes", "1048588").await;
    let taken = shop.client.post("/orders", Some("large"), order(150)).await;
    assert_eq!(taken.status().as_u16(), 201, "under the same key, once the topic takes it");
    assert!(daybook.terminate());
}
