//! Databases and snapshots that were made of another log than the one that is there.

use super::{
    real::{ON_REAL_PARTS, Parts},
    shop::Shop,
};
use embedded_log::{Server, Store};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};
use system_tests::process::{Daybook, eventually, free_port, required, tool};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Brokers that the test serves itself: a log in a directory, on a port. They end when the sender is dropped.
pub async fn brokers(directory: &Path, port: u16) -> watch::Sender<()> {
    // A server that has been here before lets the log go when its connections have ended.
    let store = Arc::new(eventually("the log is free", async || Store::open(directory).ok()).await);
    let server =
        eventually("the port is free", async || Server::bind(SocketAddr::from(([127, 0, 0, 1], port)), store.clone()).await.ok()).await;
    let (end, mut ended) = watch::channel(());
    tokio::spawn(server.run(async move { while ended.changed().await.is_ok() {} }));
    end
}

/// A node that has had an order, and has ended; the order's id.
async fn used(directory: &Path, port: u16) -> Option<String> {
    let daybook = Daybook::embedded(directory, port).await?;
    let shop = Shop::open(daybook.client(), "known", 10).await;
    let order = shop.order("known", 1, "card").await;
    shop.ended(&order, "confirmed").await;
    // The identities of the logs are kept some seconds after the start.
    let kept = directory.join("snapshots/logs.json");
    eventually("the node knows its logs", async || kept.exists().then_some(())).await;
    assert!(daybook.terminate());
    Some(order)
}

/// What a node that does not start says: one line, and exit code 2.
pub fn refused(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.lines().count() == 1 && said.starts_with("daybook: "), "{said}");
    said
}

