//! A library that lends books: a domain of its own on the engine, and nothing of the shop.

mod domain;

use axum::{Json, extract::State, response::Response};
use codec::{RecordSchema, RecordSet};
use command_api::{Body, Caller, Changed, Checks, PathId, PostHeaders, Problem, done};
use consumers::{Overdue, Reaction, Reactor};
use domain::{Book, BookCommand, BookEvent, Fine, Reader};
use event_sourcing::{AnyCommand, Recorded, Timestamp};
use event_store::{Aggregates, Execute};
use projections::{
    Column, Table, TableSpec, View,
    http::{Asked, ReadState},
};
use serde::{Deserialize, Serialize};
use std::{process::ExitCode, sync::Arc};
use system::{Service, System};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// A book on loan. Its row is removed once the book is given up.
#[derive(Serialize, Deserialize)]
struct Loan {
    book: Uuid,
    reader: Uuid,
    due_at: Timestamp,
}

impl Table for Loan {
    const SPEC: TableSpec = TableSpec {
        name: "loans",
        key: "book",
        columns: &[Column::text("book"), Column::text("reader"), Column::timestamp("due_at")],
        indexes: &[&["due_at", "book"]],
    };
}

struct Loans;

impl View for Loans {
    const NAME: &'static str = "loans";
    type Event = BookEvent;
    type Key = Uuid;
    type Row = Loan;

    fn keys(event: &Recorded<BookEvent>) -> impl Iterator<Item = Uuid> {
        std::iter::once(event.aggregate_id)
    }

    fn apply(_: Option<Loan>, record: &Recorded<BookEvent>) -> Option<Loan> {
        match &record.event {
            BookEvent::Lent(lent) => Some(Loan { book: record.aggregate_id, reader: lent.reader, due_at: lent.due_at }),
            BookEvent::Overdue(_) => None,
        }
    }
}

/// Fines a reader who did not bring a book back in time.
fn on_book(event: &Recorded<BookEvent>) -> Vec<Reaction> {
    match &event.event {
        BookEvent::Overdue(missed) => vec![Reaction::command::<Reader>("fine-reader", missed.reader, &Fine(event.aggregate_id))],
        BookEvent::Lent(_) => vec![],
    }
}

#[derive(Deserialize, utoipa::ToSchema)]
struct Lending {
    reader: Uuid,
    seconds: u32,
}

#[utoipa::path(post, path = "/books/{id}/loans", params(("id" = Uuid, Path), PostHeaders), request_body = Lending, responses(Changed))]
async fn lend(
    State(books): State<Arc<dyn Execute<Book>>>,
    PathId(id): PathId,
    caller: Caller,
    Body(body): Body<Lending>,
) -> Result<Response, Problem> {
    let mut checks = Checks::default();
    let id: Option<Uuid> = checks.id("id", &id);
    let (id, meta) = (checks.done(id)?, caller.meta());
    let due_at = meta.time.plus_millis(i64::from(body.seconds) * 1000);
    Ok(done(&id, books.execute(id, BookCommand::Lend { reader: body.reader, due_at }, meta).await))
}

#[utoipa::path(get, path = "/loans/{book}", params(("book" = Uuid, Path)), responses((status = 200, body = Object)))]
async fn loan(State(read): State<ReadState>, mut asked: Asked) -> Result<Json<Loan>, projections::Problem> {
    let book = asked.segment_id("book");
    asked.finish(&[])?;
    read.database().row(&book.to_string()).await?.map(Json).ok_or_else(|| projections::Problem::not_found("loan of book", book))
}

fn library() -> System {
    let records = RecordSet::parse(&[
        RecordSchema { id: 101, text: include_str!("../avro/BookLent.avsc") },
        RecordSchema { id: 102, text: include_str!("../avro/BookOverdue.avsc") },
        RecordSchema { id: 103, text: include_str!("../avro/ReaderFined.avsc") },
    ]);
    let lending =
        |books: &Aggregates| OpenApiRouter::new().routes(routes!(lend)).with_state(books.typed::<Book>().expect("it is declared"));
    let books = Service::of::<Book>().view::<Loans>().commands(lending).deadline::<Loans>("miss", &["due_at", "book"], |loan, now| {
        Overdue { due: loan.due_at, command: AnyCommand::to::<Book>(loan.book, &BookCommand::Miss { now }) }
    });
    let loans = |state| OpenApiRouter::new().routes(routes!(loan)).with_state(state);
    let readers = Service::of::<Reader>().reactors(vec![Reactor::of::<BookEvent>(on_book)]);
    System::new("lending-library", &records).service(books.queries(loans)).service(readers).audited()
}

fn main() -> ExitCode {
    system::main(&library())
}
