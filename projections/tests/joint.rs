//! Batches of several partitions, handed to the runner at once, in each kind of database.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/feed.rs"]
#[allow(dead_code)]
mod feed;
#[path = "support/library.rs"]
#[allow(dead_code)]
mod library;
mod support;

use event_sourcing::Position;
use event_store::{Batch, BatchError, BatchHandler, PartitionId};
use feed::Feed;
use futures::{future::join_all, poll};
use library::{BookRow, Books, Stories, book, codecs, joined, listed, member, received};
use projections::{
    Database, ErasedView, ViewRunner,
    audit::{Audit, AuditRow},
    erased,
};
use std::{
    pin::pin,
    time::{Duration, Instant},
};

/// The auditor's views under a name of the test's own, by which its transactions are counted.
async fn audit(name: &str, database: &Database) -> ViewRunner {
    ViewRunner::new(name, database.clone(), vec![erased::<Audit>()], codecs()).await.unwrap()
}

fn transactions(name: &str) -> f64 {
    let families = prometheus::gather();
    let counts =
        families.iter().filter(|family| family.name() == "daybook_views_transactions_total").flat_map(|family| family.get_metric());
    counts.filter(|count| count.get_label()[0].value() == name).map(|count| count.get_counter().get_value()).sum()
}

/// One member in each of so many partitions.
fn members(partitions: i32) -> Vec<Feed> {
    let feed = |partition| {
        let (mut log, name) = (Feed::new("members", partition), format!("U{partition}"));
        log.write(member(&name), 1, &joined(&name));
        log
    };
    (0..partitions).map(feed).collect()
}

async fn apply_at_once(views: &ViewRunner, batches: &[Batch]) -> Vec<Result<(), BatchError>> {
    join_all(batches.iter().map(|batch| views.apply(batch))).await
}

async fn is_audited(database: &Database, position: &Position) -> bool {
    database.row::<AuditRow>(&position.to_string()).await.unwrap().is_some()
}

#[tokio::test]
async fn what_comes_at_once_is_one_transaction() {
    for fresh in support::fresh() {
        let (database, name) = (fresh.open().await, format!("at-once-{}", fresh.kind));
        let (views, mut logs) = (audit(&name, &database).await, members(4));
        let first: Vec<_> = logs.iter_mut().map(Feed::batch).collect();
        assert!(apply_at_once(&views, &first).await.into_iter().all(|done| done.is_ok()), "{}", fresh.kind);
        let before = transactions(&name);
        for log in &mut logs {
            log.write(member("Ada"), 2, &joined("Ada")).write(member("Bob"), 3, &joined("Bob"));
        }
        let second: Vec<_> = logs.iter_mut().map(Feed::batch).collect();
        assert!(apply_at_once(&views, &second).await.into_iter().all(|done| done.is_ok()), "{}", fresh.kind);
        assert_eq!(transactions(&name) - before, 1.0, "{}", fresh.kind);
        for (log, batch) in logs.iter().zip(&second) {
            assert!(is_audited(&database, &log.end()).await, "{}", fresh.kind);
            assert_eq!(views.start(log.source()).await.unwrap(), batch.to, "{}", fresh.kind);
        }
        assert!(apply_at_once(&views, &second).await.iter().all(|again| matches!(again, Err(BatchError::Moved(_)))), "{}", fresh.kind);
    }
}

#[tokio::test]
async fn one_that_cannot_be_taken_keeps_no_other_from_being_taken() {
    for fresh in support::fresh() {
        let (database, name) = (fresh.open().await, format!("one-{}", fresh.kind));
        let (views, mut logs) = (audit(&name, &database).await, members(4));
        let batches: Vec<_> = logs.iter_mut().map(Feed::batch).collect();
        apply_at_once(&views, &batches).await.into_iter().for_each(|done| done.unwrap());
        // The second batch holds a broken record, the third leaves a record out, and another runner has applied the fourth.
        logs[1].write_bytes(member("U1"), 2, "library.member.Joined", b"nonsense".to_vec());
        logs[1].write(member("Eve"), 3, &joined("Eve"));
        logs[2].write(member("Ada"), 2, &joined("Ada")).write(member("Bob"), 2, &joined("Bob"));
        for log in [0, 3] {
            logs[log].write(member("Ada"), 2, &joined("Ada"));
        }
        let batches = [logs[0].batch(), logs[1].batch(), logs[2].between(2, 3), logs[3].batch()];
        audit(&name, &fresh.open().await).await.apply(&batches[3]).await.unwrap();
        let done = apply_at_once(&views, &batches).await;
        assert!(done[0].is_ok() && done[1].is_ok(), "{}: {done:?}", fresh.kind);
        assert!(matches!(done[2], Err(BatchError::Moved(_))) && matches!(done[3], Err(BatchError::Moved(_))), "{}: {done:?}", fresh.kind);
        assert!(is_audited(&database, &logs[0].end()).await && is_audited(&database, &logs[1].end()).await, "{}", fresh.kind);
        assert!(!is_audited(&database, &logs[2].end()).await, "{}", fresh.kind);
        let letters = |who| database.letters_of("audit", member(who));
        assert_eq!((letters("U1").await.unwrap().len(), letters("Eve").await.unwrap().len()), (1, 0), "{}", fresh.kind);
        for log in &mut logs[..2] {
            log.write(member("U1"), 4, &joined("U1"));
        }
        let batches = [logs[0].batch(), logs[1].batch()];
        apply_at_once(&views, &batches).await.into_iter().for_each(|done| done.unwrap());
        assert!(is_audited(&database, &logs[0].end()).await, "{}: another partition's", fresh.kind);
        assert_eq!(letters("U1").await.unwrap().len(), 2, "{}: it follows what was put aside", fresh.kind);
    }
}

