//! Several nodes on the same brokers: their names, the readers that they share, and a payment gateway that nobody named.

use super::{
    identity::brokers,
    reactions::Gateway,
    real::{ON_REAL_PARTS, Parts},
    shop::Shop,
};
use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use system_tests::process::{Daybook, eventually, free_port, required};

/// The settings of the real parts, which these nodes must not see.
const UNSET: [&str; 2] = ["DAYBOOK_POSTGRES", "SCHEMA_REGISTRY_URL"];

/// The settings of a node on brokers of the test that takes commands only.
fn named<'a>(brokers: &'a str, name: &'a str) -> [(&'a str, &'a str); 4] {
    [("DAYBOOK_KAFKA", brokers), ("DAYBOOK_PARTITIONS", "1"), ("DAYBOOK_NAME", name), ("DAYBOOK_ROLES", "commands")]
}

fn log_of(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("daybook.log")).expect("a log")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_of_a_name_is_refused_and_a_killed_one_has_it_back_at_once() {
    let (log, port) = (tempfile::tempdir().expect("a directory"), free_port());
    let _served = brokers(log.path(), port).await;
    let address = format!("127.0.0.1:{port}");
    let directories: Vec<_> = (0..2).map(|_| tempfile::tempdir().expect("a directory")).collect();
    let Some(first) = Daybook::start(directories[0].path(), &[], &named(&address, "twin"), &UNSET).await else { return };
    // Given a node that lives, another one of its name is refused.
    let mut command = Command::new(required("DAYBOOK_PROGRAM").expect("it was there before"));
    command.args(["run", "--http", "127.0.0.1:0", "--log", "off"]).envs(named(&address, "twin")).env("DAYBOOK_DATA", directories[1].path());
    for name in UNSET {
        command.env_remove(name);
    }
    let second = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("no panic");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!((second.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("DAYBOOK_NAME") && said.contains("twin") && said.contains("127.0.0.1:"), "{said}");
    // Killed, it starts again under its name: it greets as soon as a node does that never was here.
    first.kill();
    let killed = Instant::now();
    let again = Daybook::start(directories[0].path(), &[], &named(&address, "twin"), &UNSET).await.expect("it starts");
    println!("ready {:?} after the kill", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_secs(25), "no longer than the group takes to notice that a member is gone");
    assert!(again.terminate());
}

/// A process that a signal has stopped goes on when this is dropped.
struct Paused(u32);

impl Paused {
    fn new(daybook: &Daybook) -> Self {
        signal("-STOP", daybook.id());
        Self(daybook.id())
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        signal("-CONT", self.0);
    }
}

fn signal(which: &str, process: u32) {
    assert!(Command::new("kill").args([which, &process.to_string()]).status().expect("kill runs").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_wakes_up_under_a_name_that_another_has_taken_ends() {
    let (log, port) = (tempfile::tempdir().expect("a directory"), free_port());
    let _served = brokers(log.path(), port).await;
    let address = format!("127.0.0.1:{port}");
    let directories: Vec<_> = (0..2).map(|_| tempfile::tempdir().expect("a directory")).collect();
    let Some(mut first) = Daybook::start(directories[0].path(), &[], &named(&address, "twin"), &UNSET).await else { return };
    let paused = Paused::new(&first);
    let second = Daybook::start(directories[1].path(), &[], &named(&address, "twin"), &UNSET).await.expect("it starts");
    drop(paused);
    let code = eventually("the first ends", async || first.ended()).await;
    let last = log_of(directories[0].path()).lines().last().unwrap_or_default().to_owned();
    assert!(code == Some(2) && last.starts_with("daybook: ") && last.contains("twin") && last.contains("DAYBOOK_NAME"), "{code:?} {last}");
    let ready = second.client().get("/health/ready").await.map(|(status, _)| status);
    assert_eq!(ready, Some(200), "the other one lives");
    assert!(second.terminate());
}

/// It starts, takes orders, says in one line what is missing, and pays once a gateway is set.
#[tokio::test(flavor = "multi_thread")]
async fn on_brokers_payments_wait_until_a_gateway_is_named() {
    let (log, data, port) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"), free_port());
    let _served = brokers(log.path(), port).await;
    let address = format!("127.0.0.1:{port}");
    let settings = [("DAYBOOK_KAFKA", address.as_str()), ("DAYBOOK_PARTITIONS", "1"), ("DAYBOOK_MAIL", "folder")];
    let unset = [&UNSET[..], &["DAYBOOK_GATEWAY"]].concat();
    let Some(daybook) = Daybook::start(data.path(), &[], &settings, &unset).await else { return };
    let shop = Shop::open(daybook.client(), "waiting", 10).await;
    let order = shop.order("waiting", 1, "card").await;
    eventually("the payment waits", async || log_of(data.path()).contains("an errand has to wait").then_some(())).await;
    let said = log_of(data.path());
    let lines = said.lines().filter(|line| line.contains("no payment gateway is configured") && line.contains("until then")).count();
    assert!(lines == 1 && said.contains("DAYBOOK_GATEWAY_URL") && !data.path().join("gateway.jsonl").exists(), "{said}");
    assert!(daybook.terminate());
    let settings = [&settings[..], &[("DAYBOOK_GATEWAY", "simulated")]].concat();
    let daybook = Daybook::start(data.path(), &[], &settings, &UNSET).await.expect("it starts");
    Shop { client: daybook.client(), ..shop }.ended(&order, "confirmed").await;
    assert!(daybook.terminate());
}

/// The names of the messages in a node's mailbox.
fn mails(directory: &Path) -> BTreeSet<String> {
    let Ok(files) = directory.join("mailbox").read_dir() else { return BTreeSet::new() };
    files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).filter(|name| name.ends_with(".eml")).collect()
}

/// Enough for each partition to get some.
const ORDERS: usize = 40;

/// An all-roles node, and beside it one that only views, or only reacts: each partition of a reader is read by one of them.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_other_roles_share_the_readers_that_both_run() {
    let _alone = ON_REAL_PARTS.lock().await;
    let Some(parts) = Parts::named() else { return };
    let directories: Vec<_> = (0..3).map(|_| tempfile::tempdir().expect("a directory")).collect();
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let mut settings = parts.settings();
    settings.push(("DAYBOOK_GATEWAY_URL", url.as_str()));
    let Some(_gateway) = Gateway::start(port).await else { return };
    let beside = async |index: usize, roles: &[&str]| {
        Daybook::start(directories[index].path(), roles, &settings, &[]).await.expect("the program was there before")
    };
    let (all, views, reactors) = (beside(0, &[]).await, beside(1, &["--role", "views"]).await, beside(2, &["--role", "reactors"]).await);
    let shop = Shop::open(all.client(), &format!("shared-{}", uuid::Uuid::new_v4().simple()), 1_000).await;
    let mut orders = Vec::new();
    for number in 0..ORDERS {
        orders.push(shop.order(&number.to_string(), 1, "card").await);
    }
    for order in &orders {
        shop.ended(order, "confirmed").await;
    }
    let sent = || directories.iter().map(|directory| mails(directory.path()).len()).sum::<usize>();
    eventually("every customer is told", async || (sent() >= ORDERS).then_some(())).await;
    for daybook in [all, views, reactors] {
        assert!(daybook.terminate());
    }
    for directory in &directories {
        let said = log_of(directory.path());
        assert!(!said.contains("was moved by another reader"), "{said}");
    }
    let (here, there) = (mails(directories[0].path()), mails(directories[2].path()));
    println!("{} mails by one node, {} by the other", here.len(), there.len());
    assert!(here.is_disjoint(&there) && here.len() + there.len() >= ORDERS, "each mail is sent once");
}
