//! A letter that was dropped for good stays dropped, whoever reads the log again; redrives strand nothing and do each letter once.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/feed.rs"]
#[allow(dead_code)]
mod feed;
#[path = "support/library.rs"]
#[allow(dead_code)]
mod library;
#[path = "support/raw.rs"]
#[allow(dead_code)]
mod raw;
mod support;

use event_store::BatchHandler;
use feed::Feed;
use library::{MemberRow, Members, codecs, joined, member, renamed};
use parking_lot::Mutex;
use projections::{Database, DeadLetterRow, Redrive, ViewRunner, erased};
use std::time::{Duration, Instant};

async fn members(database: &Database) -> ViewRunner {
    ViewRunner::new("members", database.clone(), vec![erased::<Members>()], codecs()).await.unwrap()
}

async fn name_of(database: &Database, who: &str) -> Option<String> {
    database.row::<MemberRow>(&member(who).to_string()).await.unwrap().map(|row| row.name)
}

/// Bob joins, a record of his is broken, and he is renamed; Ada's record is good.
fn broken_in_the_middle() -> Feed {
    let mut log = Feed::new("members", 0);
    log.write(member("Bob"), 1, &joined("Bob")).write_bytes(member("Bob"), 2, "library.member.Renamed", vec![7]);
    log.write(member("Ada"), 3, &joined("Ada")).write(member("Bob"), 4, &renamed("Rob"));
    log
}

async fn offsets(database: &Database, reader: &str) -> Vec<i64> {
    database.letters_of(reader, member("Bob")).await.unwrap().iter().map(|letter| letter.offset).collect()
}

#[tokio::test]
async fn a_dropped_letter_is_gone_once_and_its_record_is_skipped_by_whoever_reads_it_again() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let (views, mut log) = (members(&database).await, broken_in_the_middle());
        views.apply(&log.batch()).await.unwrap();
        let first = database.letters_of("members", member("Bob")).await.unwrap().remove(0);
        assert!(database.drop_letter(&first.id).await.unwrap(), "{}", fresh.kind);
        assert!(!database.drop_letter(&first.id).await.unwrap(), "{}: a repeat drops nothing", fresh.kind);
        assert_eq!(offsets(&database, "members").await, [4], "{}: those behind it stay", fresh.kind);
        assert_eq!(views.redrive("members", member("Bob")).await.unwrap().redriven, 1, "{}", fresh.kind);
        // Everything is read again from the beginning, as another process would, by a runner that has never heard of the drop.
        raw::begin_anew(&fresh.url).await;
        let again = members(&fresh.open().await).await;
        for (from, to) in [(0, 2), (2, 4)] {
            again.apply(&broken_in_the_middle().between(from, to)).await.unwrap();
        }
        assert_eq!(offsets(&database, "members").await, [0; 0], "{}: nothing is put aside again", fresh.kind);
        assert_eq!(name_of(&database, "Bob").await.as_deref(), Some("Rob"), "{}: his later records count", fresh.kind);
        assert_eq!(name_of(&database, "Ada").await.as_deref(), Some("Ada"), "{}", fresh.kind);
    }
}

#[tokio::test]
async fn another_record_at_the_place_of_a_dropped_one_is_not_skipped() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let mut log = broken_in_the_middle();
        members(&database).await.apply(&log.batch()).await.unwrap();
        let first = database.letters_of("members", member("Bob")).await.unwrap().remove(0);
        database.drop_letter(&first.id).await.unwrap();
        raw::begin_anew(&fresh.url).await;
        let mut other = Feed::new("members", 0).named("another");
        other.write(member("Bob"), 1, &joined("Bob")).write(member("Bob"), 2, &renamed("Bobby"));
        members(&fresh.open().await).await.apply(&other.batch()).await.unwrap();
        assert_eq!(name_of(&database, "Bob").await.as_deref(), Some("Bobby"), "{}", fresh.kind);
    }
}

