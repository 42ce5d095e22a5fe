//! A log moves to another cluster, and the shop goes on there.

use super::shop::Shop;
use embedded_log::{Server, Store};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};
use system_tests::process::{Daybook, eventually, free_port, required, tool};

const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// Another cluster: a log served by the test itself.
async fn another(directory: &Path) -> String {
    let store = Store::open(directory).expect("a log");
    let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::new(store)).await.expect("a port");
    let address = server.local_addr().to_string();
    tokio::spawn(server.run(std::future::pending()));
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_moves_with_its_log_and_goes_on_where_it_was() {
    let directories: Vec<_> = (0..3).map(|_| tempfile::tempdir().expect("a directory")).collect();
    let [here, there, other_data] = [0, 1, 2].map(|number: usize| directories[number].path());
    let port = free_port();
    let Some(daybook) = Daybook::embedded(here, port).await else { return };
    let program = required("DAYBOOK_PROGRAM").expect("it was there before");
    let shop = Shop::open(daybook.client(), "moving", 1_000).await;
    let before = shop.order("before", 2, "card").await;
    for number in 0..40 {
        let order = shop.order(&number.to_string(), 1, "card").await;
        shop.ended(&order, "confirmed").await;
    }
    assert!(daybook.terminate(), "it ends in good order");
    let brokers = another(there).await;
    let copy = ["copy", "--to", &brokers];
    let partly = cut_off(&program, here, port, &copy, &brokers).await;
    let copied = tool(&program, here, port, &copy);
    let said = String::from_utf8_lossy(&copied.stdout).into_owned() + &String::from_utf8_lossy(&copied.stderr);
    assert_eq!(copied.status.code(), Some(0), "{said}");
    assert!(said.contains("orders/0") && said.contains("each record stands at its own offset"), "{said}");
    let all = records(&brokers);
    assert!(0 < partly && partly < all, "it was killed when {partly} of {all} records were copied");
    let settings =
        [("DAYBOOK_KAFKA", brokers.as_str()), ("DAYBOOK_PARTITIONS", "1"), ("DAYBOOK_MAIL", "folder"), ("DAYBOOK_GATEWAY", "simulated")];
    let moved = Daybook::start(other_data, &[], &settings, &["DAYBOOK_POSTGRES", "SCHEMA_REGISTRY_URL"]).await.expect("it starts there");
    let shop = Shop { client: moved.client(), ..shop };
    assert_eq!(shop.order("before", 2, "card").await, before, "the key is remembered");
    shop.ended(&before, "confirmed").await;
    let after = shop.order("after", 1, "card").await;
    shop.ended(&after, "confirmed").await;
    shop.stock(957, 0).await;
    assert!(moved.terminate());
    let refused = tool(&program, here, port, &copy);
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("the target holds another log") || said.contains("no copy of the source"), "{said}");
}

/// Begins to copy, and is killed once the target has some of it. Returns how many records the target has then.
pub async fn cut_off(program: &str, here: &Path, port: u16, copy: &[&str], target: &str) -> i64 {
    let mut command = Command::new(program);
    command.args(copy).env("DAYBOOK_DATA", here).env("DAYBOOK_BROKER_PORT", port.to_string()).env_remove("DAYBOOK_KAFKA");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    eventually("something is copied", async || (records(target) > 0).then_some(())).await;
    child.kill().expect("it can be killed");
    let ended = child.wait().expect("it ends");
    assert_eq!(ended.code(), None, "it had ended by itself");
    eventually("the port is free", async || std::net::TcpListener::bind(("127.0.0.1", port)).ok().map(drop)).await;
    records(target)
}

/// How many records all logs of a cluster have.
pub fn records(brokers: &str) -> i64 {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a consumer");
    let metadata = consumer.fetch_metadata(None, ANSWERS_WITHIN).expect("an answer");
    let logs = metadata.topics().iter().filter(|topic| topic.name().ends_with(".events"));
    let partitions = logs.flat_map(|topic| topic.partitions().iter().map(|partition| (topic.name(), partition.id())));
    // A topic that is being made or deleted has no records.
    partitions.map(|(topic, partition)| consumer.fetch_watermarks(topic, partition, ANSWERS_WITHIN).map_or(0, |(_, end)| end)).sum()
}
