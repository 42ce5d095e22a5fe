//! What the runner promises, in each kind of database.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/feed.rs"]
#[allow(dead_code)]
mod feed;
#[path = "support/library.rs"]
#[allow(dead_code)]
mod library;
mod support;

use event_sourcing::{Event, Position, Timestamp};
use event_store::{BatchError, BatchHandler, Checkpoint, PartitionId};
use feed::Feed;
use library::{
    AddressRow, Addresses, BookRow, Books, MemberRow, Members, Stories, StoryRow, book, codecs, joined, left, lent, listed, member, pence,
    received, renamed,
};
use projections::{
    Database, ErasedView, Filter, Order, Query, ViewRunner, Views,
    audit::{Audit, AuditRow},
    erased,
};
use std::time::Duration;

async fn runner(view: ErasedView, database: &Database) -> ViewRunner {
    ViewRunner::new(view.name(), database.clone(), vec![view.clone()], codecs()).await.unwrap()
}

async fn members(database: &Database) -> Vec<MemberRow> {
    let query = Query { filters: Vec::new(), by: &["member_id"], order: Order::Rising, after: None, limit: 2_000 };
    database.select(&query).await.unwrap()
}

async fn row(database: &Database, name: &str) -> Option<MemberRow> {
    database.row(&member(name).to_string()).await.unwrap()
}

async fn book_row(database: &Database, name: &str) -> BookRow {
    database.row(&book(name).to_string()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_batch_folds_many_events_of_many_aggregates_into_their_rows() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner(erased::<Members>(), &database).await;
        let mut log = Feed::new("members", 0);
        log.write(member("a"), 10, &joined("Ada")).write(member("b"), 11, &joined("Bob"));
        log.write(member("a"), 12, &renamed("Countess")).write(member("a"), 13, &renamed("Lovelace"));
        views.apply(&log.batch()).await.unwrap();
        let a = row(&database, "a").await.unwrap();
        assert_eq!((a.version, &*a.name, &*a.email), (3, "Lovelace", "ada@example.com"), "{}", fresh.kind);
        assert_eq!(row(&database, "b").await.unwrap().name, "Bob", "{}", fresh.kind);
        log.write(member("a"), 14, &left());
        views.apply(&log.batch()).await.unwrap();
        let a = row(&database, "a").await.unwrap();
        assert_eq!((&*a.name, a.version, a.joined_at), ("", 4, Timestamp(10)), "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_batch_of_many_rows_is_written_whole() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner(erased::<Members>(), &database).await;
        let mut log = Feed::new("members", 0);
        let mut ids: Vec<_> = (0..1_001).map(|number| member(&number.to_string())).collect();
        for id in &ids {
            log.write(*id, 10, &joined("Ada"));
        }
        views.apply(&log.batch()).await.unwrap();
        let rows = members(&database).await;
        ids.sort_unstable();
        assert_eq!(rows.iter().map(|row| row.member_id).collect::<Vec<_>>(), ids, "{}", fresh.kind);
    }
}

#[tokio::test]
async fn many_new_rows_and_many_old_ones_are_written_together() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner(erased::<Members>(), &database).await;
        let mut log = Feed::new("members", 0);
        for round in 1..=3 {
            for number in 0..round * 100 {
                log.write(member(&number.to_string()), 10, &joined("Ada"));
            }
            views.apply(&log.batch()).await.unwrap();
            let mut versions: Vec<_> = members(&database).await.iter().map(|row| row.version as usize).collect();
            versions.sort_unstable();
            let expected: Vec<_> = (1..=round).flat_map(|version| [version; 100]).collect();
            assert_eq!(versions, expected, "{}", fresh.kind);
        }
    }
}

#[tokio::test]
async fn many_rows_that_an_event_begins_replace_those_that_are_there_against_all_promises() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner(erased::<Members>(), &database).await;
        let mut logs = [Feed::new("members", 0), Feed::new("members", 1)];
        for (log, by) in logs.iter_mut().zip(["Ada", "Bob"]) {
            for number in 0..300 {
                log.write(member(&number.to_string()), 10, &joined(by));
            }
            views.apply(&log.batch()).await.unwrap();
            let owners: Vec<_> = members(&database).await.into_iter().map(|row| row.name).collect();
            assert_eq!(owners, [by; 300], "{}", fresh.kind);
        }
        assert!(database.letters_of("members", member("0")).await.unwrap().is_empty(), "{}", fresh.kind);
    }
}

