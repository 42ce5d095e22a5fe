//! Dead letters over HTTP: lists the letters in this process's databases, redrives them and drops them.

use super::{
    Asked,
    letter::{Letter, Phase, letters_after, letters_of, letters_of_id, page_of},
    page::{self, Page, PageParams},
};
use crate::{Database, Problem, Redrive, Redriven};
use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::request::Parts,
    response::Response,
};
use event_store::BatchError;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// A service's database, and the readers that redrive the letters in it.
#[derive(Clone)]
pub struct LetterBox {
    /// The service's database.
    pub database: Database,
    /// The service's readers that run in this process.
    pub redrivers: Vec<Arc<dyn Redrive>>,
}

impl LetterBox {
    fn redriver(&self, reader: &str) -> Result<&Arc<dyn Redrive>, Problem> {
        if let Some(why) = self.database.building(reader) {
            return Err(Problem::building(why));
        }
        let found = self.redrivers.iter().find(|redriver| redriver.redrives(reader));
        found.ok_or_else(|| Problem::not_found("reader in this process", reader))
    }
}

/// The letter boxes of a process, by service.
type Boxes = Arc<BTreeMap<&'static str, LetterBox>>;

impl FromRequestParts<Boxes> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Boxes) -> Result<Self, Problem> {
        Self::of(parts).await
    }
}

/// The routes of the dead letters.
pub fn letter_routes(boxes: BTreeMap<&'static str, LetterBox>) -> OpenApiRouter {
    let open = OpenApiRouter::new().routes(routes!(letters)).routes(routes!(letters_of_aggregate));
    open.routes(routes!(redrive)).routes(routes!(drop_one)).with_state(Arc::new(boxes))
}

/// A letter, and the service in whose database it is.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it only describes what a letter looks like")]
struct BoxedLetter {
    /// The service in whose database it is.
    database: String,
    #[schema(inline)]
    letter: Letter,
}

/// The parameters of the list of letters.
struct Wanted {
    database: Option<String>,
    reader: Option<String>,
    limit: u32,
    /// What the cursors of this list are tied to.
    list: String,
    /// The place of the last letter of the page before: when it was put aside, its id, its database.
    after: Option<(Value, String, String)>,
}

impl Wanted {
    fn of(boxes: &Boxes, asked: &mut Asked) -> Result<Self, Problem> {
        let database = asked.text("database");
        if database.as_ref().is_some_and(|only| !boxes.contains_key(only.as_str())) {
            asked.refuse("database", format!("must be one of {}", boxes.keys().copied().collect::<Vec<_>>().join(", ")));
        }
        let reader = asked.short_text("reader", 100);
        let limit = page::limit(asked);
        let list = format!("dead-letters {database:?} {reader:?}");
        let after = asked.text("after").map(|text| page::uncursor(&list, &text).and_then(placed));
        if after == Some(None) {
            asked.refuse("after", page::AFTER_RULE);
        }
        asked.finish(&["database", "reader", "limit", "after"])?;
        Ok(Self { database, reader, limit, list, after: after.flatten() })
    }

    /// Letters of one database after the place; one more than the page shows, to tell whether there is a next page.
    async fn letters_in(&self, name: &str, database: &Database) -> Result<Vec<Letter>, Problem> {
        let mut letters = self.twins(name, database).await?;
        let after = self.after.as_ref().map(|(moment, id, _)| [moment.clone(), json!(id)]);
        let after = after.as_ref().map(|place| &place[..]);
        letters.extend(letters_after(database, self.reader.as_deref(), after, self.limit + 1).await?);
        Ok(letters)
    }

    /// The letter of this database that has the moment and the id of a place in an earlier one: two services may put the same record aside.
    async fn twins(&self, name: &str, database: &Database) -> Result<Vec<Letter>, Problem> {
        let Some((moment, id, earlier)) = &self.after else { return Ok(Vec::new()) };
        if name <= earlier.as_str() {
            return Ok(Vec::new());
        }
        let is_twin = |letter: &Letter| letter.place()[0] == *moment && self.reader.as_ref().is_none_or(|reader| *reader == letter.reader);
        Ok(letters_of_id(database, id).await?.into_iter().filter(is_twin).collect())
    }
}

/// A cursor's place: when the letter was put aside, its id, its database.
fn placed(cursor: Vec<Value>) -> Option<(Value, String, String)> {
    let [moment, id, database] = <[Value; 3]>::try_from(cursor).ok()?;
    moment.is_i64().then_some((moment, id.as_str()?.to_owned(), database.as_str()?.to_owned()))
}

