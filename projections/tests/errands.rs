//! Errands beside the checkpoints, in each kind of database.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

mod support;

use event_sourcing::Timestamp;
use event_store::{Batch, Checkpoint, PartitionId, Passed};
use projections::{Database, DatabaseError, ErrandRow};
use serde_json::json;
use uuid::Uuid;

const READER: &str = "reactors";

fn source(partition: i32) -> PartitionId {
    PartitionId { service: "books".into(), partition }
}

fn batch(partition: i32, from: i64, to: i64) -> Batch {
    let at = |next| Checkpoint::new(next, None);
    Batch { source: source(partition), from: at(from), to: at(to), records: Vec::new(), passed: Passed::default() }
}

/// The first errand of the event at a place, between two aggregates.
fn errand(partition: i32, offset: i64, between: (u128, u128)) -> ErrandRow {
    ErrandRow {
        id: format!("{partition}-{offset}/remind/0"),
        reader: READER.into(),
        reactor: "remind".into(),
        kind: "a reminder".into(),
        number: 0,
        service: "books".into(),
        partition,
        offset,
        aggregate_id: Uuid::from_u128(between.1),
        source_aggregate: Uuid::from_u128(between.0),
        status: "waiting".into(),
        attempts: 1,
        tries: 2,
        since: Timestamp(5),
        due: Timestamp(offset * 10),
        reason: "the mail is down".into(),
        errand: json!({ "to": "ada", "lines": [1, 2] }),
    }
}

fn numbered(number: i64, row: ErrandRow) -> ErrandRow {
    ErrandRow { id: format!("{}+{number}", row.id), number, ..row }
}

/// A database in which these errands are put by.
async fn with(fresh: &support::Fresh, rows: Vec<ErrandRow>) -> Database {
    let database = fresh.open().await;
    database.advance_with(READER, &batch(0, 0, 1), rows).await.unwrap();
    database
}

/// Beyond this no pause reaches.
const LATEST: Timestamp = Timestamp(10_000);

async fn due(database: &Database, partitions: &[i32], now: i64) -> Vec<(i32, i64, i64)> {
    let sources: Vec<_> = partitions.iter().map(|partition| source(*partition)).collect();
    let due = database.due_errands(&sources, (Timestamp(now), LATEST), 100).await.unwrap();
    due.iter().map(|row| (row.partition, row.offset, row.number)).collect()
}

#[tokio::test]
async fn an_errand_comes_back_as_it_was_put_by() {
    for fresh in support::fresh() {
        let row = errand(0, 3, (1, 2));
        let database = with(&fresh, vec![row.clone()]).await;
        assert_eq!(database.errand(&row.id).await.unwrap(), Some(row), "{}", fresh.kind);
        assert_eq!(database.errand("another").await.unwrap(), None, "{}", fresh.kind);
    }
}

#[tokio::test]
async fn the_checkpoint_and_the_errands_move_together_or_not_at_all() {
    for fresh in support::fresh() {
        let database = with(&fresh, vec![errand(0, 0, (1, 1))]).await;
        let moved = database.advance_with(READER, &batch(0, 0, 4), vec![errand(0, 3, (1, 2))]).await.unwrap_err();
        assert!(matches!(moved, DatabaseError::Moved(ref at) if *at == source(0)), "{}: {moved}", fresh.kind);
        assert_eq!(database.errand_pairs(&source(0)).await.unwrap().len(), 1, "{}", fresh.kind);
        assert_eq!(database.checkpoint(READER, &source(0)).await.unwrap().next, 1, "{}", fresh.kind);
        database.advance_with(READER, &batch(0, 1, 4), vec![errand(0, 3, (1, 2))]).await.unwrap();
        assert_eq!(database.checkpoint(READER, &source(0)).await.unwrap().next, 4, "{}", fresh.kind);
        assert_eq!(database.errand_pairs(&source(0)).await.unwrap().len(), 2, "{}", fresh.kind);
    }
}

#[tokio::test]
async fn of_many_partitions_the_errands_of_those_that_moved_are_put_by() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        for partition in [0, 1, 2] {
            database.advance(READER, &batch(partition, 0, 7)).await.unwrap();
        }
        let batches = [batch(0, 7, 9), batch(1, 6, 9), batch(2, 7, 8)];
        let rows = vec![errand(0, 7, (1, 2)), errand(0, 8, (1, 2)), errand(1, 7, (3, 4)), errand(0, 7, (1, 2))];
        let mut moved = database.advance_all_with(READER, &batches, rows).await.unwrap();
        moved.sort_unstable();
        assert_eq!(moved, [source(0), source(2)], "{}", fresh.kind);
        let pair = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(database.errand_pairs(&source(0)).await.unwrap(), [pair; 2], "{}: one for each row", fresh.kind);
        assert_eq!(database.errand_pairs(&source(1)).await.unwrap(), [], "{}", fresh.kind);
        assert_eq!(database.advance_all_with(READER, &[batch(1, 7, 9)], Vec::new()).await.unwrap(), [source(1)], "{}", fresh.kind);
    }
}