#[tokio::test]
async fn what_reactors_have_dropped_is_not_parked_anew_and_is_known_by_offset_and_event() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let mut log = broken_in_the_middle();
        let (batch, source) = (log.batch(), log.source().clone());
        let letter = |at: usize| DeadLetterRow::new("reactors", &batch.records[at], "it is broken");
        database.park_unless_dropped(letter(1)).await.unwrap();
        assert!(database.has_letters("reactors", member("Bob")).await.unwrap(), "{}", fresh.kind);
        assert!(!database.has_letters("reactors", member("Ada")).await.unwrap(), "{}", fresh.kind);
        assert!(database.drop_letter(&letter(1).id).await.unwrap(), "{}", fresh.kind);
        database.park_unless_dropped(letter(1)).await.unwrap();
        assert!(!database.has_letters("reactors", member("Bob")).await.unwrap(), "{}: it was dropped for good", fresh.kind);
        let dropped = fresh.open().await.dropped_by("reactors", &source).await.unwrap();
        assert_eq!(dropped, [(2, batch.records[1].event_id.clone())].into(), "{}", fresh.kind);
        database.park_unless_dropped(letter(3)).await.unwrap();
        assert_eq!(offsets(&database, "reactors").await, [4], "{}: another record is", fresh.kind);
    }
}

/// Bob's records at these places of the log, as letters of the reactors.
fn letters_of_bob() -> Vec<DeadLetterRow> {
    broken_in_the_middle().batch().records.iter().map(|record| DeadLetterRow::behind("reactors", record)).collect()
}

#[tokio::test]
async fn what_is_put_aside_while_its_aggregate_is_redriven_is_redriven_too() {
    for fresh in support::fresh() {
        let (database, node) = (fresh.open().await, fresh.open().await);
        let [first, broken, _, last] = <[DeadLetterRow; 4]>::try_from(letters_of_bob()).unwrap();
        database.park(vec![first]).await.unwrap();
        let taken = Mutex::new(Vec::new());
        let take_up = async |record: event_store::Counted| {
            let offset = record.position.offset;
            taken.lock().push(offset);
            // The next event of the aggregate comes in when this one is done, and before its letter is gone.
            let next = match offset {
                1 => node.park_behind(broken.clone()).await.unwrap(),
                2 => node.park_behind(last.clone()).await.unwrap(),
                _ => return Ok(()),
            };
            assert!(next, "{}: it waits behind the letter that is there still", fresh.kind);
            Ok(())
        };
        let redriven = database.redrive_each("reactors", member("Bob"), take_up).await.unwrap();
        assert_eq!((redriven.redriven, redriven.left, taken.lock().clone()), (3, 0, vec![1, 2, 4]), "{}", fresh.kind);
        assert!(!node.park_behind(last.clone()).await.unwrap(), "{}: what comes now flows", fresh.kind);
        assert!(!database.has_letters("reactors", member("Bob")).await.unwrap(), "{}", fresh.kind);
    }
}