/// The dead letters in this process's databases, the oldest first: records, and reactions that never succeeded.
#[utoipa::path(get, path = "/dead-letters", tag = "dead letters", extensions(("x-action" = json!("dead-letters.read"))),
    params(("database" = Option<String>, Query, description = "Only in this service's database"),
           ("reader" = Option<String>, Query, description = "Only of this view, of `reactors`, or of this reactor"), PageParams),
    responses((status = 200, body = Page<BoxedLetter>), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn letters(State(boxes): State<Boxes>, mut asked: Asked) -> Result<Response, Problem> {
    let wanted = Wanted::of(&boxes, &mut asked)?;
    let mut found: Vec<(&str, Letter)> = Vec::new();
    for (name, letter_box) in boxes.iter().filter(|(name, _)| wanted.database.as_ref().is_none_or(|only| only == *name)) {
        found.extend(wanted.letters_in(name, &letter_box.database).await?.into_iter().map(|letter| (*name, letter)));
    }
    found.sort_by(|left, right| order(left).cmp(&order(right)));
    let more = found.len() > wanted.limit as usize;
    found.truncate(wanted.limit as usize);
    let next =
        found.last().filter(|_| more).map(|(name, letter)| page::cursor_of(&wanted.list, [&letter.place()[..], &[json!(name)]].concat()));
    let items = found.iter().map(|(name, letter)| json!({ "database": name, "letter": letter })).collect();
    Ok(page::respond(&asked.uri, items, next))
}

/// A letter's place among all.
fn order<'a>((name, letter): &'a (&str, Letter)) -> (i64, &'a str, &'a str) {
    (letter.parked().0, &letter.key, name)
}

/// The letters that a path names, of one reader and one aggregate: `/{database}/{reader}/{aggregate_id}`.
struct Meant<'a> {
    letter_box: &'a LetterBox,
    reader: String,
    aggregate: Uuid,
    letters: Vec<Letter>,
}

impl<'a> Meant<'a> {
    async fn of(boxes: &'a Boxes, asked: &mut Asked, known: &[&str]) -> Result<Self, Problem> {
        let (database, reader) = (asked.segment("database").to_owned(), asked.segment("reader").to_owned());
        let aggregate = asked.segment_id("aggregate_id");
        asked.finish(known)?;
        let letter_box = boxes.get(&*database).ok_or_else(|| Problem::not_found("database", &database))?;
        let letters = letters_of(&letter_box.database, &reader, aggregate).await?;
        Ok(Self { letter_box, reader, aggregate, letters })
    }

    /// The letter of this id.
    fn letter(&self, id: &str) -> Result<&Letter, Problem> {
        self.letters.iter().find(|letter| letter.id == id).ok_or_else(|| Problem::not_found("dead letter", id))
    }

    fn errands(&self) -> impl Iterator<Item = &Letter> {
        self.letters.iter().filter(|letter| letter.is_errand())
    }

    fn first_record(&self) -> Option<&Letter> {
        self.letters.iter().find(|letter| !letter.is_errand())
    }
}

