//! Dead letters over HTTP, of several databases at once.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/feed.rs"]
#[allow(dead_code)]
mod feed;
#[path = "support/library.rs"]
#[allow(dead_code)]
mod library;
#[allow(dead_code)]
mod support;

use event_sourcing::Timestamp;
use event_store::{Batch, BatchError, BatchHandler, Checkpoint, Passed};
use feed::Feed;
use library::{Members, codecs, joined, member};
use projections::{Database, ErrandRow, LetterBox, Redrive, Redriven, ViewRunner, erased, letter_routes};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};
use uuid::Uuid;

/// The aggregate that an errand is about, and the one whose record is broken.
const TARGET: Uuid = Uuid::from_u128(1);

/// Stands for the reactors: it settles an errand whose reason is that it was too early.
struct Reactors(Database);

#[async_trait::async_trait]
impl Redrive for Reactors {
    fn redrives(&self, reader: &str) -> bool {
        ["reactors", "send-card"].contains(&reader)
    }

    async fn redrive(&self, _: &str, _: Uuid) -> Result<Redriven, BatchError> {
        Ok(Redriven::default())
    }

    async fn redrive_errand(&self, id: &str) -> Result<Redriven, BatchError> {
        match self.0.errand(id).await?.map(|errand| errand.reason) {
            Some(reason) if reason == "too early" => {
                self.0.remove_errand(id).await?;
                Ok(Redriven { redriven: 1, left: 0, stopped_by: None })
            }
            reason => Ok(Redriven { redriven: 0, left: 1, stopped_by: reason }),
        }
    }

    async fn drop_errand(&self, id: &str) -> Result<bool, BatchError> {
        let there = self.0.errand(id).await?.is_some();
        self.0.remove_errand(id).await?;
        Ok(there)
    }
}

/// Errands of the event at this offset: two that are dead, and one that waits.
fn errands(offset: i64) -> Vec<ErrandRow> {
    let errand = |number: i64, status: &str, reason: &str| ErrandRow {
        id: format!("e-{offset}/send-card/{number}"),
        reader: "reactors".into(),
        reactor: "send-card".into(),
        kind: "a card".into(),
        number,
        service: "members".into(),
        partition: 0,
        offset,
        aggregate_id: TARGET,
        source_aggregate: Uuid::from_u128(2),
        status: status.into(),
        attempts: 3,
        tries: 4,
        since: Timestamp(offset * 1_000),
        due: Timestamp(0),
        reason: reason.into(),
        errand: json!({ "card": number }),
    };
    vec![errand(0, "dead", "no such street"), errand(1, "dead", "too early"), errand(2, "waiting", "closed")]
}