#[tokio::test]
async fn two_redrives_at_once_do_each_letter_once() {
    for fresh in support::fresh() {
        let one = fresh.open().await;
        // On SQLite both are of one process; on PostgreSQL of two.
        let other = if fresh.kind == "sqlite" { one.clone() } else { fresh.open().await };
        let letters = letters_of_bob().into_iter().filter(|letter| letter.aggregate_id == member("Bob")).collect();
        one.park(letters).await.unwrap();
        let taken = Mutex::new(Vec::new());
        let take_up = async |record: event_store::Counted| {
            taken.lock().push(record.position.offset);
            tokio::time::sleep(Duration::from_millis(30)).await;
            Ok(())
        };
        let (a, b) =
            tokio::join!(one.redrive_each("reactors", member("Bob"), &take_up), other.redrive_each("reactors", member("Bob"), &take_up));
        assert_eq!((a.unwrap().redriven + b.unwrap().redriven, taken.lock().clone()), (3, vec![1, 2, 4]), "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_redrive_that_is_stopped_tells_what_it_did_and_a_letter_dropped_meanwhile_stays_dropped() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let letters: Vec<DeadLetterRow> = letters_of_bob().into_iter().filter(|letter| letter.aggregate_id == member("Bob")).collect();
        database.park(letters.clone()).await.unwrap();
        let take_up = async |record: event_store::Counted| match record.position.offset {
            1 => Ok(()),
            _ => {
                database.drop_letter(&letters[1].id).await.unwrap();
                Err("it is too much".to_owned())
            }
        };
        let stopped = database.redrive_each("reactors", member("Bob"), take_up).await.unwrap();
        assert_eq!((stopped.redriven, stopped.left, stopped.stopped_by.as_deref()), (1, 1, Some("it is too much")), "{}", fresh.kind);
        assert_eq!(offsets(&database, "reactors").await, [4], "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_view_that_is_redriven_while_new_events_come_strands_none() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = members(&database).await;
        let mut log = Feed::new("members", 0);
        log.write_bytes(member("Bob"), 1, "library.member.Joined", vec![7]).write(member("Bob"), 2, &renamed("Rob"));
        views.apply(&log.batch()).await.unwrap();
        let mut mended = Feed::new("members", 0);
        mended.write(member("Bob"), 1, &joined("Bob"));
        let mut letter = database.letters_of("members", member("Bob")).await.unwrap().remove(0);
        letter.record.payload = DeadLetterRow::new("members", &mended.batch().records[0], "").record.payload;
        database.park(vec![letter]).await.unwrap();
        log.write(member("Bob"), 3, &renamed("Bobby"));
        let batch = log.batch();
        let (a, b, applied) =
            tokio::join!(views.redrive("members", member("Bob")), views.redrive("members", member("Bob")), views.apply(&batch));
        applied.unwrap();
        assert!((2..=3).contains(&(a.unwrap().redriven + b.unwrap().redriven)), "{}", fresh.kind);
        // The new event came before the redrive and went along, or after it and was applied; or between: then a redrive finds it.
        views.redrive("members", member("Bob")).await.unwrap();
        assert_eq!(name_of(&database, "Bob").await.as_deref(), Some("Bobby"), "{}", fresh.kind);
        assert_eq!(offsets(&database, "members").await, [0; 0], "{}", fresh.kind);
    }
}

#[tokio::test]
async fn the_letters_of_a_hundred_thousand_other_aggregates_slow_nobody_down() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = members(&database).await;
        let mut log = Feed::new("members", 0);
        log.write_bytes(member("Bob"), 1, "library.member.Joined", vec![7]).write(member("Ada"), 2, &joined("Ada"));
        views.apply(&log.batch()).await.unwrap();
        let without = time_of(&views, &mut log, &database).await;
        let letter = database.letters_of("members", member("Bob")).await.unwrap().remove(0);
        let other = |number: u128| {
            let (id, aggregate_id) = (format!("other@{number}"), uuid::Uuid::from_u128(number));
            DeadLetterRow { id, aggregate_id, ..letter.clone() }
        };
        for from in (0..100_000).step_by(10_000) {
            database.park((from..from + 10_000).map(other).collect()).await.unwrap();
        }
        let with = time_of(&views, &mut log, &database).await;
        eprintln!("{}: 50 batches and 50 questions took {without:?} without the letters, {with:?} with them", fresh.kind);
        // Were all letters of the partition read for each batch, SQLite would take some 19 s.
        assert!(with < without * 10 + Duration::from_secs(2), "{}: {without:?} {with:?}", fresh.kind);
        assert_eq!(name_of(&database, "Bob").await, None, "{}: he is put aside still", fresh.kind);
    }
}

/// How long fifty batches of two aggregates take, one of which is put aside, and fifty questions.
async fn time_of(views: &ViewRunner, log: &mut Feed, database: &Database) -> Duration {
    let began = Instant::now();
    for number in 0..50 {
        log.write(member("Ada"), 3, &renamed(&format!("Ada {number}"))).write(member("Bob"), 4, &renamed("Rob"));
        let batch = log.batch();
        let end = log.end();
        let reached = async { database.wait_until_applied(&vec![erased::<Members>()].into(), &end, Duration::from_secs(20)).await };
        let (applied, reached) = tokio::join!(views.apply(&batch), reached);
        applied.unwrap();
        assert!(reached.unwrap());
        assert!(database.has_letters("members", member("Bob")).await.unwrap());
        assert!(!database.has_letters("members", member("Ada")).await.unwrap());
    }
    began.elapsed()
}