#[tokio::test]
async fn what_was_written_by_a_clock_that_was_ahead_is_due_at_once() {
    for fresh in support::fresh() {
        let ahead = ErrandRow { due: Timestamp(3_600_000), ..errand(0, 3, (1, 2)) };
        let waits = ErrandRow { due: LATEST, ..errand(0, 2, (1, 3)) };
        let database = with(&fresh, vec![ahead, waits]).await;
        assert_eq!(due(&database, &[0], 29).await, [(0, 3, 0)], "{}: the other one's pause is not over", fresh.kind);
    }
}

#[tokio::test]
async fn what_is_due_and_stands_first_between_its_two_aggregates_is_found() {
    for fresh in support::fresh() {
        let rows = vec![
            errand(0, 3, (1, 2)),
            errand(0, 2, (1, 3)),
            errand(1, 4, (2, 2)),
            // Behind others between the same two: in a later place, and by its number.
            errand(0, 10, (1, 2)),
            numbered(1, errand(0, 2, (1, 3))),
        ];
        let database = with(&fresh, rows).await;
        assert_eq!(due(&database, &[0, 1], 1_000).await, [(0, 2, 0), (0, 3, 0), (1, 4, 0)], "{}: the longest due first", fresh.kind);
        assert_eq!(due(&database, &[0], 29).await, [(0, 2, 0)], "{}", fresh.kind);
        assert_eq!(due(&database, &[1, 7], 1_000).await, [(1, 4, 0)], "{}", fresh.kind);
        assert_eq!(database.due_errands(&[source(0), source(1)], (Timestamp(1_000), LATEST), 2).await.unwrap().len(), 2, "{}", fresh.kind);
        let other_kind = ErrandRow { kind: "a letter".into(), ..errand(1, 50, (8, 8)) };
        database.advance_with(READER, &batch(1, 0, 51), vec![other_kind]).await.unwrap();
        let of_each_kind = database.due_errands(&[source(0), source(1)], (Timestamp(1_000), LATEST), 1).await.unwrap();
        let found: Vec<_> = of_each_kind.iter().map(|row| (&*row.kind, row.offset)).collect();
        assert_eq!(found, [("a reminder", 2), ("a letter", 50)], "{}: no kind takes the places of another", fresh.kind);
        database.remove_errand("0-2/remind/0").await.unwrap();
        database.remove_errand("0-2/remind/0").await.unwrap();
        assert_eq!(due(&database, &[0], 1_000).await, [(0, 2, 1), (0, 3, 0)], "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_dead_errand_holds_back_those_behind_it_and_is_not_due() {
    for fresh in support::fresh() {
        let database = with(&fresh, vec![errand(0, 3, (1, 2)), errand(0, 10, (1, 2))]).await;
        let dead = ErrandRow { status: "dead".into(), reason: "it never will".into(), ..errand(0, 3, (1, 2)) };
        database.rewrite_errand(dead.clone()).await.unwrap();
        assert_eq!(due(&database, &[0], 1_000).await, [], "{}", fresh.kind);
        assert_eq!(database.dead_errands(None, None, 10).await.unwrap(), std::slice::from_ref(&dead), "{}", fresh.kind);
        assert_eq!(database.dead_errands(Some("another"), None, 10).await.unwrap(), [], "{}", fresh.kind);
        assert_eq!(database.dead_errands_of("remind", dead.aggregate_id).await.unwrap(), std::slice::from_ref(&dead), "{}", fresh.kind);
        assert_eq!(database.dead_errands_of("remind", dead.source_aggregate).await.unwrap(), [], "{}", fresh.kind);
        database.remove_errand(&dead.id).await.unwrap();
        assert_eq!(due(&database, &[0], 1_000).await, [(0, 10, 0)], "{}", fresh.kind);
    }
}

#[tokio::test]
async fn an_errand_that_is_gone_is_not_written_again() {
    for fresh in support::fresh() {
        let database = with(&fresh, Vec::new()).await;
        database.rewrite_errand(errand(0, 3, (1, 2))).await.unwrap();
        assert_eq!(database.errand_pairs(&source(0)).await.unwrap(), [], "{}", fresh.kind);
    }
}
