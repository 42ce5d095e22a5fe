//! Dead letters over HTTP: what was put aside in the databases of this process, and taking it up again.

use super::{asked::Asked, page::PageParams, shown::shown};
use crate::{
    Database, DatabaseError, Filter, Order, Problem, Query, Redrive, Redriven,
    database::DeadLetterRow,
    http::page::{self, Page},
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use event_store::BatchError;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};
use utoipa_axum::{router::OpenApiRouter, routes};

/// A service's database, and who redrives the letters in it.
#[derive(Clone)]
pub struct LetterBox {
    /// The service's database.
    pub database: Database,
    /// Those of its readers that run in this process.
    pub redrivers: Vec<Arc<dyn Redrive>>,
}

impl LetterBox {
    fn redriver(&self, reader: &str) -> Option<&Arc<dyn Redrive>> {
        self.redrivers.iter().find(|redriver| redriver.readers().iter().any(|known| known == reader))
    }
}

/// The letter boxes of a process, by service.
pub(super) type Boxes = Arc<BTreeMap<&'static str, LetterBox>>;

/// The routes of the dead letters.
pub fn letter_routes(boxes: BTreeMap<&'static str, LetterBox>) -> OpenApiRouter {
    let open = OpenApiRouter::new().routes(routes!(letters)).routes(routes!(letters_of)).routes(routes!(redrive)).routes(routes!(drop_one));
    open.with_state(Arc::new(boxes))
}

/// A letter, and whose database it is in.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it only describes what a letter looks like")]
struct BoxedLetter {
    /// The service in whose database it is.
    database: String,
    #[schema(inline)]
    letter: DeadLetterRow,
}

/// The records that readers of this process's databases have put aside, the oldest first.
#[utoipa::path(get, path = "/dead-letters", tag = "dead letters",
    params(("database" = Option<String>, Query, description = "Only in this service's database"),
           ("reader" = Option<String>, Query, description = "Only of this view, or of `reactors`"), PageParams),
    responses((status = 200, body = Page<BoxedLetter>), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn letters(State(boxes): State<Boxes>, mut asked: Asked) -> Result<Response, Problem> {
    let names: Vec<&str> = boxes.keys().copied().collect();
    let only = asked.text("database");
    if only.as_ref().is_some_and(|only| !names.contains(&only.as_str())) {
        asked.refuse("database", format!("must be one of {}", names.join(", ")));
    }
    let filters: Vec<Filter> = asked.short_text("reader", 100).map(|reader| Filter::is("reader", reader)).into_iter().collect();
    let limit = page::limit(&mut asked);
    let after = asked.text("after").and_then(|text| page::uncursor(&text));
    asked.finish(&["database", "reader", "limit", "after"])?;
    let mut found: Vec<(Vec<Value>, Value)> = Vec::new();
    for (name, letter_box) in boxes.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == *name)) {
        found.extend(letters_in(name, &letter_box.database, filters.clone(), after.as_deref(), limit).await?);
    }
    found.sort_by(|(left, _), (right, _)| order(left).cmp(&order(right)));
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|(place, _)| page::cursor_of(place));
    let items: Vec<Value> = found.into_iter().map(|(_, letter)| letter).collect();
    Ok(page::respond(&asked.uri, items, next))
}

/// A letter's place among all: when it was put aside, its id, its database.
fn order(place: &[Value]) -> (i64, &str, &str) {
    let text = |index: usize| place.get(index).and_then(Value::as_str).unwrap_or_default();
    (place.first().and_then(Value::as_i64).unwrap_or_default(), text(1), text(2))
}

/// Letters of one database behind a place, one more than `limit` so that the end is seen.
async fn letters_in(
    name: &str,
    database: &Database,
    filters: Vec<Filter>,
    after: Option<&[Value]>,
    limit: u32,
) -> Result<Vec<(Vec<Value>, Value)>, Problem> {
    let after = after.filter(|place| place.len() == 3);
    let mut rows = twin(name, database, after).await?;
    let place = after.map(|place| place[..2].to_vec());
    let query = Query { filters, by: &["parked_at", "id"], order: Order::Rising, after: place, limit: limit + 1 };
    rows.extend(database.select::<DeadLetterRow>(&query).await?);
    let placed = |row: DeadLetterRow| {
        let place = vec![json!(row.parked_at), json!(row.id), json!(name)];
        Ok((place, boxed(name, &row)?))
    };
    rows.into_iter().map(placed).collect()
}

