//! The domain of a library: books are lent, and given up once they are overdue; their readers are fined for that.
use event_sourcing::{Aggregate, Command, Intent, Rule, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BookLent {
    pub reader: Uuid,
    pub due_at: Timestamp,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BookOverdue {
    pub reader: Uuid,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReaderFined {
    pub book: Uuid,
}

event_sourcing::events! {
    pub enum BookEvent in "books", "library" { Lent(BookLent), Overdue(BookOverdue) }
}
event_sourcing::events! {
    pub enum ReaderEvent in "readers", "library" { Fined(ReaderFined) }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum BookCommand {
    Lend { reader: Uuid, due_at: Timestamp },
    Miss { now: Timestamp },
}

impl Command for BookCommand {
    fn intent(&self) -> Intent {
        match self {
            Self::Lend { reader, due_at: _ } => Intent::of("lend").with("reader", reader),
            Self::Miss { now: _ } => Intent::of("miss"),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fine(pub Uuid);

impl Command for Fine {
    fn intent(&self) -> Intent {
        Intent::of("fine").with("book", self.0)
    }
}

const IS_LENT: Rule = Rule { code: "book-is-lent", words: "the book is lent" };

#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Book(Option<BookLent>);

impl Aggregate for Book {
    const NAME: &'static str = "book";
    const FOLD: u64 = 1;
    type Command = BookCommand;
    type Event = BookEvent;
    type Error = Rule;

    fn handle(&self, command: BookCommand) -> Result<Vec<BookEvent>, Rule> {
        Ok(match (command, &self.0) {
            (BookCommand::Lend { .. }, Some(_)) => return Err(IS_LENT),
            (BookCommand::Lend { reader, due_at }, None) => vec![BookEvent::Lent(BookLent { reader, due_at })],
            (BookCommand::Miss { now }, Some(lent)) if lent.due_at <= now => vec![BookEvent::Overdue(BookOverdue { reader: lent.reader })],
            (BookCommand::Miss { .. }, _) => vec![],
        })
    }

    fn apply(&mut self, event: &BookEvent) {
        match event {
            BookEvent::Lent(lent) => self.0 = Some(lent.clone()),
            BookEvent::Overdue(_) => self.0 = None,
        }
    }
}

/// Somebody who borrows books, and how often they were fined.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Reader(u64);

impl Aggregate for Reader {
    const NAME: &'static str = "reader";
    const FOLD: u64 = 1;
    type Command = Fine;
    type Event = ReaderEvent;
    type Error = Rule;

    fn handle(&self, Fine(book): Fine) -> Result<Vec<ReaderEvent>, Rule> {
        Ok(vec![ReaderEvent::Fined(ReaderFined { book })])
    }

    fn apply(&mut self, ReaderEvent::Fined(_): &ReaderEvent) {
        self.0 += 1;
    }
}