#[test]
fn rows_that_an_event_begins_are_not_looked_for() {
    let (mut log, events) = (Feed::new("members", 0), [renamed("Bob"), joined("Ada"), renamed("Ada")]);
    log.write(member("b"), 10, &joined("Bob"));
    log.batch();
    for (name, event) in ["b", "a", "a"].into_iter().zip(&events) {
        log.write(member(name), 10, event);
    }
    let records: Vec<_> = log.batch().records.iter().zip(events).map(|(record, event)| record.with(event.into())).collect();
    let read = erased::<Members>().read(&records.iter().collect::<Vec<_>>());
    assert_eq!(read.keys(), [member("b").to_string()]);
    let mut changes = read.fold(Vec::new()).unwrap();
    assert_eq!((changes.count, changes.new), (1, 1), "nobody invents what was not found");
    let found = changes.written.next().unwrap().unwrap().to_string().replace(&member("a").to_string(), &member("b").to_string());
    let changes = erased::<Members>().read(&records.iter().collect::<Vec<_>>()).fold(vec![found]).unwrap();
    assert_eq!((changes.count, changes.new), (2, 1));
    let written: Vec<_> = changes.written.map(|row| row.unwrap()["member_id"].clone()).collect();
    assert_eq!(written, [member("b").to_string(), member("a").to_string()], "what is new comes last, whatever its key");
}

#[test]
fn a_view_shows_an_aggregate_as_its_events_make_it() {
    let mut log = Feed::new("members", 0);
    log.write(member("a"), 1_000, &joined("Ada")).write(member("a"), 2_000, &renamed("Countess"));
    let events =
        log.batch().records.iter().map(|record| record.with(codecs().decode("members", &record.event).unwrap())).collect::<Vec<_>>();
    let shown = erased::<Members>().as_of(&events).unwrap();
    assert_eq!((&shown["name"], &shown["joined_at"]), (&"Countess".into(), &"1970-01-01T00:00:01.000Z".into()));
    assert_eq!(erased::<Members>().as_of(&events[..1]).unwrap()["name"], "Ada");
    assert_eq!((erased::<Members>().as_of(&[]), erased::<Books>().as_of(&events)), (None, None), "none of its events");
}

#[test]
fn views_tell_whose_logs_they_read() {
    let views = Views::new(vec![erased::<Members>(), erased::<Stories>()]);
    assert_eq!((views.names_reading("members"), views.names_reading("books")), (vec!["members", "stories"], vec!["stories"]));
    assert_eq!(views.sources(&["members", "books", "desks"]), ["books", "members"]);
    assert_eq!(Views::new(vec![erased::<Audit>()]).sources(&["members", "desks"]), ["desks", "members"]);
    assert!(views.named("stories").is_some() && views.named("audit").is_none());
}

#[tokio::test]
async fn every_kind_of_column_comes_back_as_it_went() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner(erased::<Books>(), &database).await;
        let mut log = Feed::new("books", 3);
        log.write(book("a"), 10, &listed("Walden")).write(book("b"), 10, &listed("Emma"));
        log.write(book("a"), 11, &received(i64::from(u16::MAX))).write(book("a"), 12, &lent(member("Ada"), 5));
        views.apply(&log.batch()).await.unwrap();
        let row = book_row(&database, "a").await;
        assert_eq!((row.on_hand, row.lent, &*row.title), (65535, 5, "Walden"), "{}", fresh.kind);
        assert_eq!((row.rare, row.price, row.listed_at), (false, pence(255), Timestamp(10)), "{}", fresh.kind);
        assert!(book_row(&database, "b").await.rare, "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_second_projector_writes_nothing_and_is_told_so() {
    for fresh in support::fresh() {
        let (one, other) = (fresh.open().await, fresh.open().await);
        let (first, second) = (runner(erased::<Books>(), &one).await, runner(erased::<Books>(), &other).await);
        let mut log = Feed::new("books", 0);
        log.write(book("a"), 10, &listed("A")).write(book("a"), 11, &received(7));
        let batch = log.batch();
        let (a, b) = tokio::join!(first.apply(&batch), second.apply(&batch));
        assert!(a.is_ok() ^ b.is_ok(), "{}: {a:?} {b:?}", fresh.kind);
        let again = second.apply(&batch).await.unwrap_err();
        assert!(matches!(again, BatchError::Moved(ref moved) if moved == log.source()), "{}: {again}", fresh.kind);
        let row = book_row(&one, "a").await;
        assert_eq!(row.on_hand, 7, "{}: the goods were received once", fresh.kind);
    }
}