/// The letter of this database that has the moment and the id of a place in an earlier one: two services may put the same record aside.
async fn twin(name: &str, database: &Database, after: Option<&[Value]>) -> Result<Vec<DeadLetterRow>, Problem> {
    let Some([moment, id, earlier]) = after else { return Ok(Vec::new()) };
    if earlier.as_str().is_none_or(|earlier| name <= earlier) {
        return Ok(Vec::new());
    }
    let row: Option<DeadLetterRow> = database.row(id.as_str().unwrap_or_default()).await?;
    Ok(row.filter(|row| json!(row.parked_at) == *moment).into_iter().collect())
}

fn boxed(database: &str, row: &DeadLetterRow) -> Result<Value, Problem> {
    let letter = shown(row).map_err(DatabaseError::Row)?;
    Ok(json!({ "database": database, "letter": letter }))
}

/// Who is meant: `/{database}/{reader}/{aggregate}`.
fn meant<'a>(boxes: &'a Boxes, asked: &mut Asked) -> Result<(&'a LetterBox, String, uuid::Uuid), Problem> {
    let (database, reader) = (asked.segment("database").to_owned(), asked.segment("reader").to_owned());
    let aggregate = asked.segment_id("aggregate_id");
    asked.finish(&[])?;
    let letter_box = boxes.get(&*database).ok_or_else(|| Problem::not_found("database", &database))?;
    Ok((letter_box, reader, aggregate))
}

/// An aggregate's letters of one reader, in the log's order.
#[utoipa::path(get, path = "/dead-letters/{database}/{reader}/{aggregate_id}", tag = "dead letters",
    params(("database" = String, Path), ("reader" = String, Path), ("aggregate_id" = Uuid, Path)),
    responses((status = 200, body = Vec<DeadLetterRow>), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn letters_of(State(boxes): State<Boxes>, mut asked: Asked) -> Result<Response, Problem> {
    let (letter_box, reader, aggregate) = meant(&boxes, &mut asked)?;
    let rows = letter_box.database.letters_of(&reader, aggregate).await?;
    let shown: Vec<Value> = rows.iter().map(shown).collect::<Result<_, _>>().map_err(DatabaseError::Row)?;
    Ok(Json(shown).into_response())
}

/// Takes an aggregate's letters up in order, until one still cannot be taken. Asking again goes on from there.
#[utoipa::path(post, path = "/dead-letters/{database}/{reader}/{aggregate_id}/redrive", tag = "dead letters",
    params(("database" = String, Path), ("reader" = String, Path), ("aggregate_id" = Uuid, Path)),
    responses((status = 200, body = Redriven), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn redrive(State(boxes): State<Boxes>, mut asked: Asked) -> Result<Json<Redriven>, Problem> {
    let (letter_box, reader, aggregate) = meant(&boxes, &mut asked)?;
    let redriver = letter_box.redriver(&reader).ok_or_else(|| Problem::not_found("reader in this process", &reader))?;
    let redriven = redriver.redrive(&reader, aggregate).await.map_err(|error| match error {
        error @ (BatchError::Moved(_) | BatchError::Failed(_)) => Problem::unavailable(format!("not redriven, ask again: {error}")),
    })?;
    Ok(Json(redriven))
}

/// What a drop came to.
#[derive(serde::Serialize, utoipa::ToSchema)]
struct Dropped {
    /// The letter that is gone.
    dropped: String,
    /// Letters of the aggregate that are left; a redrive takes them up.
    left: usize,
}

/// Gives the first of an aggregate's letters up for good; those behind it stay, and a redrive takes them up.
#[utoipa::path(post, path = "/dead-letters/{database}/{reader}/{aggregate_id}/drop", tag = "dead letters",
    params(("database" = String, Path), ("reader" = String, Path), ("aggregate_id" = Uuid, Path)),
    responses((status = 200, body = Dropped), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn drop_one(State(boxes): State<Boxes>, mut asked: Asked) -> Result<Json<Dropped>, Problem> {
    let (letter_box, reader, aggregate) = meant(&boxes, &mut asked)?;
    let letters = letter_box.database.letters_of(&reader, aggregate).await?;
    let first = letters.first().ok_or_else(|| Problem::not_found("dead letter of aggregate", aggregate))?;
    tracing::warn!(id = first.id, reason = first.reason, "a dead letter is dropped");
    letter_box.database.unpark(vec![first.id.clone()]).await?;
    Ok(Json(Dropped { dropped: first.id.clone(), left: letters.len() - 1 }))
}
