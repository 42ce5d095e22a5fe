//! The log loses its last records, and the node that had read them runs on.

use super::identity::{brokers, on_brokers};
use serde_json::{Value, json};
use std::{path::Path, process::Command};
use system_tests::process::{Client, Daybook, eventually, free_port, required};
use tokio::sync::watch;
use uuid::Uuid;

/// A node on brokers that can be set back to an earlier day.
struct Scene {
    log: tempfile::TempDir,
    earlier: tempfile::TempDir,
    data: tempfile::TempDir,
    port: u16,
    served: Option<watch::Sender<()>>,
}

impl Scene {
    async fn begin() -> Self {
        let directory = || tempfile::tempdir().expect("a directory");
        let mut scene = Self { log: directory(), earlier: directory(), data: directory(), port: free_port(), served: None };
        scene.served = Some(brokers(scene.log.path(), scene.port).await);
        scene
    }

    async fn node(&self) -> Option<Daybook> {
        on_brokers(self.data.path(), &format!("127.0.0.1:{}", self.port)).await
    }

    /// Keeps the log as it is now.
    async fn keep(&mut self) {
        self.served = None;
        // The server has let its files go when another can be opened.
        drop(brokers(self.log.path(), self.port).await);
        copy(self.log.path(), self.earlier.path());
        self.served = Some(brokers(self.log.path(), self.port).await);
    }

    /// The log loses what came since it was kept.
    async fn lose(&mut self) {
        self.served = None;
        self.served = Some(brokers(self.earlier.path(), self.port).await);
    }

    fn tool(&self, name: &str) -> (Option<i32>, String) {
        let mut command = Command::new(required("DAYBOOK_PROGRAM").expect("it was there before"));
        command.args([name, "--kafka", &format!("127.0.0.1:{}", self.port)]).env("DAYBOOK_DATA", self.data.path());
        for unset in ["DAYBOOK_POSTGRES", "SCHEMA_REGISTRY_URL"] {
            command.env_remove(unset);
        }
        let output = command.output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    }
}

fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).expect("a directory").map(|file| file.expect("a file")) {
        if file.file_type().expect("a kind").is_file() {
            std::fs::copy(file.path(), to.join(file.file_name())).expect("it is copied");
        }
    }
}

async fn register(client: &Client, name: &str) -> String {
    let made = client.must("/users", &Uuid::new_v4().to_string(), json!({"email": format!("{name}@example.com"), "name": name})).await;
    made["id"].as_str().expect("an id").to_owned()
}

async fn rename(client: &Client, user: &str, name: &str) -> Value {
    client.must(&format!("/users/{user}/profile-changes"), &Uuid::new_v4().to_string(), json!({"name": name})).await
}

async fn strong(client: &Client, user: &str) -> Option<(u16, Value)> {
    client.get(&format!("/users/{user}?consistency=strong")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_log_lost_its_tail_decides_and_shows_what_the_log_has_and_needs_nobody() {
    let mut scene = Scene::begin().await;
    let Some(mut daybook) = scene.node().await else { return };
    let client = daybook.client();
    let kept = register(&client, "kept").await;
    eventually("it is shown", async || strong(&client, &kept).await.filter(|(status, _)| *status == 200)).await;
    scene.keep().await;
    rename(&client, &kept, "Lost").await;
    let lost = register(&client, "lost").await;
    eventually("it is shown", async || strong(&client, &lost).await.filter(|(status, _)| *status == 200)).await;

    scene.lose().await;

    assert_eq!(rename(&client, &kept, "After").await["version"], 2, "it is decided on what the log has");
    let other = register(&client, "other").await;
    let shown = eventually("the views are made anew", async || {
        let (status, user) = strong(&client, &kept).await?;
        // Until then they answer 503, and never what is lost.
        assert!(status == 503 || user["name"] == "After", "{status} {user}");
        (status == 200).then_some(user)
    });
    assert_eq!(shown.await["version"], 2);
    assert_eq!(strong(&client, &lost).await.map(|(status, _)| status), Some(404));
    eventually("what came after is shown", async || strong(&client, &other).await.filter(|(status, _)| *status == 200)).await;
    // Its address is free again: the reservation is lost too, or goes to the next who wants it.
    register(&client, "lost").await;
    eventually("nobody stands on what is lost", async || (scene.tool("verify").0 == Some(0)).then_some(())).await;
    eventually("the views are what the log makes them", async || (scene.tool("replay").0 == Some(0)).then_some(())).await;
    assert!(daybook.ended().is_none(), "it ran on");
    let log = std::fs::read_to_string(scene.data.path().join("daybook.log")).expect("a log");
    assert!(log.contains("the log has lost records"), "it is said");
    assert!(daybook.terminate());
}