#[tokio::test]
async fn views_that_stand_at_different_places_count_nothing_twice() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let keeping = async |views: Vec<ErasedView>| ViewRunner::new("some", database.clone(), views, codecs()).await.unwrap();
        let mut logs = [Feed::new("books", 0), Feed::new("books", 1)];
        for (log, name) in logs.iter_mut().zip(["a", "b"]) {
            log.write(book(name), 10, &listed("A")).write(book(name), 11, &received(9));
        }
        let both = keeping(vec![erased::<Books>(), erased::<Stories>()]).await;
        let goods = keeping(vec![erased::<Books>()]).await;
        for log in &logs {
            both.apply(&log.between(0, 1)).await.unwrap();
            goods.apply(&log.between(1, 2)).await.unwrap();
        }
        let batches = logs.each_ref().map(|log| log.between(1, 2));
        apply_at_once(&both, &batches).await.into_iter().for_each(|done| done.unwrap());
        for name in ["a", "b"] {
            let row: BookRow = database.row(&book(name).to_string()).await.unwrap().unwrap();
            assert_eq!(row.on_hand, 9, "{}: {name}", fresh.kind);
        }
    }
}

#[tokio::test]
async fn who_is_stopped_while_it_writes_for_others_leaves_them_none_the_worse() {
    for fresh in support::fresh() {
        let (database, name) = (fresh.open().await, format!("stopped-{}", fresh.kind));
        let (views, mut logs) = (audit(&name, &database).await, members(3));
        let batches: Vec<_> = logs.iter_mut().map(Feed::batch).collect();
        // Somebody waits for what the batches hold, so that the writer does not gather them.
        let places = [0, 1, 2].map(|partition| Position { service: "members".into(), partition, offset: 0 });
        let mut asked = pin!(join_all(places.iter().map(|place| database.wait_for(&["nobody"], place, Duration::from_secs(60)))));
        assert!(poll!(&mut asked).is_pending());
        let (mut first, mut last) = (pin!(views.apply(&batches[0])), pin!(views.apply(&batches[2])));
        {
            let mut stopped = pin!(views.apply(&batches[1]));
            assert!(poll!(&mut first).is_pending() && poll!(&mut stopped).is_pending() && poll!(&mut last).is_pending());
            first.await.unwrap();
            assert!(poll!(&mut stopped).is_pending(), "{}: it has begun to write for both", fresh.kind);
        }
        last.await.unwrap();
        assert!(is_audited(&database, &logs[2].end()).await, "{}", fresh.kind);
        views.apply(&batches[1]).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_stopped_reader_left_behind_and_its_successor_brings_again_is_counted_once() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = ViewRunner::new("books", database.clone(), vec![erased::<Books>()], codecs()).await.unwrap();
        let mut logs = [Feed::new("books", 0), Feed::new("books", 1)];
        for (log, name) in logs.iter_mut().zip(["a", "b"]) {
            log.write(book(name), 10, &listed("A"));
            views.apply(&log.batch()).await.unwrap();
            log.write(book(name), 11, &received(9));
        }
        let batches = logs.each_mut().map(Feed::batch);
        let mut first = pin!(views.apply(&batches[1]));
        assert!(poll!(&mut first).is_pending());
        {
            let mut stopped = pin!(views.apply(&batches[0]));
            assert!(poll!(&mut stopped).is_pending());
        }
        let (first, again) = tokio::join!(first, views.apply(&batches[0]));
        assert!(first.is_ok() && again.is_ok(), "{}: {first:?} {again:?}", fresh.kind);
        let row: BookRow = database.row(&book("a").to_string()).await.unwrap().unwrap();
        assert_eq!(row.on_hand, 9, "{}", fresh.kind);
    }
}

#[tokio::test]
async fn who_waits_for_a_view_does_not_wait_until_more_has_come() {
    const BATCHES: u32 = 30;
    let fresh = support::fresh().into_iter().next().unwrap();
    let database = fresh.open().await;
    let views = ViewRunner::new("books", database.clone(), vec![erased::<Books>()], codecs()).await.unwrap();
    let position = Position { service: "books".into(), partition: 0, offset: 0 };
    let waits = database.wait_for(&["nobody"], &position, Duration::from_secs(60));
    let mut waits = pin!(waits);
    assert!(poll!(&mut waits).is_pending());
    let mut log = Feed::new("books", 0);
    let began = Instant::now();
    for _ in 0..BATCHES {
        log.write(book("a"), 1, &received(1));
        views.apply(&log.batch()).await.unwrap();
    }
    let took = began.elapsed();
    assert!(took < Duration::from_millis(40) * BATCHES, "each is gathered for 40 ms: {took:?}");
    let source = PartitionId { service: "books".into(), partition: 0 };
    assert_eq!(views.start(&source).await.unwrap().next, i64::from(BATCHES) + 1);
}
