//! Dead letters over HTTP, of several databases at once.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/feed.rs"]
#[allow(dead_code)]
mod feed;
#[allow(dead_code)]
mod support;

use event_store::BatchHandler;
use feed::{Feed, registered, user};
use projections::{LetterBox, Redrive, ViewRunner, erased, letter_routes, views::users::Users};
use schemas::Schemas;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// Two services whose databases hold the same broken records, served on a port of the test's own.
async fn serve(fresh: &[&support::Fresh; 2], records: u128) -> (String, Vec<Arc<ViewRunner>>) {
    let (mut boxes, mut runners) = (BTreeMap::new(), Vec::new());
    for (name, fresh) in ["orders", "users"].into_iter().zip(fresh) {
        let database = fresh.open().await;
        let views = ViewRunner::with_views(name, database.clone(), vec![erased::<Users>()], Schemas::bundled()).await.unwrap();
        let mut log = Feed::new("users", 0);
        for id in 1..=records {
            log.write_bytes(uuid::Uuid::from_u128(id), 1, "daybook.user.UserRegistered", b"broken".to_vec());
        }
        log.write(user("Ada").0, 2, &registered("Ada"));
        views.apply(&log.batch()).await.unwrap();
        let views = Arc::new(views);
        runners.push(views.clone());
        boxes.insert(name, LetterBox { database, redrivers: vec![views as Arc<dyn Redrive>] });
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (router, _) = letter_routes(boxes).split_for_parts();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, runners)
}

async fn get(url: &str) -> Value {
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn letters_of_all_databases_are_listed_each_once_page_by_page() {
    let (one, other) = (support::fresh().remove(0), support::fresh().remove(0));
    let (url, _runners) = serve(&[&one, &other], 5).await;
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
        assert_eq!((count, seen.len()), (10, 10), "with pages of {limit}: {seen:?}");
    }
    let only = get(&format!("{url}/dead-letters?database=users&reader=users")).await;
    assert_eq!(only["items"].as_array().unwrap().len(), 5);
    assert_eq!(get(&format!("{url}/dead-letters?database=nobody")).await["errors"][0]["field"], "database");
}

#[tokio::test]
async fn an_aggregates_letters_are_shown_redriven_and_dropped() {
    let (one, other) = (support::fresh().remove(0), support::fresh().remove(0));
    let (url, _runners) = serve(&[&one, &other], 1).await;
    let path = format!("{url}/dead-letters/users/users/{}", uuid::Uuid::from_u128(1));
    let shown = get(&path).await;
    assert_eq!((shown.as_array().unwrap().len(), &shown[0]["offset"]), (1, &1.into()));
    let client = reqwest::Client::new();
    let post = async |what: &str| -> Value { client.post(format!("{path}/{what}")).send().await.unwrap().json().await.unwrap() };
    let still = post("redrive").await;
    assert_eq!((&still["redriven"], &still["left"]), (&0.into(), &1.into()));
    assert_eq!(post("drop").await["left"], 0);
    assert_eq!(post("drop").await["status"], 404, "there is none any more");
    let elsewhere = client.post(format!("{url}/dead-letters/users/reactors/{}/redrive", uuid::Uuid::from_u128(1))).send().await.unwrap();
    assert_eq!(elsewhere.status(), 404, "the reactors do not run in this process");
}
