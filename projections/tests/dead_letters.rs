//! What cannot be taken is put aside with its aggregate, in order; everything else flows; and it is taken up again.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/feed.rs"]
#[allow(dead_code)]
mod feed;
mod support;

use domain::user::{UserEvent, UserProfileChanged};
use event_store::{BatchHandler, Recorded};
use feed::{Feed, registered, user};
use projections::{
    Column, Database, DeadLetterRow, Redrive, Redriven, Table, TableSpec, View, ViewRunner, erased,
    views::users::{UserRow, Users},
};
use schemas::Schemas;
use serde::{Deserialize, Serialize};

fn renamed(name: &str) -> UserEvent {
    UserEvent::ProfileChanged(UserProfileChanged { email: None, name: Some(name.parse().unwrap()), address: None })
}

async fn users(database: &Database) -> ViewRunner {
    ViewRunner::with_views("users", database.clone(), vec![erased::<Users>()], Schemas::bundled()).await.unwrap()
}

async fn name_of(database: &Database, who: &str) -> Option<String> {
    database.row::<UserRow>(&user(who).to_string()).await.unwrap().and_then(|row| row.name)
}

async fn letters(database: &Database, reader: &str) -> Vec<(i64, bool)> {
    let letters = database.letters_of(reader, user("Bob").0).await.unwrap();
    letters.iter().map(|letter| (letter.offset, letter.reason.starts_with("waits behind"))).collect()
}

/// A log in which Bob's registration is broken, with what follows it, and Ada's is well.
fn broken_bob(bytes: Vec<u8>) -> Feed {
    let mut log = Feed::new("users", 0);
    log.write_bytes(user("Bob").0, 1, "daybook.user.UserRegistered", bytes).write(user("Ada").0, 2, &registered("Ada"));
    log.write(user("Bob").0, 3, &renamed("Robert")).write(user("Bob").0, 4, &renamed("Rob"));
    log
}

#[tokio::test]
async fn a_record_that_cannot_be_decoded_parks_its_aggregate_in_order_and_everything_else_flows() {
    let unknown_schema = [&[0][..], &i32::MAX.to_be_bytes(), b"body"].concat();
    for bytes in [b"nonsense".to_vec(), Vec::new(), unknown_schema] {
        for fresh in support::fresh() {
            let database = fresh.open().await;
            let views = users(&database).await;
            let mut log = broken_bob(bytes.clone());
            views.apply(&log.between(0, 3)).await.unwrap();
            views.apply(&log.between(3, 4)).await.unwrap();
            log.write(user("Ada").0, 5, &renamed("Countess"));
            views.apply(&log.between(4, 5)).await.unwrap();
            assert_eq!(letters(&database, "users").await, [(1, false), (3, true), (4, true)], "{}", fresh.kind);
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
        let views = users(&database).await;
        views.apply(&broken_bob(b"nonsense".to_vec()).batch()).await.unwrap();
        let still = views.redrive("users", user("Bob").0).await.unwrap();
        assert_eq!((still.redriven, still.left), (0, 3), "{}: {still:?}", fresh.kind);
        assert!(still.stopped_by.is_some_and(|why| why.contains("not framed")), "{}", fresh.kind);
        mend(&database).await;
        let done = views.redrive("users", user("Bob").0).await.unwrap();
        assert_eq!(done, Redriven { redriven: 3, left: 0, stopped_by: None }, "{}", fresh.kind);
        assert_eq!(name_of(&database, "Bob").await.as_deref(), Some("Rob"), "{}", fresh.kind);
        assert_eq!(views.redrive("users", user("Bob").0).await.unwrap(), Redriven::default(), "{}: nothing is taken twice", fresh.kind);
        let mut log = broken_bob(b"nonsense".to_vec());
        log.write(user("Bob").0, 5, &renamed("Bobby"));
        views.apply(&log.between(4, 5)).await.unwrap();
        assert_eq!(name_of(&database, "Bob").await.as_deref(), Some("Bobby"), "{}: what comes now flows", fresh.kind);
    }
}

/// As if a mended build could decode the record: its letter holds what was meant.
async fn mend(database: &Database) {
    let mut log = Feed::new("users", 0);
    log.write(user("Bob").0, 1, &registered("Bob"));
    let letter = DeadLetterRow::new("users", &log.batch().records[0], "to be mended");
    database.park(vec![letter]).await.unwrap();
}

#[tokio::test]
async fn a_letter_that_is_dropped_lets_those_behind_it_go_on() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = users(&database).await;
        let mut log = Feed::new("users", 0);
        log.write(user("Bob").0, 1, &registered("Bob")).write_bytes(user("Bob").0, 2, "daybook.user.UserProfileChanged", vec![7]);
        log.write(user("Bob").0, 3, &renamed("Rob"));
        views.apply(&log.batch()).await.unwrap();
        let first = database.letters_of("users", user("Bob").0).await.unwrap().remove(0);
        database.unpark(vec![first.id]).await.unwrap();
        assert_eq!(views.redrive("users", user("Bob").0).await.unwrap().redriven, 1, "{}", fresh.kind);
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
    type Event = UserEvent;
    type Key = domain::UserId;
    type Row = Seen;

    fn keys(event: &Recorded<UserEvent>) -> impl Iterator<Item = domain::UserId> {
        std::iter::once(domain::UserId(event.aggregate_id))
    }

    fn apply(row: Option<Seen>, event: &Recorded<UserEvent>) -> Option<Seen> {
        assert_ne!(event.aggregate_id, user("Bob").0, "Bob is too much");
        let count = row.map_or(1, |row| row.count + 1);
        Some(Seen { id: event.aggregate_id.to_string(), count })
    }
}

#[tokio::test]
async fn a_defect_in_one_view_parks_the_aggregate_there_and_not_in_the_others() {
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let both = vec![erased::<Defective>(), erased::<Users>()];
        let views = ViewRunner::with_views("both", database.clone(), both, Schemas::bundled()).await.unwrap();
        let mut log = Feed::new("users", 0);
        log.write(user("Ada").0, 1, &registered("Ada")).write(user("Bob").0, 2, &registered("Bob"));
        log.write(user("Ada").0, 3, &renamed("Countess")).write(user("Bob").0, 4, &renamed("Rob"));
        views.apply(&log.batch()).await.unwrap();
        assert_eq!(letters(&database, "defective").await, [(2, false), (4, true)], "{}", fresh.kind);
        let ada: Seen = database.row(&user("Ada").to_string()).await.unwrap().unwrap();
        assert_eq!((ada.count, name_of(&database, "Bob").await.as_deref()), (2, Some("Rob")), "{}", fresh.kind);
        assert_eq!(letters(&database, "users").await, [], "{}", fresh.kind);
    }
}