/// The letters of one reader and one aggregate, page by page: records in the log's order, then reactions in the order of their events.
#[utoipa::path(get, operation_id = "letters_of", path = "/dead-letters/{database}/{reader}/{aggregate_id}", tag = "dead letters", extensions(("x-action" = json!("dead-letters.read"))),
    params(("database" = String, Path), ("reader" = String, Path), ("aggregate_id" = Uuid, Path), PageParams),
    responses((status = 200, body = Page<Letter>), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn letters_of_aggregate(State(boxes): State<Boxes>, mut asked: Asked) -> Result<Response, Problem> {
    let (limit, reader, aggregate) = (page::limit(&mut asked), asked.segment("reader").to_owned(), asked.segment_id("aggregate_id"));
    let (database, list) = (asked.segment("database").to_owned(), format!("letters {reader} {aggregate}"));
    let after = asked.text("after").map(|text| page::uncursor(&list, &text).and_then(Phase::after));
    if matches!(after, Some(None)) {
        asked.refuse("after", page::AFTER_RULE);
    }
    asked.finish(&["limit", "after"])?;
    let letter_box = boxes.get(&*database).ok_or_else(|| Problem::not_found("database", &database))?;
    let from = after.flatten().unwrap_or(Phase::BEGINNING);
    let mut letters = page_of(&letter_box.database, (&reader, aggregate), from, limit + 1).await?;
    let more = letters.len() > limit as usize;
    letters.truncate(limit as usize);
    let next = letters.last().filter(|_| more).map(|letter| page::cursor_of(&list, letter.place_of_aggregate()));
    let items = letters.iter().map(|letter| json!(letter)).collect();
    Ok(page::respond(&asked.uri, items, next))
}

/// Redrives an aggregate's letters: its records in order, until one fails again, and each of its reactions; or the named one only. A
/// further request goes on from there.
#[utoipa::path(post, path = "/dead-letters/{database}/{reader}/{aggregate_id}/redrive", tag = "dead letters", extensions(("x-action" = json!("dead-letters.redrive"))),
    params(("database" = String, Path), ("reader" = String, Path), ("aggregate_id" = Uuid, Path),
           ("letter" = Option<String>, Query, description = "The id of one reaction, or of the first record: the records behind it are taken up with it")),
    responses((status = 200, body = Redriven), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn redrive(State(boxes): State<Boxes>, mut asked: Asked) -> Result<Json<Redriven>, Problem> {
    let named = asked.text("letter");
    let meant = Meant::of(&boxes, &mut asked, &["letter"]).await?;
    let redriver = meant.letter_box.redriver(&meant.reader)?;
    let redriven = match named.as_deref().map(|id| meant.letter(id)).transpose()? {
        Some(errand) if errand.is_errand() => redriver.redrive_errand(&errand.id).await,
        Some(record) => {
            first_of(&meant, record)?;
            redriver.redrive(&meant.reader, meant.aggregate).await
        }
        None => redrive_all(&**redriver, &meant).await,
    };
    Ok(Json(redriven.map_err(not_done)?))
}

/// Refuses a record that is not the aggregate's first one: records are redriven in order.
fn first_of(meant: &Meant<'_>, record: &Letter) -> Result<(), Problem> {
    match meant.first_record().filter(|first| first.id != record.id) {
        Some(first) => Err(Problem::field("letter", format!("must name the first of the aggregate's records, which is {}", first.id))),
        None => Ok(()),
    }
}

/// Redrives the records, and then each reaction. What was done before something failed is done: the answer counts it, and says what
/// stopped the rest.
async fn redrive_all(redriver: &dyn Redrive, meant: &Meant<'_>) -> Result<Redriven, BatchError> {
    let mut all = redriver.redrive(&meant.reader, meant.aggregate).await?;
    for (done, errand) in meant.errands().enumerate() {
        match redriver.redrive_errand(&errand.id).await {
            Ok(one) => all.add(one),
            Err(error) if all.redriven == 0 && done == 0 => return Err(error),
            Err(error) => {
                all.add(Redriven { redriven: 0, left: meant.errands().count() - done, stopped_by: Some(error.to_string()) });
                break;
            }
        }
    }
    Ok(all)
}

/// The outcome of a request of which nothing is known to be done: what was done before something failed is told with 200. A checkpoint that
/// another reader has moved rolls the first letter's transaction back. Where the database fails it may have done what it was asked for.
fn not_done(error: BatchError) -> Problem {
    match error {
        error @ BatchError::Moved(_) => Problem::unavailable(format!("no letter was redriven or dropped, ask again: {error}")),
        error @ BatchError::Failed(_) => {
            Problem::unknown(format!("it may have been done; the list of letters tells, and the same request may be sent again: {error}"))
        }
    }
}

/// The outcome of a drop.
#[derive(serde::Serialize, utoipa::ToSchema)]
struct Dropped {
    /// The letter that is gone.
    dropped: String,
    /// How many letters of the aggregate are left to be redriven or dropped.
    left: usize,
}

/// Drops one letter for good; the others stay, to be redriven or dropped. A repeat of the request is 404 and drops no other letter.
#[utoipa::path(post, operation_id = "drop_one", path = "/dead-letters/{database}/{reader}/{aggregate_id}/drop", tag = "dead letters", extensions(("x-action" = json!("dead-letters.drop"))),
    params(("database" = String, Path), ("reader" = String, Path), ("aggregate_id" = Uuid, Path),
           ("letter" = String, Query, description = "The id of the letter, as the list shows it")),
    responses((status = 200, body = Dropped), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn drop_one(State(boxes): State<Boxes>, mut asked: Asked) -> Result<Json<Dropped>, Problem> {
    let named = asked.text("letter");
    if named.is_none() {
        let letters = format!("/dead-letters/{}/{}/{}", asked.segment("database"), asked.segment("reader"), asked.segment("aggregate_id"));
        asked.refuse("letter", format!("must be the id of a letter: GET {letters} shows them"));
    }
    let meant = Meant::of(&boxes, &mut asked, &["letter"]).await?;
    let letter = meant.letter(&named.unwrap_or_default())?;
    let dropped = if letter.is_errand() {
        meant.letter_box.redriver(&meant.reader)?.drop_errand(&letter.id).await.map_err(not_done)?
    } else {
        meant.letter_box.database.drop_letter(&letter.key).await?
    };
    if !dropped {
        return Err(Problem::not_found("dead letter", &letter.id));
    }
    tracing::warn!(id = letter.id, reason = letter.reason, "a dead letter is dropped");
    Ok(Json(Dropped { dropped: letter.id.clone(), left: meant.letters.len() - 1 }))
}