#[tokio::test]
async fn after_a_restart_it_goes_on_where_rows_and_checkpoint_stand() {
    for fresh in support::fresh() {
        let mut log = Feed::new("books", 0);
        log.write(book("a"), 10, &listed("A")).write(book("a"), 11, &received(7));
        let database = fresh.open().await;
        runner(erased::<Books>(), &database).await.apply(&log.batch()).await.unwrap();
        database.close().await;

        let database = fresh.open().await;
        let views = runner(erased::<Books>(), &database).await;
        assert_eq!(views.start(log.source()).await.unwrap(), Checkpoint::new(3, Some(0)), "{}", fresh.kind);
        let elsewhere = PartitionId { service: "books".into(), partition: 9 };
        assert_eq!(views.start(&elsewhere).await.unwrap(), Checkpoint::default(), "{}", fresh.kind);
        log.write(book("a"), 12, &received(5));
        views.apply(&log.batch()).await.unwrap();
        let row = book_row(&database, "a").await;
        assert_eq!(row.on_hand, 12, "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_batch_with_a_gap_before_it_is_not_taken() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner(erased::<Members>(), &database).await;
        let mut log = Feed::new("members", 0);
        log.write(member("a"), 10, &joined("Ada")).write(member("b"), 11, &joined("Ada"));
        assert!(matches!(views.apply(&log.between(1, 2)).await, Err(BatchError::Moved(_))), "{}", fresh.kind);
        assert_eq!(row(&database, "b").await, None, "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_new_view_catches_up_and_the_others_keep_what_they_have() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let (mut log, ada) = (Feed::new("books", 0), member("Ada"));
        log.write(book("a"), 10, &listed("A")).write(book("a"), 11, &received(9)).write(book("a"), 12, &lent(ada, 2));
        runner(erased::<Books>(), &database).await.apply(&log.batch()).await.unwrap();
        let both = vec![erased::<Books>(), erased::<Stories>()];
        let views = ViewRunner::new("both", database.clone(), both, codecs()).await.unwrap();
        assert_eq!(views.start(log.source()).await.unwrap(), Checkpoint::default(), "{}: the least counts", fresh.kind);
        log.write(book("a"), 13, &lent(ada, 3));
        views.apply(&log.between(0, 2)).await.unwrap();
        views.apply(&log.between(2, 4)).await.unwrap();
        let row = book_row(&database, "a").await;
        assert_eq!((row.on_hand, row.lent), (9, 5), "{}: nothing was counted twice", fresh.kind);
        let filters = vec![Filter::is("member", ada.to_string())];
        let query = Query { filters, by: &["position"], order: Order::Rising, after: None, limit: 10 };
        let rows: Vec<StoryRow> = database.select(&query).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.offset).collect::<Vec<_>>(), [3, 4], "{}", fresh.kind);
    }
}

#[tokio::test]
async fn what_is_over_is_deleted() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner(erased::<Addresses>(), &database).await;
        let mut log = Feed::new("members", 0);
        for name in ["Ada", "Bob", "Cid"] {
            log.write(member(name), 10, &joined(name));
        }
        views.apply(&log.batch()).await.unwrap();
        let found = async || {
            let query = Query { filters: Vec::new(), by: &["email"], order: Order::Rising, after: None, limit: 10 };
            let rows: Vec<AddressRow> = database.select(&query).await.unwrap();
            rows.into_iter().map(|row| row.email).collect::<Vec<_>>()
        };
        assert_eq!(found().await, ["ada@example.com", "bob@example.com", "cid@example.com"], "{}", fresh.kind);
        log.write(member("Ada"), 30, &left()).write(member("Dan"), 31, &joined("Dan")).write(member("Dan"), 32, &left());
        views.apply(&log.batch()).await.unwrap();
        assert_eq!(found().await, ["bob@example.com", "cid@example.com"], "{}", fresh.kind);
        assert_eq!(database.row::<AddressRow>(&member("Ada").to_string()).await.unwrap(), None, "{}", fresh.kind);
    }
}

#[tokio::test]
async fn partitions_are_read_side_by_side_and_the_audit_has_them_all() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner(erased::<Audit>(), &database).await;
        let mut logs: Vec<Feed> = (0..4).map(|partition| Feed::new("members", partition)).collect();
        for (i, log) in logs.iter_mut().enumerate() {
            log.write(member(&format!("u{i}")), 1, &joined(&format!("U{i}")));
        }
        let batches: Vec<_> = logs.iter_mut().map(Feed::batch).collect();
        for done in futures::future::join_all(batches.iter().map(|batch| views.apply(batch))).await {
            done.unwrap();
        }
        let query = Query { filters: vec![], by: &["position"], order: Order::Falling, after: None, limit: 10 };
        let rows: Vec<AuditRow> = database.select(&query).await.unwrap();
        let positions: Vec<&str> = rows.iter().map(|row| &*row.position).collect();
        assert_eq!(positions, ["members/3/1", "members/2/1", "members/1/1", "members/0/1"], "{}", fresh.kind);
        assert_eq!((&rows[0].event["email"], &*rows[0].aggregate), (&"u3@example.com".into(), "member"), "{}", fresh.kind);
        assert_eq!(rows[0].r#type, joined("Ada").type_name(), "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_waiter_wakes_when_the_position_is_applied_here_or_in_another_process() {
    for fresh in support::fresh() {
        let (ours, theirs) = (fresh.open().await, fresh.open().await);
        let known = Views::new(vec![erased::<Members>()]);
        let views = runner(erased::<Members>(), &theirs).await;
        let mut log = Feed::new("members", 1);
        log.write(member("a"), 10, &joined("Ada"));
        let position = log.end();
        let batch = log.batch();
        let long = Duration::from_secs(20);
        let (seen_there, seen_here, applied) = tokio::join!(
            ours.wait_until_applied(&known, &position, long),
            theirs.wait_until_applied(&known, &position, long),
            views.apply(&batch)
        );
        applied.unwrap();
        assert!(seen_there.unwrap() && seen_here.unwrap(), "{}", fresh.kind);
        let next = Position { offset: position.offset + 1, ..position };
        assert!(!ours.wait_until_applied(&known, &next, Duration::from_millis(50)).await.unwrap(), "{}: not there yet", fresh.kind);
    }
}
