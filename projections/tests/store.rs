//! What the runner promises, in each kind of database.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/feed.rs"]
#[allow(dead_code)]
mod feed;
mod support;

use domain::Timestamp;
use event_store::{BatchError, BatchHandler, Checkpoint, PartitionId, Position};
use feed::{
    Feed, cancelled, gbp, line_reserved, listed, order, order_reserved, placed, product, received, registered, stock_reserved, user,
};
use projections::{
    Database, Filter, Order, Query, ViewRunner, due, email_of, erased,
    views::{
        audit::AuditRow,
        orders::{OrderRow, OrderStatus, Orders},
        products::ProductRow,
        timeline::{Timeline, TimelineRow},
    },
};
use schemas::{AnyEvent, Schemas};
use std::time::Duration;

async fn runner(service: &str, database: &Database) -> ViewRunner {
    ViewRunner::new(service, database.clone(), Schemas::bundled()).await.unwrap()
}

async fn orders(database: &Database) -> Vec<OrderRow> {
    let query = Query { filters: Vec::new(), by: &["order_id"], order: Order::Rising, after: None, limit: 2_000 };
    database.select(&query).await.unwrap()
}

async fn row(database: &Database, name: &str) -> Option<OrderRow> {
    database.row(&order(name).to_string()).await.unwrap()
}

#[tokio::test]
async fn a_batch_folds_many_events_of_many_aggregates_into_their_rows() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner("orders", &database).await;
        let mut log = Feed::new("orders", 0);
        log.write(order("a").0, 10, &placed("Ada", 10)).write(order("b").0, 11, &placed("Bob", 11));
        log.write(order("a").0, 12, &line_reserved()).write(order("a").0, 13, &order_reserved("Ada"));
        views.apply(&log.batch()).await.unwrap();
        let a = row(&database, "a").await.unwrap();
        assert_eq!((a.version, a.total, a.lines[0].unit_price.clone()), (3, Some(gbp(510)), Some(gbp(255))), "{}", fresh.kind);
        assert_eq!(row(&database, "b").await.unwrap().user_id, user("Bob"), "{}", fresh.kind);
        log.write(order("a").0, 14, &cancelled("Ada"));
        views.apply(&log.batch()).await.unwrap();
        let a = row(&database, "a").await.unwrap();
        assert_eq!((a.status, a.version, a.placed_at), (OrderStatus::Cancelled, 4, Timestamp(10)), "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_batch_of_many_rows_is_written_whole() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner("orders", &database).await;
        let mut log = Feed::new("orders", 0);
        let mut ids: Vec<_> = (0..1_001).map(|number| order(&number.to_string())).collect();
        for id in &ids {
            log.write(id.0, 10, &placed("Ada", 10));
        }
        views.apply(&log.batch()).await.unwrap();
        let rows = orders(&database).await;
        ids.sort_unstable_by_key(|id| id.0);
        assert_eq!(rows.iter().map(|row| row.order_id).collect::<Vec<_>>(), ids, "{}", fresh.kind);
    }
}

#[tokio::test]
async fn many_new_rows_and_many_old_ones_are_written_together() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner("orders", &database).await;
        let mut log = Feed::new("orders", 0);
        for round in 1..=3 {
            for number in 0..round * 100 {
                log.write(order(&number.to_string()).0, 10, &placed("Ada", 10));
            }
            views.apply(&log.batch()).await.unwrap();
            let mut versions: Vec<_> = orders(&database).await.iter().map(|row| row.version as usize).collect();
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
        let views = runner("orders", &database).await;
        let mut logs = [Feed::new("orders", 0), Feed::new("orders", 1)];
        for (log, by) in logs.iter_mut().zip(["Ada", "Bob"]) {
            for number in 0..300 {
                log.write(order(&number.to_string()).0, 10, &placed(by, 10));
            }
            views.apply(&log.batch()).await.unwrap();
            let owners: Vec<_> = orders(&database).await.iter().map(|row| row.user_id).collect();
            assert_eq!(owners, [user(by); 300], "{}", fresh.kind);
        }
        assert!(database.letters_of("orders", order("0").0).await.unwrap().is_empty(), "{}", fresh.kind);
    }
}

