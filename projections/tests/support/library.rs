//! A small library of our own, so that the suite tests the engine and nothing of the shop: members, books, and four views.

use codec::{Codecs, RecordSchema, RecordSet, Schemas};
use event_sourcing::{Aggregate, Command, Intent, Position, Recorded, Refusal, Timestamp};
use projections::{Column, Table, TableSpec, View};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    pub name: String,
    pub email: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Renamed {
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Left {}

event_sourcing::events! {
    /// The events of a member.
    pub enum MemberEvent in "members", "library.member" {
        Joined(Joined),
        Renamed(Renamed),
        Left(Left),
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Price {
    pub amount: i64,
    pub currency: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    pub title: String,
    pub price: Price,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Received {
    pub count: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lent {
    pub member: String,
    pub count: i64,
}

event_sourcing::events! {
    /// The events of a book.
    pub enum BookEvent in "books", "library.book" {
        Listed(Listed),
        Received(Received),
        Lent(Lent),
    }
}

static RECORDS: LazyLock<RecordSet> = LazyLock::new(|| {
    let record = |id, text| RecordSchema { id, text };
    RecordSet::parse(&[
        record(
            2,
            r#"{"type":"record","name":"Joined","namespace":"library.member","fields":[{"name":"name","type":"string"},{"name":"email","type":"string"}]}"#,
        ),
        record(3, r#"{"type":"record","name":"Renamed","namespace":"library.member","fields":[{"name":"name","type":"string"}]}"#),
        record(4, r#"{"type":"record","name":"Left","namespace":"library.member","fields":[]}"#),
        record(
            5,
            r#"{"type":"record","name":"Listed","namespace":"library.book","fields":[{"name":"title","type":"string"},{"name":"price","type":
            {"type":"record","name":"Price","fields":[{"name":"amount","type":"long"},{"name":"currency","type":"string"}]}}]}"#,
        ),
        record(6, r#"{"type":"record","name":"Received","namespace":"library.book","fields":[{"name":"count","type":"long"}]}"#),
        record(
            7,
            r#"{"type":"record","name":"Lent","namespace":"library.book","fields":[{"name":"member","type":"string"},{"name":"count","type":"long"}]}"#,
        ),
    ])
});

/// The codecs of the library's events.
pub fn codecs() -> Codecs {
    Codecs::new(Schemas::bundled(&RECORDS)).with::<Member>().with::<Book>()
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Member;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum MemberCommand {
    Join { name: String, email: String },
    Rename { name: String },
}

#[derive(Debug, thiserror::Error)]
#[error("never")]
pub struct Never;

impl Refusal for Never {
    fn code(&self) -> &'static str {
        "never"
    }
}

impl Command for MemberCommand {
    fn intent(&self) -> Intent {
        match self {
            Self::Join { name, email } => Intent::of("join").with("name", name).with("email", email),
            Self::Rename { name } => Intent::of("rename").with("name", name),
        }
    }
}

impl Aggregate for Member {
    const NAME: &'static str = "member";
    const FOLD: u64 = 1;
    type Command = MemberCommand;
    type Event = MemberEvent;
    type Error = Never;

    fn handle(&self, command: MemberCommand) -> Result<Vec<MemberEvent>, Never> {
        Ok(vec![match command {
            MemberCommand::Join { name, email } => MemberEvent::Joined(Joined { name, email }),
            MemberCommand::Rename { name } => MemberEvent::Renamed(Renamed { name }),
        }])
    }

    fn apply(&mut self, _: &MemberEvent) {}
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Book;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Nothing;

impl Command for Nothing {
    fn intent(&self) -> Intent {
        Intent::of("nothing")
    }
}

impl Aggregate for Book {
    const NAME: &'static str = "book";
    const FOLD: u64 = 1;
    type Command = Nothing;
    type Event = BookEvent;
    type Error = Never;

    fn handle(&self, _: Nothing) -> Result<Vec<BookEvent>, Never> {
        Ok(Vec::new())
    }

    fn apply(&mut self, _: &BookEvent) {}
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberRow {
    pub member_id: Uuid,
    pub name: String,
    pub email: String,
    pub joined_at: Timestamp,
    pub version: u64,
}

impl Table for MemberRow {
    const SPEC: TableSpec = TableSpec {
        name: "members",
        key: "member_id",
        columns: &[
            Column::text("member_id"),
            Column::text("name"),
            Column::text("email"),
            Column::timestamp("joined_at"),
            Column::integer("version"),
        ],
        indexes: &[&["joined_at", "member_id"], &["name", "joined_at", "member_id"]],
    };
}

/// A row per member.
pub struct Members;

impl View for Members {
    const NAME: &'static str = "members";
    type Event = MemberEvent;
    type Key = Uuid;
    type Row = MemberRow;

    fn keys(event: &Recorded<MemberEvent>) -> impl Iterator<Item = Uuid> {
        std::iter::once(event.aggregate_id)
    }

    fn begins(event: &Recorded<MemberEvent>) -> bool {
        event.version == 1
    }

    fn apply(row: Option<MemberRow>, record: &Recorded<MemberEvent>) -> Option<MemberRow> {
        let row = match record.event.clone() {
            MemberEvent::Joined(Joined { name, email }) => {
                Some(MemberRow { member_id: record.aggregate_id, name, email, joined_at: record.time, version: 0 })
            }
            MemberEvent::Renamed(Renamed { name }) => row.map(|row| MemberRow { name, ..row }),
            MemberEvent::Left(Left {}) => row.map(|row| MemberRow { name: String::new(), email: String::new(), ..row }),
        };
        row.map(|row| MemberRow { version: record.version, ..row })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddressRow {
    pub member_id: Uuid,
    pub email: String,
}

impl Table for AddressRow {
    const SPEC: TableSpec =
        TableSpec { name: "addresses", key: "member_id", columns: &[Column::text("member_id"), Column::text("email")], indexes: &[] };
}

/// The addresses of those who have not left.
pub struct Addresses;

impl View for Addresses {
    const NAME: &'static str = "addresses";
    type Event = MemberEvent;
    type Key = Uuid;
    type Row = AddressRow;

    fn keys(event: &Recorded<MemberEvent>) -> impl Iterator<Item = Uuid> {
        std::iter::once(event.aggregate_id)
    }

    fn begins(event: &Recorded<MemberEvent>) -> bool {
        event.version == 1
    }

    fn apply(row: Option<AddressRow>, record: &Recorded<MemberEvent>) -> Option<AddressRow> {
        match record.event.clone() {
            MemberEvent::Joined(Joined { name: _, email }) => Some(AddressRow { member_id: record.aggregate_id, email }),
            MemberEvent::Renamed(_) => row,
            MemberEvent::Left(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BookRow {
    pub book_id: Uuid,
    pub title: String,
    pub price: Price,
    pub on_hand: i64,
    pub lent: i64,
    pub rare: bool,
    pub listed_at: Timestamp,
    pub version: u64,
}

impl Table for BookRow {
    const SPEC: TableSpec = TableSpec {
        name: "books",
        key: "book_id",
        columns: &[
            Column::text("book_id"),
            Column::text("title"),
            Column::json("price"),
            Column::integer("on_hand"),
            Column::integer("lent"),
            Column::boolean("rare"),
            Column::timestamp("listed_at"),
            Column::integer("version"),
        ],
        indexes: &[&["title", "book_id"]],
    };
}

/// A row per book.
pub struct Books;

impl View for Books {
    const NAME: &'static str = "books";
    type Event = BookEvent;
    type Key = Uuid;
    type Row = BookRow;

    fn keys(event: &Recorded<BookEvent>) -> impl Iterator<Item = Uuid> {
        std::iter::once(event.aggregate_id)
    }

    fn begins(event: &Recorded<BookEvent>) -> bool {
        event.version == 1
    }

    fn apply(row: Option<BookRow>, record: &Recorded<BookEvent>) -> Option<BookRow> {
        let row = match record.event.clone() {
            BookEvent::Listed(Listed { title, price }) => {
                let (book_id, listed_at) = (record.aggregate_id, record.time);
                Some(BookRow { book_id, title, price, on_hand: 0, lent: 0, rare: true, listed_at, version: 0 })
            }
            BookEvent::Received(Received { count }) => row.map(|row| BookRow { on_hand: row.on_hand + count, rare: false, ..row }),
            BookEvent::Lent(Lent { member: _, count }) => row.map(|row| BookRow { lent: row.lent + count, ..row }),
        };
        row.map(|row| BookRow { version: record.version, ..row })
    }
}

event_sourcing::union! {
    /// The events of which a member's story consists.
    pub enum StoryEvent { Member(MemberEvent), Book(BookEvent) }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoryRow {
    pub position: String,
    pub member: String,
    pub offset: i64,
}

impl Table for StoryRow {
    const SPEC: TableSpec = TableSpec {
        name: "stories",
        key: "position",
        columns: &[Column::text("position"), Column::text("member"), Column::integer("offset")],
        indexes: &[&["member", "position"]],
    };
}

/// A row per event that concerns a member, in whichever log.
pub struct Stories;

fn concerns(record: &Recorded<StoryEvent>) -> Option<String> {
    match &record.event {
        StoryEvent::Member(_) => Some(record.aggregate_id.to_string()),
        StoryEvent::Book(BookEvent::Lent(lent)) => Some(lent.member.clone()),
        StoryEvent::Book(BookEvent::Listed(_) | BookEvent::Received(_)) => None,
    }
}

impl View for Stories {
    const NAME: &'static str = "stories";
    type Event = StoryEvent;
    type Key = Position;
    type Row = StoryRow;

    fn keys(event: &Recorded<StoryEvent>) -> impl Iterator<Item = Position> {
        concerns(event).map(|_| event.position.clone()).into_iter()
    }

    fn begins(_: &Recorded<StoryEvent>) -> bool {
        true
    }

    fn apply(_: Option<StoryRow>, record: &Recorded<StoryEvent>) -> Option<StoryRow> {
        Some(StoryRow { position: record.position.to_string(), member: concerns(record)?, offset: record.position.offset })
    }
}

pub fn member(name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("member/{name}").as_bytes())
}

pub fn book(name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("book/{name}").as_bytes())
}

pub fn joined(name: &str) -> MemberEvent {
    MemberEvent::Joined(Joined { name: name.to_owned(), email: format!("{}@example.com", name.to_lowercase()) })
}

pub fn renamed(name: &str) -> MemberEvent {
    MemberEvent::Renamed(Renamed { name: name.to_owned() })
}

pub fn left() -> MemberEvent {
    MemberEvent::Left(Left {})
}

pub fn pence(amount: i64) -> Price {
    Price { amount, currency: "GBP".to_owned() }
}

pub fn listed(title: &str) -> BookEvent {
    BookEvent::Listed(Listed { title: title.to_owned(), price: pence(255) })
}

pub fn received(count: i64) -> BookEvent {
    BookEvent::Received(Received { count })
}

pub fn lent(to: Uuid, count: i64) -> BookEvent {
    BookEvent::Lent(Lent { member: to.to_string(), count })
}
