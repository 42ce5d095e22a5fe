//! The books are right, and tools show it: replay, rebuild, verify, reads as of a moment, strong reads, a topic with hostile records.

use super::shop::Shop;
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use serde_json::{Value, json};
use std::{path::Path, process::Command, time::Duration};
use system_tests::process::{Client, Daybook, eventually, free_port, required};

/// A store that a `daybook run` on the embedded log keeps, and the tools that look at it.
struct Books<'a> {
    directory: &'a Path,
    port: u16,
}

impl Books<'_> {
    /// Runs a tool with `--json`; its exit code and what it printed.
    fn tool(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let mut command = Command::new(required("DAYBOOK_PROGRAM").expect("it was there before"));
        for name in ["DAYBOOK_KAFKA", "DAYBOOK_POSTGRES", "SCHEMA_REGISTRY_URL"] {
            command.env_remove(name);
        }
        command.env("DAYBOOK_BROKER_PORT", self.port.to_string()).env("DAYBOOK_DATA", self.directory);
        let output = command.args(arguments).arg("--json").output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        let parsed = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code(), parsed)
    }

    /// The effects done outside: mails, and entries in the gateway's books.
    fn effects(&self) -> (usize, usize) {
        let mails = self.directory.join("mailbox").read_dir().expect("the mailbox").count();
        let entries = std::fs::read_to_string(self.directory.join("gateway.jsonl")).expect("the gateway's books").lines().count();
        (mails, entries)
    }

    fn proves_every_view(&self) {
        let (code, replay) = self.tool(&["replay"]);
        assert_eq!((code, &replay["equal"]), (Some(0), &json!(true)), "{replay:#}");
        assert_eq!(replay["views"].as_array().map(Vec::len), Some(9), "every view of every service");
    }

    fn keeps_every_promise(&self) -> Value {
        let (code, verify) = self.tool(&["verify"]);
        assert_eq!((code, &verify["violations"]), (Some(0), &json!(0)), "{verify:#}");
        verify
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_proved_and_rebuilt_and_no_side_effect_is_repeated() {
    let (directory, port) = (tempfile::tempdir().expect("a directory"), free_port());
    let Some(daybook) = Daybook::embedded(directory.path(), port).await else { return };
    let shop = Shop::open(daybook.client(), "books", 10).await;
    shop.every_way_an_order_can_go().await;
    let books = Books { directory: directory.path(), port };
    let before = books.effects();
    books.proves_every_view();
    for view in ["orders", "timeline", "audit"] {
        let (code, rebuilt) = books.tool(&["rebuild", view]);
        assert_eq!((code, &rebuilt["comparison"]["differing"]), (Some(0), &json!(0)), "{rebuilt:#}");
    }
    let after = shop.order("after-the-rebuild", 1, "card").await;
    shop.ended(&after, "confirmed").await;
    eventually("the mail about it", async || (books.effects().0 == before.0 + 1).then_some(())).await;
    books.proves_every_view();
    books.keeps_every_promise();
    let (mails, entries) = books.effects();
    assert_eq!((mails, entries), (before.0 + 1, before.1 + 2), "one mail, one authorisation, one capture: of the new order only");
    assert_eq!(books.tool(&["dead-letters", "list", "--url", &daybook.url]).1, json!({"letters": []}));
    let unknown =
        Command::new(required("DAYBOOK_PROGRAM").expect("it was there before")).args(["rebuild", "ordres"]).output().expect("it runs");
    assert_eq!(unknown.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_shown_as_it_was_and_a_strong_read_shows_what_was_just_done() {
    let (directory, port) = (tempfile::tempdir().expect("a directory"), free_port());
    let Some(daybook) = Daybook::embedded(directory.path(), port).await else { return };
    let (client, shop) = (daybook.client(), Shop::open(daybook.client(), "then", 10).await);
    let order = shop.order("then", 2, "card").await;
    let confirmed = shop.ended(&order, "confirmed").await;
    let placed_at = confirmed["placed_at"].as_str().expect("a moment").to_owned();
    let (_, then) = client.get(&format!("/orders/{order}?at={placed_at}")).await.expect("an answer");
    assert_eq!((&then["status"], &then["version"], &then["as_of"]["position"]), (&json!("placed"), &json!(1), &json!("orders/0/1")));
    let (_, later) = client.get(&format!("/orders/{order}?at=orders/0/4")).await.expect("an answer");
    assert_eq!((&later["status"], &later["total"]["amount"]), (&json!("placed"), &json!(590)));
    assert_eq!(client.get(&format!("/orders/{order}?at=2001-01-01T00:00:00Z")).await.expect("an answer").0, 404);
    let (status, problem) = client.get(&format!("/orders/{order}?at=noon")).await.expect("an answer");
    assert_eq!((status, &problem["errors"][0]["field"]), (400, &json!("at")));
    let books = Books { directory: directory.path(), port };
    let (code, told) = eventually("the audit shows the order", async || {
        let (status, _) = client.get(&format!("/audit/order/{order}/state?at=orders/0/5")).await?;
        (status == 200).then(|| books.tool(&["audit", "order", &order, "--at", "orders/0/2", "--url", &daybook.url]))
    })
    .await;
    assert_eq!((code, &told["position"], told["events"].as_array().map(Vec::len)), (Some(0), &json!("orders/0/2"), Some(2)), "{told:#}");
    for number in 0..20 {
        strong(&client, number).await;
    }
}

/// Without `Daybook-At-Least`: the reader is not told which position it must show.
async fn strong(client: &Client, number: i32) {
    let made = client.post("/users", None, json!({"email": format!("ada-{number}@example.com"), "name": format!("Ada {number}")})).await;
    let location = made.headers()["location"].to_str().expect("text").to_owned();
    let (status, user) = client.get(&format!("{location}?consistency=strong")).await.expect("an answer");
    assert_eq!((status, user["name"].as_str()), (200, Some(format!("Ada {number}").as_str())));
}

/// A record's value and headers.
type Raw = (Vec<u8>, Vec<(&'static str, String)>);

/// Records that no node of Daybook would write: no headers, wrong magic, unknown schema, truncated, huge, a wrong key, a forged run.
fn hostile(user: &str) -> Vec<Raw> {
    let forged = |run: i64, at: i64, payload: Vec<u8>| -> Raw {
        let headers =
            [("ce_specversion", "1.0"), ("ce_type", "daybook.user.UserClosed"), ("ce_source", "/daybook/users"), ("group", "1/1")];
        let mut headers: Vec<(&'static str, String)> = headers.map(|(name, value)| (name, value.to_owned())).into();
        headers.extend([("ce_id", format!("{}/1", uuid::Uuid::new_v4())), ("ce_subject", user.to_owned())]);
        headers.extend([("ce_time", "2026-01-01T00:00:00.000Z".to_owned()), ("run", run.to_string()), ("at", at.to_string())]);
        headers.extend([("version", "2".to_owned()), ("fingerprint", "00".to_owned())]);
        headers.extend([("actor", "mallory".to_owned()), ("correlation-id", "c".to_owned())]);
        (payload, headers)
    };
    vec![
        (b"hello".to_vec(), vec![]),
        (vec![9; 900_000], vec![("ce_type", "daybook.user.UserClosed".to_owned())]),
        forged(0, 5, vec![0, 0, 0, 0, 4]),
        forged(7, 4, vec![1, 2, 3]),
        forged(0, 9_999, vec![0, 127, 255, 255, 255, 0]),
        (Vec::new(), vec![("ce_type", "daybook.log.PartitionClaimed".to_owned())]),
        (Vec::new(), vec![("ce_type", "daybook.log.OwnerConfirmed".to_owned()), ("run", "x".to_owned())]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_records_in_a_topic_change_nothing_and_everything_else_flows() {
    let (directory, port) = (tempfile::tempdir().expect("a directory"), free_port());
    let Some(daybook) = Daybook::embedded(directory.path(), port).await else { return };
    let shop = Shop::open(daybook.client(), "hostile", 10).await;
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", format!("127.0.0.1:{port}")).create().expect("a producer");
    let records = hostile(&shop.user);
    let count = records.len() as u64;
    for (payload, headers) in records {
        let headers = headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(value.as_str()) }));
        let record = BaseRecord::to("users.events").key(shop.user.as_str()).payload(&payload).headers(headers);
        producer.send(record).expect("it is queued");
    }
    producer.flush(Duration::from_secs(20)).expect("they stand in the log");
    let order = shop.order("after", 1, "card").await;
    shop.ended(&order, "confirmed").await;
    let name = json!({"name": "Ada, still here"});
    shop.client.must(&format!("/users/{}/profile-changes", shop.user), "rename", name.clone()).await;
    let (_, user) = shop.client.get(&format!("/users/{}?consistency=strong", shop.user)).await.expect("an answer");
    assert_eq!(
        (&user["name"], &user["version"]),
        (&name["name"], &json!(3)),
        "registered, vouched for, renamed: nobody closed the account"
    );
    let books = Books { directory: directory.path(), port };
    let verify = books.keeps_every_promise();
    let users = verify["partitions"].as_array().expect("partitions").iter().find(|found| found["partition"] == "users/0").expect("users");
    let uncounted: u64 = users["findings"]["uncounted"].as_object().expect("reasons").values().filter_map(Value::as_u64).sum();
    assert!(uncounted >= count, "each is said not to count: {users:#}");
    books.proves_every_view();
}
