//! Checkpoints, in each kind of database.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

mod support;

use event_sourcing::{Cause, Context, Position, Recorded, Timestamp};
use event_store::{Batch, BatchError, Checkpoint, PartitionId, Passed};
use projections::{DatabaseError, DeadLetterRow};
use uuid::Uuid;

fn source() -> PartitionId {
    PartitionId { service: "orders".into(), partition: 3 }
}

fn batch(from: i64, to: i64, claim: Option<i64>) -> Batch {
    let (from, to) = (Checkpoint::new(from, None), Checkpoint::new(to, claim));
    Batch { source: source(), from, to, records: Vec::new(), passed: Passed::default() }
}

#[tokio::test]
async fn a_reader_begins_at_the_beginning_and_goes_on_where_it_stopped() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        assert_eq!(database.checkpoint("saga", &source()).await.unwrap(), Checkpoint::default(), "{}", fresh.kind);
        database.advance("saga", &batch(0, 7, Some(2))).await.unwrap();
        database.advance("saga", &batch(7, 9, None)).await.unwrap();
        database.close().await;
        let reopened = fresh.open().await;
        assert_eq!(reopened.checkpoint("saga", &source()).await.unwrap(), Checkpoint::new(9, None), "{}", fresh.kind);
        assert_eq!(reopened.checkpoint("other", &source()).await.unwrap(), Checkpoint::default(), "{}", fresh.kind);
    }
}

#[tokio::test]
async fn the_claim_of_the_run_is_kept_with_the_offset() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        database.advance("saga", &batch(0, 7, Some(2))).await.unwrap();
        assert_eq!(database.checkpoint("saga", &source()).await.unwrap(), Checkpoint::new(7, Some(2)), "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_checkpoint_that_somebody_moved_is_not_moved_again() {
    for fresh in support::fresh() {
        let (one, other) = (fresh.open().await, fresh.open().await);
        one.advance("saga", &batch(0, 7, None)).await.unwrap();
        for late in [batch(0, 7, None), batch(0, 3, None), batch(9, 12, None)] {
            let error = other.advance("saga", &late).await.unwrap_err();
            assert!(matches!(error, DatabaseError::Moved(ref moved) if *moved == source()), "{}: {error}", fresh.kind);
            assert!(matches!(BatchError::from(error), BatchError::Moved(_)));
        }
        assert_eq!(other.checkpoint("saga", &source()).await.unwrap().next, 7, "{}", fresh.kind);
    }
}

#[tokio::test]
async fn of_many_partitions_those_move_where_the_reader_stands_at_the_beginning_of_the_batch() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let in_partition = |partition, batch: Batch| Batch { source: PartitionId { partition, ..source() }, ..batch };
        for partition in [0, 1, 2] {
            database.advance("saga", &in_partition(partition, batch(0, 7, Some(2)))).await.unwrap();
            database.advance("other", &in_partition(partition, batch(0, 7, Some(2)))).await.unwrap();
        }
        let batches = [(0, batch(7, 9, Some(8))), (1, batch(6, 9, None)), (2, batch(7, 8, None)), (5, batch(0, 4, None))];
        let batches = batches.map(|(partition, batch)| in_partition(partition, batch));
        let mut moved = database.advance_all("saga", &batches).await.unwrap();
        moved.sort_unstable();
        assert_eq!(moved.iter().map(|source| source.partition).collect::<Vec<_>>(), [0, 2], "{}", fresh.kind);
        let stands = async |reader, partition| {
            let source = PartitionId { partition, ..source() };
            let Checkpoint { next, claim, anchor: _ } = database.checkpoint(reader, &source).await.unwrap();
            (next, claim)
        };
        assert_eq!((stands("saga", 0).await, stands("saga", 1).await), ((9, Some(8)), (7, Some(2))), "{}", fresh.kind);
        assert_eq!((stands("saga", 2).await, stands("saga", 5).await), ((8, None), (0, None)), "{}", fresh.kind);
        assert_eq!(stands("other", 0).await, (7, Some(2)), "{}", fresh.kind);
        assert!(database.advance_all("saga", &batches).await.unwrap().is_empty(), "{}", fresh.kind);
    }
}

#[tokio::test]
async fn what_is_put_aside_keeps_no_checkpoint_from_moving() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        database.advance("reactors", &batch(0, 7, None)).await.unwrap();
        let context = Context {
            position: Position { service: source().service, partition: source().partition, offset: 5 },
            aggregate_id: Uuid::nil(),
            version: 1,
            event_id: "e/0".into(),
            type_name: "t".into(),
            time: Timestamp(0),
            cause: Cause { actor: "a".into(), correlation_id: "c".into(), causation_id: None, traceparent: None },
        };
        let letter = DeadLetterRow::new("reactors", &Recorded::new(context, b"broken".to_vec().into()), "it is broken");
        database.park(vec![letter]).await.unwrap();
        assert_eq!(database.advance_all("reactors", &[batch(7, 9, None)]).await.unwrap(), [source()], "{}", fresh.kind);
    }
}

#[tokio::test]
async fn of_two_readers_at_once_one_moves_the_checkpoint() {
    for fresh in support::fresh() {
        let (one, other) = (fresh.open().await, fresh.open().await);
        let batch = batch(0, 7, None);
        let (a, b) = tokio::join!(one.advance("saga", &batch), other.advance("saga", &batch));
        assert!(a.is_ok() ^ b.is_ok(), "{}: {a:?} {b:?}", fresh.kind);
    }
}

#[tokio::test]
async fn an_address_of_no_database_is_refused() {
    for url in ["mysql://localhost/x", "orders.db", ""] {
        let error = projections::Database::open(url).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Url) && (url.is_empty() || !error.to_string().contains(url)), "{error}");
    }
}
