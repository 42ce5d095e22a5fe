//! On the embedded default: one process, SQLite, the embedded log.

use super::shop::Shop;
use serde_json::json;
use std::time::Duration;
use system_tests::process::{Daybook, free_port, required};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_every_way_it_can() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(daybook) = Daybook::embedded(directory.path(), free_port()).await else { return };
    let shop = Shop::open(daybook.client(), "ways", 10).await;
    shop.every_way_an_order_can_go().await;
    assert!(daybook.terminate(), "it ends in good order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_sees_the_write_that_it_names() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(daybook) = Daybook::embedded(directory.path(), free_port()).await else { return };
    let client = daybook.client();
    for number in 0..20 {
        let made =
            client.post("/users", None, json!({"email": format!("ada-{number}@example.com"), "name": format!("Ada {number}")})).await;
        let position = made.headers()["daybook-position"].to_str().expect("text").to_owned();
        let location = made.headers()["location"].to_str().expect("text").to_owned();
        let (status, user) = client.get_at_least(&location, &position).await;
        assert_eq!((status, user["name"].as_str()), (200, Some(format!("Ada {number}").as_str())));
    }
    let (status, problem) = client.get_at_least("/users?", "users/0").await;
    assert!(status == 400 || status == 404 || status == 405, "{status} {problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_and_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let port = free_port();
    let Some(daybook) = Daybook::embedded(directory.path(), port).await else { return };
    let shop = Shop::open(daybook.client(), "survivor", 100).await;
    let before = shop.order("before", 2, "card").await;
    let cut = shop.order("cut", 3, "card-slow").await;
    daybook.kill();
    let daybook = restart(directory.path(), port).await;
    let shop = Shop { client: daybook.client(), ..shop };
    shop.ended(&before, "confirmed").await;
    shop.ended(&cut, "confirmed").await;
    assert_eq!(shop.order("before", 2, "card").await, before, "the key is remembered");
    shop.stock(95, 0).await;
    assert!(daybook.terminate());
    let daybook = restart(directory.path(), port).await;
    let shop = Shop { client: daybook.client(), ..shop };
    shop.stock(95, 0).await;
}

/// The port is free again once the killed process is gone.
async fn restart(directory: &std::path::Path, port: u16) -> Daybook {
    system_tests::process::eventually("the broker's port is free", async || {
        std::net::TcpListener::bind(("127.0.0.1", port)).ok().map(drop)
    })
    .await;
    Daybook::embedded(directory, port).await.expect("the programs were there before")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_nobody_confirms_in_time_expires() {
    let directory = tempfile::tempdir().expect("a directory");
    let port = free_port().to_string();
    // No gateway listens at this address, so the payment waits until the order's deadline.
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let settings = [("DAYBOOK_BROKER_PORT", port.as_str()), ("DAYBOOK_GATEWAY_URL", &nobody), ("DAYBOOK_ORDER_DEADLINE", "2")];
    let unset = ["DAYBOOK_KAFKA", "DAYBOOK_POSTGRES", "SCHEMA_REGISTRY_URL"];
    let Some(daybook) = Daybook::start(directory.path(), &[], &settings, &unset).await else { return };
    let shop = Shop::open(daybook.client(), "late", 10).await;
    let order = shop.order("late", 4, "card").await;
    shop.ended(&order, "expired").await;
    shop.stock(10, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_process_on_a_port_is_told_so_in_one_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(daybook) = Daybook::embedded(directory.path(), free_port()).await else { return };
    let program = required("DAYBOOK_PROGRAM").expect("it was there before");
    let http = daybook.url.trim_start_matches("http://");
    let mut second = std::process::Command::new(program);
    second.args(["run", "--http", http]).env_remove("DAYBOOK_KAFKA").env("DAYBOOK_DATA", directory.path().join("second"));
    let second = second.output().expect("it runs");
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.lines().count() == 1 && said.contains(http) && said.contains("DAYBOOK_HTTP"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_has_one_owner() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(daybook) = Daybook::embedded(directory.path(), free_port()).await else { return };
    let (code, said) = start_in(directory.path());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.lines().count() == 1 && said.contains(&daybook.id().to_string()), "it names the first: {said}");
    let shop = Shop::open(daybook.client(), "owner", 10).await;
    let order = shop.order("unharmed", 1, "card").await;
    shop.ended(&order, "confirmed").await;
}

#[test]
fn a_directory_of_the_former_broker_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    if required("DAYBOOK_PROGRAM").is_none() {
        return;
    }
    std::fs::create_dir(directory.path().join("broker")).expect("a directory");
    std::fs::write(directory.path().join("broker/broker.db"), "SQLite format 3").expect("a file");
    let (code, said) = start_in(directory.path());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.lines().count() == 1 && said.contains("broker"), "{said}");
}

/// Starts a node on a data directory, on ports of its own: its exit code, and what it says on standard error without its log's lines.
fn start_in(data: &std::path::Path) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(required("DAYBOOK_PROGRAM").expect("it was there before"));
    for name in ["DAYBOOK_KAFKA", "DAYBOOK_POSTGRES", "SCHEMA_REGISTRY_URL"] {
        command.env_remove(name);
    }
    command.args(["run", "--http", "127.0.0.1:0", "--broker-port", &free_port().to_string()]).env("DAYBOOK_DATA", data);
    let ended = command.env("DAYBOOK_LOG", "off").output().expect("it runs");
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_order_takes_less_than_a_second_even_unoptimised() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(daybook) = Daybook::embedded(directory.path(), free_port()).await else { return };
    let shop = Shop::open(daybook.client(), "quick", 100).await;
    let mut best = Duration::MAX;
    for attempt in 0..5 {
        let begun = std::time::Instant::now();
        let order = shop.order(&format!("quick/{attempt}"), 1, "card").await;
        shop.ended(&order, "confirmed").await;
        best = best.min(begun.elapsed());
    }
    println!("the quickest of five orders was confirmed in {best:?}");
    assert!(best < Duration::from_secs(1), "{best:?}");
}
