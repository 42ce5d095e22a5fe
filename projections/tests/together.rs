//! Rows that many callers ask for at once, in each kind of database.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/feed.rs"]
#[allow(dead_code)]
mod feed;
#[path = "support/library.rs"]
#[allow(dead_code)]
mod library;
mod support;

use event_store::BatchHandler;
use feed::Feed;
use futures::future::join_all;
use library::{MemberRow, Members, codecs, joined, member};
use projections::{Database, DatabaseError, ViewRunner, erased};
use std::time::Duration;
use uuid::Uuid;

/// Members in a view of theirs.
async fn with_members(fresh: &support::Fresh, names: &[String]) -> Database {
    let database = fresh.open().await;
    let views = ViewRunner::new("members", database.clone(), vec![erased::<Members>()], codecs()).await.unwrap();
    let mut log = Feed::new("members", 0);
    for name in names {
        log.write(member(name), 1, &joined(name));
    }
    views.apply(&log.batch()).await.unwrap();
    database
}

async fn found(database: &Database, name: &str) -> Option<Uuid> {
    database.row::<MemberRow>(&member(name).to_string()).await.unwrap().map(|row| row.member_id)
}

#[tokio::test]
async fn each_is_answered_what_it_asked_for() {
    for fresh in support::fresh() {
        let names: Vec<String> = (0..40).map(|number| format!("U{number}")).collect();
        let database = with_members(&fresh, &names).await;
        let asked: Vec<&str> = (0..400).map(|number| if number % 7 == 0 { "nobody" } else { &names[number % 40] }).collect();
        let answers = join_all(asked.iter().map(|name| found(&database, name))).await;
        for (name, answer) in asked.into_iter().zip(answers) {
            assert_eq!(answer, (name != "nobody").then(|| member(name)), "{}", fresh.kind);
        }
    }
}

#[tokio::test]
async fn what_fails_for_one_fails_for_all_who_asked_with_it() {
    for fresh in support::fresh() {
        let database = with_members(&fresh, &["Ada".to_owned()]).await;
        database.close().await;
        let answers = join_all((0..10).map(|_| database.row::<MemberRow>("a")));
        let answers = tokio::time::timeout(Duration::from_secs(20), answers).await.unwrap();
        assert!(answers.iter().all(|answer| matches!(answer, Err(DatabaseError::Sql(_)))), "{}", fresh.kind);
    }
}

#[tokio::test]
async fn connections_that_were_used_for_rows_are_closed_with_the_others() {
    for fresh in support::fresh() {
        let database = with_members(&fresh, &["Ada".to_owned()]).await;
        join_all((0..20).map(|_| found(&database, "Ada"))).await;
        tokio::time::timeout(Duration::from_secs(20), database.close()).await.expect("nobody holds a connection");
    }
}

#[tokio::test]
async fn a_connection_that_died_unused_is_not_asked() {
    for fresh in support::fresh().into_iter().filter(|fresh| fresh.kind == "postgres") {
        let database = with_members(&fresh, &["Ada".to_owned()]).await;
        assert!(found(&database, "Ada").await.is_some());
        let (_, name) = fresh.url.rsplit_once('/').unwrap();
        let own = sqlx::PgPool::connect(&fresh.url).await.unwrap();
        let killing = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()";
        let killed = sqlx::query(killing).bind(name).fetch_all(&own).await.unwrap();
        assert!(!killed.is_empty());
        // A connection that was in use within the last second is not pinged.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert!(found(&database, "Ada").await.is_some());
    }
}