/// Two services whose databases hold the same broken records, and errands in the second, served on a port of the test's own.
async fn serve(fresh: &[&support::Fresh; 2], records: u128) -> String {
    let mut boxes = BTreeMap::new();
    for (name, fresh) in ["desks", "members"].into_iter().zip(fresh) {
        let database = fresh.open().await;
        let views = ViewRunner::new(name, database.clone(), vec![erased::<Members>()], codecs()).await.unwrap();
        let mut log = Feed::new("members", 0);
        for id in 1..=records {
            log.write_bytes(Uuid::from_u128(id), 1, "library.member.Joined", b"broken".to_vec());
        }
        log.write(member("Ada"), 2, &joined("Ada"));
        views.apply(&log.batch()).await.unwrap();
        boxes.insert(name, LetterBox { database, redrivers: vec![Arc::new(views) as Arc<dyn Redrive>] });
    }
    let letter_box = boxes.get_mut("members").unwrap();
    let to = Checkpoint::new(9, None);
    let batch = Batch {
        source: Feed::new("members", 0).source().clone(),
        from: Checkpoint::default(),
        to,
        records: Vec::new(),
        passed: Passed::default(),
    };
    letter_box.database.advance_with("reactors", &batch, [errands(5), errands(6)].concat()).await.unwrap();
    letter_box.redrivers.push(Arc::new(Reactors(letter_box.database.clone())));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (router, _) = letter_routes(boxes).split_for_parts();
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// An HTTP client needs rustls's provider chosen in the process.
fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

async fn get(url: &str) -> Value {
    client().get(url).send().await.unwrap().json().await.unwrap()
}

async fn post(url: &str) -> Value {
    client().post(url).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn letters_of_all_databases_are_listed_each_once_page_by_page() {
    for (one, other) in support::fresh().into_iter().zip(support::fresh()) {
        let url = serve(&[&one, &other], 5).await;
        for limit in [1, 2, 3, 50] {
            let (mut seen, mut after) = (Vec::new(), String::new());
            loop {
                let page = get(&format!("{url}/dead-letters?limit={limit}{after}")).await;
                let items = page["items"].as_array().unwrap().clone();
                assert!(items.len() <= limit, "{page}");
                seen.extend(items.iter().map(|item| format!("{} {}", item["database"], item["letter"]["id"])));
                match page["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
            }
            let count = seen.len();
            seen.sort();
            seen.dedup();
            assert_eq!((count, seen.len()), (14, 14), "{} with pages of {limit}: {seen:?}", one.kind);
        }
        let only = get(&format!("{url}/dead-letters?database=members&reader=members")).await;
        assert_eq!(only["items"].as_array().unwrap().len(), 5);
        let cards = get(&format!("{url}/dead-letters?reader=send-card")).await;
        assert_eq!(cards["items"].as_array().unwrap().len(), 4, "what is tried on is no dead letter");
        let expected = json!({"database": "members", "letter": {
            "id": "e-5/send-card/0", "reader": "send-card", "service": "members", "partition": 0, "offset": 5, "aggregate_id": TARGET,
            "type": "a card", "reason": "no such street", "parked_at": "1970-01-01T00:00:05.000Z", "record": null,
        }});
        assert_eq!(cards["items"][0], expected);
        for (parameter, value) in [("database", "nobody"), ("after", "5b5d"), ("after", "5b2261222c312c2262225d")] {
            assert_eq!(get(&format!("{url}/dead-letters?{parameter}={value}")).await["errors"][0]["field"], parameter);
        }
    }
}

#[tokio::test]
async fn an_aggregates_records_are_shown_and_redriven() {
    let (one, other) = (support::fresh().remove(0), support::fresh().remove(0));
    let url = serve(&[&one, &other], 1).await;
    let path = format!("{url}/dead-letters/members/members/{TARGET}");
    let shown = get(&path).await;
    let items = shown["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["offset"], &items[0]["record"]["version"]), (1, &1.into(), &1.into()));
    for query in ["", "?letter=members@members/0/1"] {
        let still = post(&format!("{path}/redrive{query}")).await;
        assert_eq!((&still["redriven"], &still["left"]), (&0.into(), &1.into()), "{query:?}: {still}");
    }
    assert_eq!(post(&format!("{path}/redrive?letter=members@members/0/2")).await["status"], 404);
    let elsewhere = post(&format!("{url}/dead-letters/desks/reactors/{TARGET}/redrive")).await;
    assert_eq!(elsewhere["status"], 404, "those reactors do not run in this process");
}

#[tokio::test]
async fn an_aggregates_letters_come_page_by_page_in_order() {
    let (one, other) = (support::fresh().remove(0), support::fresh().remove(0));
    let url = serve(&[&one, &other], 1).await;
    let database = other.open().await;
    let first = database.letters_of("members", TARGET).await.unwrap().remove(0);
    let letter = |offset: i64| projections::DeadLetterRow { id: format!("members@members/0/{offset}"), offset, ..first.clone() };
    database.park((2..=11).map(letter).collect()).await.unwrap();
    for (reader, expected) in [
        ("members", (1..=11).map(|offset| format!("members@members/0/{offset}")).collect::<Vec<_>>()),
        ("send-card", [5, 6].into_iter().flat_map(|offset| [0, 1].map(|number| format!("e-{offset}/send-card/{number}"))).collect()),
    ] {
        let path = format!("{url}/dead-letters/members/{reader}/{TARGET}");
        for limit in [1, 3, 50] {
            let (mut seen, mut after) = (Vec::new(), String::new());
            while seen.len() <= expected.len() {
                let page = get(&format!("{path}?limit={limit}{after}")).await;
                seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
                match page["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
            }
            assert_eq!(seen, expected, "by {limit}");
        }
        let foreign = get(&format!("{url}/dead-letters?limit=1")).await["next"].as_str().unwrap().to_owned();
        assert_eq!(get(&format!("{path}?after={foreign}")).await["errors"][0]["field"], "after");
    }
}

#[tokio::test]
async fn a_record_is_taken_up_before_those_behind_it() {
    let (one, other) = (support::fresh().remove(0), support::fresh().remove(0));
    let url = serve(&[&one, &other], 1).await;
    let database = other.open().await;
    let first = database.letters_of("members", TARGET).await.unwrap().remove(0);
    database.park(vec![projections::DeadLetterRow { id: "behind".into(), offset: 7, ..first }]).await.unwrap();
    let refused = post(&format!("{url}/dead-letters/members/members/{TARGET}/redrive?letter=behind")).await;
    assert_eq!((&refused["status"], &refused["errors"][0]["field"]), (&400.into(), &"letter".into()));
    assert!(refused["detail"].as_str().unwrap().contains("members@members/0/1"), "{refused}");
}

#[tokio::test]
async fn a_drop_names_its_letter_and_a_repeat_takes_nothing_else_away() {
    let (one, other) = (support::fresh().remove(0), support::fresh().remove(0));
    let url = serve(&[&one, &other], 1).await;
    let errands = format!("{url}/dead-letters/members/send-card/{TARGET}");
    let records = format!("{url}/dead-letters/members/members/{TARGET}");
    for path in [&errands, &records] {
        let unnamed = post(&format!("{path}/drop")).await;
        assert_eq!((&unnamed["status"], &unnamed["errors"][0]["field"]), (&400.into(), &"letter".into()));
        let how = unnamed["detail"].as_str().unwrap();
        assert!(how.contains(path.strip_prefix(&url).unwrap()), "it says where to look: {how}");
    }
    for (path, id, left) in [(&errands, "e-5/send-card/1", 3), (&records, "members@members/0/1", 0)] {
        let dropped = post(&format!("{path}/drop?letter={id}")).await;
        assert_eq!(dropped, json!({ "dropped": id, "left": left }));
        assert_eq!(post(&format!("{path}/drop?letter={id}")).await["status"], 404, "{id}");
        assert_eq!(get(path).await["items"].as_array().unwrap().len(), left, "{id}");
    }
    assert_eq!(post(&format!("{errands}/drop?letter=e-5/send-card/2")).await["status"], 404, "it is tried on");
    assert_eq!(post(&format!("{records}/drop?letter=e-5/send-card/0")).await["status"], 404, "it is another reader's");
}

#[tokio::test]
async fn reactions_are_redriven_one_by_one_or_all() {
    let (one, other) = (support::fresh().remove(0), support::fresh().remove(0));
    let url = serve(&[&one, &other], 1).await;
    let path = format!("{url}/dead-letters/members/send-card/{TARGET}");
    let named = post(&format!("{path}/redrive?letter=e-6/send-card/0")).await;
    assert_eq!(named, json!({ "redriven": 0, "left": 1, "stopped_by": "no such street" }));
    let named = post(&format!("{path}/redrive?letter=e-6/send-card/1")).await;
    assert_eq!(named, json!({ "redriven": 1, "left": 0, "stopped_by": null }));
    let all = post(&format!("{path}/redrive")).await;
    assert_eq!(all, json!({ "redriven": 1, "left": 2, "stopped_by": "no such street" }));
    assert_eq!(get(&path).await["items"].as_array().unwrap().len(), 2);
}