#[test]
fn rows_that_an_event_begins_are_not_looked_for() {
    let (mut log, events) = (Feed::new("orders", 0), [cancelled("Bob"), placed("Ada", 10), cancelled("Ada")]);
    log.write(order("b").0, 10, &placed("Bob", 10));
    log.batch();
    for (name, event) in ["b", "a", "a"].into_iter().zip(&events) {
        log.write(order(name).0, 10, event);
    }
    let records: Vec<_> = log.batch().records.iter().zip(events).map(|(record, event)| record.with(AnyEvent::Order(event))).collect();
    let read = erased::<Orders>().read(&records.iter().collect::<Vec<_>>());
    assert_eq!(read.keys(), [order("b").to_string()]);
    let mut changes = read.fold(Vec::new()).unwrap();
    assert_eq!((changes.count, changes.new), (1, 1), "nobody invents what was not found");
    let found = changes.written.next().unwrap().unwrap().to_string().replace(&order("a").to_string(), &order("b").to_string());
    let changes = erased::<Orders>().read(&records.iter().collect::<Vec<_>>()).fold(vec![found]).unwrap();
    assert_eq!((changes.count, changes.new), (2, 1));
    let written: Vec<_> = changes.written.map(|row| row.unwrap()["order_id"].clone()).collect();
    assert_eq!(written, [order("b").to_string(), order("a").to_string()], "what is new comes last, whatever its key");
}

#[tokio::test]
async fn every_kind_of_column_comes_back_as_it_went() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner("products", &database).await;
        let mut log = Feed::new("products", 3);
        log.write(product("a").0, 10, &listed("85123A")).write(product("a").0, 11, &received(i64::from(u16::MAX)));
        log.write(product("a").0, 12, &stock_reserved(order("o"), 5));
        views.apply(&log.batch()).await.unwrap();
        let row: ProductRow = database.row(&product("a").to_string()).await.unwrap().unwrap();
        assert_eq!((row.on_hand, row.reserved, row.available), (65535, 5, 65530), "{}", fresh.kind);
        assert_eq!((row.withdrawn, row.price, row.listed_at), (false, gbp(255), Timestamp(10)), "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_second_projector_writes_nothing_and_is_told_so() {
    for fresh in support::fresh() {
        let (one, other) = (fresh.open().await, fresh.open().await);
        let (first, second) = (runner("products", &one).await, runner("products", &other).await);
        let mut log = Feed::new("products", 0);
        log.write(product("a").0, 10, &listed("A")).write(product("a").0, 11, &received(7));
        let batch = log.batch();
        let (a, b) = tokio::join!(first.apply(&batch), second.apply(&batch));
        assert!(a.is_ok() ^ b.is_ok(), "{}: {a:?} {b:?}", fresh.kind);
        let again = second.apply(&batch).await.unwrap_err();
        assert!(matches!(again, BatchError::Moved(ref moved) if moved == log.source()), "{}: {again}", fresh.kind);
        let row: ProductRow = one.row(&product("a").to_string()).await.unwrap().unwrap();
        assert_eq!(row.on_hand, 7, "{}: the goods were received once", fresh.kind);
    }
}

#[tokio::test]
async fn after_a_restart_it_goes_on_where_rows_and_checkpoint_stand() {
    for fresh in support::fresh() {
        let mut log = Feed::new("products", 0);
        log.write(product("a").0, 10, &listed("A")).write(product("a").0, 11, &received(7));
        let database = fresh.open().await;
        runner("products", &database).await.apply(&log.batch()).await.unwrap();
        database.close().await;

        let database = fresh.open().await;
        let views = runner("products", &database).await;
        assert_eq!(views.start(log.source()).await.unwrap(), Checkpoint { next: 3, claim: Some(0) }, "{}", fresh.kind);
        let elsewhere = PartitionId { service: "products".into(), partition: 9 };
        assert_eq!(views.start(&elsewhere).await.unwrap(), Checkpoint::default(), "{}", fresh.kind);
        log.write(product("a").0, 12, &received(5));
        views.apply(&log.batch()).await.unwrap();
        let row: ProductRow = database.row(&product("a").to_string()).await.unwrap().unwrap();
        assert_eq!(row.on_hand, 12, "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_batch_with_a_gap_before_it_is_not_taken() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner("orders", &database).await;
        let mut log = Feed::new("orders", 0);
        log.write(order("a").0, 10, &placed("Ada", 10)).write(order("b").0, 11, &placed("Ada", 11));
        assert!(matches!(views.apply(&log.between(1, 2)).await, Err(BatchError::Moved(_))), "{}", fresh.kind);
        assert_eq!(row(&database, "b").await, None, "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_new_view_catches_up_and_the_others_keep_what_they_have() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let mut log = Feed::new("products", 0);
        let o = order("o");
        log.write(product("a").0, 10, &listed("A")).write(product("a").0, 11, &received(9)).write(
            product("a").0,
            12,
            &stock_reserved(o, 2),
        );
        runner("products", &database).await.apply(&log.batch()).await.unwrap();
        let both = [projections::views_of("products"), vec![erased::<Timeline>()]].concat();
        let views = ViewRunner::with_views("both", database.clone(), both, Schemas::bundled()).await.unwrap();
        assert_eq!(views.start(log.source()).await.unwrap(), Checkpoint::default(), "{}: the least counts", fresh.kind);
        log.write(product("a").0, 13, &stock_reserved(o, 3));
        views.apply(&log.between(0, 2)).await.unwrap();
        views.apply(&log.between(2, 4)).await.unwrap();
        let row: ProductRow = database.row(&product("a").to_string()).await.unwrap().unwrap();
        assert_eq!((row.on_hand, row.reserved), (9, 5), "{}: nothing was counted twice", fresh.kind);
        let query =
            Query { filters: vec![Filter::is("order_id", o.to_string())], by: &["position"], order: Order::Rising, after: None, limit: 10 };
        let rows: Vec<TimelineRow> = database.select(&query).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.offset).collect::<Vec<_>>(), [3, 4], "{}", fresh.kind);
    }
}

