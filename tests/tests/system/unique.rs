//! One account for an address and one product for a stock-keeping unit, in a race and through kills.

use reqwest::StatusCode;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};
use system_tests::process::{Client, Daybook, eventually, free_port, tool};
use tokio::task::JoinSet;

const RACERS: usize = 32;
/// Kills in the middle of a race.
const KILLS: u64 = 4;

/// What a caller learns in the end: the id of what was made, or the name of the rule that refused it.
type Learned = Result<String, String>;

/// Posts under a key until the answer says what became of it, through kills and restarts.
async fn insist(url: String, path: &'static str, key: String, body: Value) -> Learned {
    let (client, until) = (reqwest::Client::new(), Instant::now() + Duration::from_secs(60));
    while Instant::now() < until {
        if let Some(learned) = ask(&client, &format!("{url}{path}"), &key, &body).await {
            return learned;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not within a minute: {path} under {key}");
}

/// None where the answer does not say what became of it.
async fn ask(client: &reqwest::Client, url: &str, key: &str, body: &Value) -> Option<Learned> {
    let response = client.post(url).header("Idempotency-Key", key).json(body).send().await.ok()?;
    let (status, answer) = (response.status(), response.json::<Value>().await.ok()?);
    match status {
        StatusCode::CREATED => Some(Ok(answer["id"].as_str()?.to_owned())),
        StatusCode::UNPROCESSABLE_ENTITY => Some(Err(answer["type"].as_str()?.to_owned())),
        _ => None,
    }
}

/// Lets so many callers want the same at once.
fn race(client: &Client, path: &'static str, round: &str, body: &Value) -> JoinSet<Learned> {
    (0..RACERS).map(|racer| insist(client.url.clone(), path, format!("{round}/{racer}"), body.clone())).collect()
}

/// One has it, and all others were told so.
fn one_has_it(learned: &[Learned], code: &str) -> String {
    let made: Vec<&String> = learned.iter().filter_map(|each| each.as_ref().ok()).collect();
    let refused: BTreeSet<&str> = learned.iter().filter_map(|each| each.as_ref().err()).map(String::as_str).collect();
    assert_eq!((made.len(), learned.len()), (1, RACERS), "{learned:?}");
    assert_eq!(refused, BTreeSet::from([code]));
    made[0].clone()
}

fn user(email: &str) -> Value {
    json!({"email": email, "name": "Ada"})
}

fn product(sku: &str) -> Value {
    json!({"sku": sku, "name": "Heart", "price": {"amount": 295, "currency": "GBP"}})
}

async fn status(client: &Client, path: &str, body: Value) -> u16 {
    client.post(path, None, body).await.status().as_u16()
}

/// Waits until a POST is answered so: the reactors free what was left in a moment.
async fn becomes(client: &Client, path: &str, body: Value, expected: u16) {
    eventually(&format!("{path} {body} is answered {expected}"), async || {
        (status(client, path, body.clone()).await == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_thirty_two_who_want_the_same_at_once_one_gets_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(daybook) = Daybook::embedded(directory.path(), free_port()).await else { return };
    let client = daybook.client();
    let users = race(&client, "/users", "users", &user("race@example.com")).join_all().await;
    let products = race(&client, "/products", "products", &product("RACE-1")).join_all().await;
    let (holder, listed) = (one_has_it(&users, "urn:daybook:problem:email-taken"), one_has_it(&products, "urn:daybook:problem:sku-taken"));

    // It is the same in every spelling, and free again once it is left.
    assert_eq!(status(&client, "/users", user("Race@EXAMPLE.com")).await, 422);
    client.must(&format!("/users/{holder}/profile-changes"), "move", json!({"email": "elsewhere@example.com"})).await;
    becomes(&client, "/users", user("Race@EXAMPLE.com"), 201).await;
    assert_eq!(status(&client, "/users", user("elsewhere@example.com")).await, 422);
    client.must(&format!("/users/{holder}/closure"), "close", json!({})).await;
    becomes(&client, "/users", user("elsewhere@example.com"), 201).await;
    assert_eq!(status(&client, "/products", product("race-1")).await, 422);
    client.must(&format!("/products/{listed}/withdrawal"), "withdraw", json!({})).await;
    becomes(&client, "/products", product("race-1"), 201).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_a_race_makes_no_second_account_and_locks_nobody_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let (port, http) = (free_port(), free_port());
    let Some(mut daybook) = start(directory.path(), port, http).await else { return };
    for round in 0..KILLS {
        let (email, sku) = (format!("round-{round}@example.com"), format!("ROUND-{round}"));
        let client = daybook.client();
        let users = race(&client, "/users", &format!("users/{round}"), &user(&email));
        let products = race(&client, "/products", &format!("products/{round}"), &product(&sku));
        tokio::time::sleep(Duration::from_millis(5 + 10 * round)).await;
        daybook.kill();
        daybook = start(directory.path(), port, http).await.expect("the programs were there before");
        one_has_it(&users.join_all().await, "urn:daybook:problem:email-taken");
        one_has_it(&products.join_all().await, "urn:daybook:problem:sku-taken");
    }
    assert!(daybook.terminate());
    let verified = tool(&std::env::var("DAYBOOK_PROGRAM").expect("it was there before"), directory.path(), port, &["verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

/// On the same ports each time, so that callers find it again.
async fn start(directory: &Path, port: u16, http: u16) -> Option<Daybook> {
    for port in [port, http] {
        eventually("the port is free", async || std::net::TcpListener::bind(("127.0.0.1", port)).ok().map(drop)).await;
    }
    let (port, http) = (port.to_string(), format!("127.0.0.1:{http}"));
    let settings = [("DAYBOOK_BROKER_PORT", port.as_str()), ("DAYBOOK_HTTP", http.as_str())];
    Daybook::start(directory, &[], &settings, &["DAYBOOK_KAFKA", "DAYBOOK_POSTGRES", "SCHEMA_REGISTRY_URL"]).await
}
