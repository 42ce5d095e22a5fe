//! Rows that many ask for at once, in each kind of database.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/feed.rs"]
#[allow(dead_code)]
mod feed;
mod support;

use domain::UserId;
use event_store::BatchHandler;
use feed::{Feed, registered, user};
use futures::future::join_all;
use projections::{Database, DatabaseError, ViewRunner, views::users::UserRow};
use schemas::Schemas;
use std::time::Duration;

/// Users in a view of theirs.
async fn with_users(fresh: &support::Fresh, names: &[String]) -> Database {
    let database = fresh.open().await;
    let views = ViewRunner::new("users", database.clone(), Schemas::bundled()).await.unwrap();
    let mut log = Feed::new("users", 0);
    for name in names {
        log.write(user(name).0, 1, &registered(name));
    }
    views.apply(&log.batch()).await.unwrap();
    database
}

async fn found(database: &Database, name: &str) -> Option<UserId> {
    database.row::<UserRow>(&user(name).to_string()).await.unwrap().map(|row| row.user_id)
}

#[tokio::test]
async fn each_is_answered_what_it_asked_for() {
    for fresh in support::fresh() {
        let names: Vec<String> = (0..40).map(|number| format!("U{number}")).collect();
        let database = with_users(&fresh, &names).await;
        let asked: Vec<&str> = (0..400).map(|number| if number % 7 == 0 { "nobody" } else { &names[number % 40] }).collect();
        let answers = join_all(asked.iter().map(|name| found(&database, name))).await;
        for (name, answer) in asked.into_iter().zip(answers) {
            assert_eq!(answer, (name != "nobody").then(|| user(name)), "{}", fresh.kind);
        }
    }
}

#[tokio::test]
async fn what_fails_for_one_fails_for_all_who_asked_with_it() {
    for fresh in support::fresh() {
        let database = with_users(&fresh, &["Ada".to_owned()]).await;
        database.close().await;
        let answers = join_all((0..10).map(|_| database.row::<UserRow>("a")));
        let answers = tokio::time::timeout(Duration::from_secs(20), answers).await.unwrap();
        assert!(answers.iter().all(|answer| matches!(answer, Err(DatabaseError::Sql(_)))), "{}", fresh.kind);
    }
}