#[tokio::test]
async fn what_is_over_is_deleted() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner("orders", &database).await;
        let mut log = Feed::new("orders", 0);
        log.write(order("a").0, 10, &placed("Ada", 10)).write(order("b").0, 20, &placed("Ada", 20)).write(
            order("c").0,
            5,
            &placed("Ada", 5),
        );
        views.apply(&log.batch()).await.unwrap();
        let late = async |now| {
            let late = due(&database, Timestamp(now), 10).await.unwrap();
            late.iter().map(|deadline| deadline.order_id).collect::<Vec<_>>()
        };
        assert_eq!(late(900_004).await, [], "{}", fresh.kind);
        assert_eq!(late(900_010).await, [order("c"), order("a")], "{}", fresh.kind);
        log.write(order("a").0, 30, &cancelled("Ada")).write(order("d").0, 31, &placed("Ada", 1)).write(
            order("d").0,
            32,
            &cancelled("Ada"),
        );
        views.apply(&log.batch()).await.unwrap();
        assert_eq!(late(1_000_000).await, [order("c"), order("b")], "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_contact_is_found_until_its_account_is_closed() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner("notifications", &database).await;
        let mut log = Feed::new("users", 0);
        log.write(user("Ada").0, 1, &registered("Ada"));
        views.apply(&log.batch()).await.unwrap();
        let contact = email_of(&database, user("Ada")).await.unwrap().unwrap();
        assert_eq!((contact.email.as_str(), contact.name.as_str()), ("ada@example.com", "Ada"), "{}", fresh.kind);
        log.write(user("Ada").0, 2, &domain::user::UserEvent::Closed(domain::user::UserClosed { reason: None }));
        views.apply(&log.batch()).await.unwrap();
        assert_eq!(email_of(&database, user("Ada")).await.unwrap(), None, "{}", fresh.kind);
    }
}

#[tokio::test]
async fn partitions_are_read_side_by_side_and_the_audit_has_them_all() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner("audit", &database).await;
        let mut logs: Vec<Feed> = (0..4).map(|partition| Feed::new("users", partition)).collect();
        for (i, log) in logs.iter_mut().enumerate() {
            log.write(user(&format!("u{i}")).0, 1, &registered(&format!("U{i}")));
        }
        let batches: Vec<_> = logs.iter_mut().map(Feed::batch).collect();
        for done in futures::future::join_all(batches.iter().map(|batch| views.apply(batch))).await {
            done.unwrap();
        }
        let query = Query { filters: vec![], by: &["position"], order: Order::Falling, after: None, limit: 10 };
        let rows: Vec<AuditRow> = database.select(&query).await.unwrap();
        let positions: Vec<&str> = rows.iter().map(|row| &*row.position).collect();
        assert_eq!(positions, ["users/3/1", "users/2/1", "users/1/1", "users/0/1"], "{}", fresh.kind);
        assert_eq!(rows[0].event["email"], "u3@example.com", "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_waiter_wakes_when_the_position_is_applied_here_or_in_another_process() {
    for fresh in support::fresh() {
        let (ours, theirs) = (fresh.open().await, fresh.open().await);
        let views = runner("orders", &theirs).await;
        let mut log = Feed::new("orders", 1);
        log.write(order("a").0, 10, &placed("Ada", 10));
        let position = log.end();
        let batch = log.batch();
        let long = Duration::from_secs(20);
        let (seen_there, seen_here, applied) = tokio::join!(
            ours.wait_until_applied("orders", &position, long),
            theirs.wait_until_applied("orders", &position, long),
            views.apply(&batch)
        );
        applied.unwrap();
        assert!(seen_there.unwrap() && seen_here.unwrap(), "{}", fresh.kind);
        let next = Position { offset: position.offset + 1, ..position };
        assert!(!ours.wait_until_applied("orders", &next, Duration::from_millis(50)).await.unwrap(), "{}: not there yet", fresh.kind);
    }
}
