//! Copies are added to a log while the node that writes it runs: from then on its end proves nothing, and answers rest on records.

use super::{real::ON_REAL_PARTS, three_brokers::Cluster};
use serde_json::json;
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use system_tests::process::{Client, Daybook, eventually, required};

/// A node looks every second.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(5);
const UNSET: [&str; 2] = ["DAYBOOK_POSTGRES", "SCHEMA_REGISTRY_URL"];

/// How many proofs stand in the log of users, as `daybook verify` counts them; it must find nothing wrong.
fn proofs(settings: &[(&str, &str)], data: &Path) -> u64 {
    let mut command = Command::new(required("DAYBOOK_PROGRAM").expect("it was there before"));
    command.args(["verify", "users"]).envs(settings.iter().copied()).env("DAYBOOK_DATA", data);
    for name in UNSET {
        command.env_remove(name);
    }
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let before = said.split(" proofs").next().and_then(|before| before.rsplit(' ').next()?.parse().ok());
    before.unwrap_or_else(|| panic!("it counts no proofs: {said}"))
}

async fn strong(client: &Client, user: &str) {
    eventually("a strong read", async || {
        client.get(&format!("/users/{user}?consistency=strong")).await.filter(|(status, _)| *status == 200)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_given_copies_while_its_node_runs_is_proved_by_records_from_then_on() {
    let _alone = ON_REAL_PARTS.lock().await;
    if required("DAYBOOK_PROGRAM").is_none() {
        return;
    }
    let Some(cluster) = Cluster::up() else { return };
    let data = tempfile::tempdir().expect("a directory");
    let settings = [
        ("DAYBOOK_KAFKA", cluster.brokers.as_str()),
        ("DAYBOOK_MAIL", "folder"),
        ("DAYBOOK_GATEWAY", "simulated"),
        ("DAYBOOK_PARTITIONS", "1"),
        ("DAYBOOK_REPLICATION", "1"),
        ("DAYBOOK_MIN_INSYNC", "1"),
    ];
    let mut daybook = Daybook::start(data.path(), &[], &settings, &UNSET).await.expect("it starts");
    let client = daybook.client();
    let made = client.must("/users", "copies", json!({"email": "copies@example.com", "name": "Ada"})).await;
    let user = made["id"].as_str().expect("an id").to_owned();
    for _ in 0..3 {
        strong(&client, &user).await;
    }
    assert_eq!(cluster.copies("users.events"), Some(vec![1]));
    assert_eq!(proofs(&settings, data.path()), 0, "the end of the one copy is proof enough");

    cluster.spread("users.events").await;

    let spread = Instant::now();
    eventually("the barrier follows", async || {
        strong(&client, &user).await;
        (proofs(&settings, data.path()) > 0).then_some(())
    })
    .await;
    println!("a strong read was proved by a record {:?} after the copies had caught up", spread.elapsed());
    assert!(spread.elapsed() < FOLLOWS_WITHIN, "{:?}", spread.elapsed());
    client.must(&format!("/users/{user}/profile-changes"), "renamed", json!({"name": "Grace"})).await;
    strong(&client, &user).await;
    assert!(daybook.ended().is_none(), "it ran on");
    assert!(daybook.terminate(), "it ends in good order");
}