fn run(directory: &Path, port: u16) -> Output {
    tool(&required("DAYBOOK_PROGRAM").expect("it was there before"), directory, port, &["run", "--http", "127.0.0.1:0", "--log", "off"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_wiped_is_refused_by_the_views_and_by_the_snapshots() {
    let (directory, port) = (tempfile::tempdir().expect("a directory"), free_port());
    let Some(_order) = used(directory.path(), port).await else { return };
    std::fs::remove_dir_all(directory.path().join("broker")).expect("the log is wiped");
    let said = refused(&run(directory.path(), port));
    assert!(said.contains(".db") && said.contains("DAYBOOK_DATA") && said.contains("rm -rf"), "{said}");
    std::fs::remove_dir_all(directory.path().join("views")).expect("the views are removed");
    let said = refused(&run(directory.path(), port));
    assert!(said.contains("logs.json") && said.contains("it is empty"), "{said}");
    std::fs::remove_dir_all(directory.path().join("snapshots")).expect("the snapshots are removed");
    let daybook = Daybook::embedded(directory.path(), port).await.expect("it begins anew");
    assert!(daybook.terminate());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_another_is_refused_however_long_it_is() {
    let (mine, other, port) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"), free_port());
    let Some(_order) = used(mine.path(), port).await else { return };
    used(other.path(), port).await.expect("the program was there before");
    used(other.path(), port).await.expect("the program was there before");
    let broker = |directory: &Path| directory.join("broker");
    std::fs::remove_dir_all(broker(mine.path())).expect("it is removed");
    std::fs::rename(broker(other.path()), broker(mine.path())).expect("the other's takes its place");
    let said = refused(&run(mine.path(), port));
    assert!(said.contains("knows log ") && said.contains("there is log "), "both identities: {said}");
    let program = required("DAYBOOK_PROGRAM").expect("it was there before");
    let replay = refused(&tool(&program, mine.path(), port, &["replay"]));
    assert!(replay.contains("knows log "), "{replay}");
}

#[tokio::test(flavor = "multi_thread")]
async fn views_that_are_gone_are_made_anew_without_a_word() {
    let (directory, port) = (tempfile::tempdir().expect("a directory"), free_port());
    let Some(order) = used(directory.path(), port).await else { return };
    std::fs::remove_dir_all(directory.path().join("views")).expect("the views are removed");
    let daybook = Daybook::embedded(directory.path(), port).await.expect("it starts");
    let path = format!("/orders/{order}");
    eventually("the views are back", async || daybook.client().get(&path).await.filter(|(status, _)| *status == 200)).await;
    assert!(daybook.terminate());
}

/// A node on brokers of the test.
pub async fn on_brokers(directory: &Path, brokers: &str) -> Option<Daybook> {
    let settings = [("DAYBOOK_KAFKA", brokers), ("DAYBOOK_PARTITIONS", "1"), ("DAYBOOK_MAIL", "folder"), ("DAYBOOK_GATEWAY", "simulated")];
    Daybook::start(directory, &[], &settings, &["DAYBOOK_POSTGRES", "SCHEMA_REGISTRY_URL"]).await
}

/// Runs a node on brokers of the test, which is to end by itself.
pub async fn run_on(data: &Path, brokers: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(required("DAYBOOK_PROGRAM").expect("it was there before"));
    command.args(["run", "--http", "127.0.0.1:0", "--log", "off", "--kafka", brokers, "--mail", "folder"]).args(arguments);
    command.env("DAYBOOK_DATA", data);
    for name in ["DAYBOOK_POSTGRES", "SCHEMA_REGISTRY_URL", "DAYBOOK_PARTITIONS", "DAYBOOK_REPLICATION", "DAYBOOK_MIN_INSYNC"] {
        command.env_remove(name);
    }
    tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("it runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_anew_is_another_log() {
    let (log, data, port) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"), free_port());
    let _served = brokers(log.path(), port).await;
    let address = format!("127.0.0.1:{port}");
    let Some(daybook) = on_brokers(data.path(), &address).await else { return };
    let shop = Shop::open(daybook.client(), "anew", 10).await;
    let order = shop.order("anew", 1, "card").await;
    shop.ended(&order, "confirmed").await;
    assert!(daybook.terminate());
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", &address).create().expect("a client");
    let deleted = admin.delete_topics(&["orders.events"], &AdminOptions::new()).await.expect("an answer");
    assert!(deleted[0].is_ok(), "{deleted:?}");
    let said = refused(&run_on(data.path(), &address, &[]).await);
    assert!(said.contains("orders/0") && said.contains(&address) && said.contains("DAYBOOK_KAFKA"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_brokers_come_back_with_another_log_ends() {
    let logs: Vec<_> = (0..2).map(|_| tempfile::tempdir().expect("a directory")).collect();
    let (data, port) = (tempfile::tempdir().expect("a directory"), free_port());
    let served = brokers(logs[0].path(), port).await;
    let Some(mut daybook) = on_brokers(data.path(), &format!("127.0.0.1:{port}")).await else { return };
    let shop = Shop::open(daybook.client(), "back", 10).await;
    let order = shop.order("back", 1, "card").await;
    shop.ended(&order, "confirmed").await;
    drop(served);
    let _served = brokers(logs[1].path(), port).await;
    let code = eventually("the node ends", async || daybook.ended()).await;
    let log = std::fs::read_to_string(data.path().join("daybook.log")).expect("a log");
    let last = log.lines().last().unwrap_or_default();
    assert!(code == Some(2) && last.starts_with("daybook: ") && last.contains("DAYBOOK_KAFKA"), "{code:?} {log}");
}

/// Passes connections on to a server, until it is told not to.
async fn proxy(to: String) -> (String, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let (passes, passing) = watch::channel(true);
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let (to, mut passing) = (to.clone(), passing.clone());
            tokio::spawn(async move {
                let Some(mut to) = TcpStream::connect(to).await.ok().filter(|_| *passing.borrow()) else { return };
                tokio::select! {
                    _ = copy_bidirectional(&mut from, &mut to) => {}
                    _ = passing.wait_for(|passes| !passes) => {}
                }
            });
        }
    });
    (address, passes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_database_is_away_says_so_and_is_ready_again_when_it_is_back() {
    let _alone = ON_REAL_PARTS.lock().await;
    let Some(parts) = Parts::named() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let (before, server) = parts.postgres.rsplit_once('@').expect("postgres://user@host:port");
    let (address, passes) = proxy(server.to_owned()).await;
    let postgres = format!("{before}@{address}");
    let mut settings = parts.settings();
    settings.push(("DAYBOOK_POSTGRES", &postgres));
    let Some(daybook) = Daybook::start(directory.path(), &[], &settings, &[]).await else { return };
    let client = daybook.client();
    let register = async |email: &str| {
        client.must("/users", &uuid::Uuid::new_v4().to_string(), serde_json::json!({"email": email, "name": "Ada"})).await
    };
    // Registration begins when the reservations have caught up, for which they need their database.
    register(&format!("before-{}@example.com", uuid::Uuid::new_v4())).await;
    passes.send_replace(false);
    let made = register(&format!("ada-{}@example.com", uuid::Uuid::new_v4())).await;
    let waiting = eventually("it is not ready", async || {
        let (status, body) = client.get("/health/ready").await?;
        (status == 503).then(|| body["waiting_for"].to_string())
    });
    let waiting = waiting.await;
    assert!(waiting.contains("/views: "), "{waiting}");
    assert_eq!(client.get("/health/live").await.map(|(status, _)| status), Some(200));
    passes.send_replace(true);
    eventually("it is ready", async || client.get("/health/ready").await.filter(|(status, _)| *status == 200)).await;
    let path = format!("/users/{}", made["id"].as_str().expect("an id"));
    eventually("the view goes on", async || client.get(&path).await.filter(|(status, _)| *status == 200)).await;
    tokio::time::timeout(Duration::from_secs(30), async { assert!(daybook.terminate()) }).await.expect("it ends");
}
