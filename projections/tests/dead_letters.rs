//! A view puts a record that it cannot apply aside with its aggregate, in order; all other aggregates go on; and a redrive applies the
//! record.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/feed.rs"]
#[allow(dead_code)]
mod feed;
#[path = "support/library.rs"]
#[allow(dead_code)]
mod library;
mod support;

use event_sourcing::Recorded;
use event_store::BatchHandler;
use feed::Feed;
use library::{MemberEvent, MemberRow, Members, codecs, joined, member, renamed};
use projections::{Column, Database, DeadLetterRow, Redrive, Redriven, Table, TableSpec, View, ViewRunner, erased};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

async fn members(database: &Database) -> ViewRunner {
    ViewRunner::new("members", database.clone(), vec![erased::<Members>()], codecs()).await.unwrap()
}

async fn name_of(database: &Database, who: &str) -> Option<String> {
    database.row::<MemberRow>(&member(who).to_string()).await.unwrap().map(|row| row.name)
}

async fn letters(database: &Database, reader: &str) -> Vec<(i64, bool)> {
    let letters = database.letters_of(reader, member("Bob")).await.unwrap();
    letters.iter().map(|letter| (letter.offset, letter.reason.starts_with("waits behind"))).collect()
}

/// A log in which Bob's first record is broken and two good ones follow it, and Ada's record is good.
fn broken_bob(bytes: Vec<u8>) -> Feed {
    let mut log = Feed::new("members", 0);
    log.write_bytes(member("Bob"), 1, "library.member.Joined", bytes).write(member("Ada"), 2, &joined("Ada"));
    log.write(member("Bob"), 3, &renamed("Robert")).write(member("Bob"), 4, &renamed("Rob"));
    log
}

#[tokio::test]
async fn a_record_that_cannot_be_decoded_parks_its_aggregate_in_order_and_everything_else_flows() {
    let unknown_schema = [&[0][..], &i32::MAX.to_be_bytes(), b"body"].concat();
    for bytes in [b"nonsense".to_vec(), Vec::new(), unknown_schema] {
        for fresh in support::fresh() {
            let database = fresh.open().await;
            let views = members(&database).await;
            let mut log = broken_bob(bytes.clone());
            views.apply(&log.between(0, 3)).await.unwrap();
            views.apply(&log.between(3, 4)).await.unwrap();
            log.write(member("Ada"), 5, &renamed("Countess"));
            views.apply(&log.between(4, 5)).await.unwrap();
            assert_eq!(letters(&database, "members").await, [(1, false), (3, true), (4, true)], "{}", fresh.kind);
            assert_eq!(
                (name_of(&database, "Bob").await, name_of(&database, "Ada").await),
                (None, Some("Countess".into())),
                "{}",
                fresh.kind
            );
        }
    }
}

#[tokio::test]
async fn a_redrive_takes_them_up_in_order_once_they_can_be_taken() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = members(&database).await;
        views.apply(&broken_bob(b"nonsense".to_vec()).batch()).await.unwrap();
        let still = views.redrive("members", member("Bob")).await.unwrap();
        assert_eq!((still.redriven, still.left), (0, 3), "{}: {still:?}", fresh.kind);
        assert!(still.stopped_by.is_some_and(|why| why.contains("not framed")), "{}", fresh.kind);
        mend(&database).await;
        let done = views.redrive("members", member("Bob")).await.unwrap();
        assert_eq!(done, Redriven { redriven: 3, left: 0, stopped_by: None }, "{}", fresh.kind);
        assert_eq!(name_of(&database, "Bob").await.as_deref(), Some("Rob"), "{}", fresh.kind);
        assert_eq!(views.redrive("members", member("Bob")).await.unwrap(), Redriven::default(), "{}: nothing is taken twice", fresh.kind);
        let mut log = broken_bob(b"nonsense".to_vec());
        log.write(member("Bob"), 5, &renamed("Bobby"));
        views.apply(&log.between(4, 5)).await.unwrap();
        assert_eq!(name_of(&database, "Bob").await.as_deref(), Some("Bobby"), "{}: what comes now flows", fresh.kind);
    }
}

/// Overwrites the broken record's letter with a good record, as if a mended build could decode it.
async fn mend(database: &Database) {
    let mut log = Feed::new("members", 0);
    log.write(member("Bob"), 1, &joined("Bob"));
    let letter = DeadLetterRow::new("members", &log.batch().records[0], "to be mended");
    database.park(vec![letter]).await.unwrap();
}

#[tokio::test]
async fn a_letter_that_is_dropped_lets_those_behind_it_go_on() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = members(&database).await;
        let mut log = Feed::new("members", 0);
        log.write(member("Bob"), 1, &joined("Bob")).write_bytes(member("Bob"), 2, "library.member.Renamed", vec![7]);
        log.write(member("Bob"), 3, &renamed("Rob"));
        views.apply(&log.batch()).await.unwrap();
        let first = database.letters_of("members", member("Bob")).await.unwrap().remove(0);
        database.unpark(vec![first.id]).await.unwrap();
        assert_eq!(views.redrive("members", member("Bob")).await.unwrap().redriven, 1, "{}", fresh.kind);
        assert_eq!(name_of(&database, "Bob").await.as_deref(), Some("Rob"), "{}", fresh.kind);
    }
}

/// A view whose code has a defect: it panics on Bob.
struct Defective;

#[derive(Serialize, Deserialize)]
struct Seen {
    id: String,
    count: i64,
}

impl Table for Seen {
    const SPEC: TableSpec = TableSpec { name: "seen", key: "id", columns: &[Column::text("id"), Column::integer("count")], indexes: &[] };
}

impl View for Defective {
    const NAME: &'static str = "defective";
    type Event = MemberEvent;
    type Key = Uuid;
    type Row = Seen;

    fn keys(event: &Recorded<MemberEvent>) -> impl Iterator<Item = Uuid> {
        std::iter::once(event.aggregate_id)
    }

    fn apply(row: Option<Seen>, event: &Recorded<MemberEvent>) -> Option<Seen> {
        assert_ne!(event.aggregate_id, member("Bob"), "Bob is too much");
        let count = row.map_or(1, |row| row.count + 1);
        Some(Seen { id: event.aggregate_id.to_string(), count })
    }
}

#[tokio::test]
async fn a_defect_in_one_view_parks_the_aggregate_there_and_not_in_the_others() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let both = vec![erased::<Defective>(), erased::<Members>()];
        let views = ViewRunner::new("both", database.clone(), both, codecs()).await.unwrap();
        let mut log = Feed::new("members", 0);
        log.write(member("Ada"), 1, &joined("Ada")).write(member("Bob"), 2, &joined("Bob"));
        log.write(member("Ada"), 3, &renamed("Countess")).write(member("Bob"), 4, &renamed("Rob"));
        views.apply(&log.batch()).await.unwrap();
        assert_eq!(letters(&database, "defective").await, [(2, false), (4, true)], "{}", fresh.kind);
        let ada: Seen = database.row(&member("Ada").to_string()).await.unwrap().unwrap();
        assert_eq!((ada.count, name_of(&database, "Bob").await.as_deref()), (2, Some("Rob")), "{}", fresh.kind);
        assert_eq!(letters(&database, "members").await, [], "{}", fresh.kind);
    }
}
