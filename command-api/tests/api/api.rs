//! Routes for notes, as a system would write them.

use crate::{
    note::{Note, NoteCommand, schemas},
    support::{
        hosts::{PARTITIONS, owned},
        served::Served,
    },
};
use axum::{extract::State, response::Response};
use command_api::{Body, Caller, Changed, Checks, Made, PathId, PostHeaders, Problem, created, done, edge::EdgeConfig};
use event_store::{Execute, MemoryLog};
use serde::Deserialize;
use std::{str::FromStr, sync::Arc};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

type Notes = State<Arc<dyn Execute<Note>>>;

pub fn routes(execute: Arc<dyn Execute<Note>>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(write)).routes(routes!(rewrite)).routes(routes!(burn)).with_state(execute)
}

/// Serves notes that this process owns, on a port of their own; answers the API and its log.
pub async fn open() -> (Served, MemoryLog) {
    let log = MemoryLog::new(PARTITIONS);
    (serve(owned(&log, &schemas()).await, EdgeConfig::default()).await, log)
}

/// Serves these notes on a port of their own.
pub async fn serve(execute: Arc<dyn Execute<Note>>, config: EdgeConfig) -> Served {
    Served::start(routes(execute), schemas(), config).await
}

/// A text that is not blank.
struct Words(String);

impl FromStr for Words {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() { Err("must say something") } else { Ok(Self(text.to_owned())) }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Writing {
    text: String,
    colour: Option<String>,
    /// Where the note lies; checked, and not kept.
    #[serde(default, deserialize_with = "command_api::object::maybe")]
    place: Option<Place>,
    /// The notes that it refers to; checked, and not kept.
    #[serde(default, deserialize_with = "command_api::object::many")]
    links: Vec<Link>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Place {
    drawer: i64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Link {
    to: String,
}

/// Writes a note.
#[utoipa::path(post, path = "/notes", params(PostHeaders), request_body = Writing, responses(Made))]
async fn write(State(notes): Notes, caller: Caller, Body(body): Body<Writing>) -> Result<Response, Problem> {
    let mut checks = Checks::default();
    let text = checks.text("text", &body.text);
    let colour = checks.maybe("colour", body.colour.as_deref());
    if let Some(Place { drawer }) = body.place.filter(|place| place.drawer < 1) {
        checks.wrong("place.drawer", format!("must be 1 or more, is {drawer}"));
    }
    for (index, link) in body.links.iter().enumerate() {
        checks.id::<Uuid>(&format!("links[{index}].to"), &link.to);
    }
    let Words(text) = checks.done(text)?;
    let id = caller.creates(|actor, key| Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{actor} {key}").as_bytes()), |id| id);
    let command = NoteCommand::Write { text, colour: colour.map(|Words(colour)| colour) };
    Ok(created("/notes", &id, notes.execute(id, command, caller.meta()).await))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rewriting {
    text: String,
}

/// Writes it anew.
#[utoipa::path(post, path = "/notes/{id}/text", params(("id" = Uuid, Path), PostHeaders), request_body = Rewriting, responses(Changed))]
async fn rewrite(State(notes): Notes, PathId(id): PathId, caller: Caller, Body(body): Body<Rewriting>) -> Result<Response, Problem> {
    let mut checks = Checks::default();
    let (id, text) = (checks.id::<Uuid>("id", &id), checks.text("text", &body.text));
    let (id, Words(text)) = checks.done(id.zip(text))?;
    Ok(done(&id, notes.execute(id, NoteCommand::Rewrite { text }, caller.meta()).await))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Burning {}

/// Burns it.
#[utoipa::path(post, path = "/notes/{id}/burning", params(("id" = Uuid, Path), PostHeaders), request_body = Burning, responses(Changed))]
async fn burn(State(notes): Notes, PathId(id): PathId, caller: Caller, Body(Burning {}): Body<Burning>) -> Result<Response, Problem> {
    let mut checks = Checks::default();
    let id = checks.id::<Uuid>("id", &id);
    let id = checks.done(id)?;
    Ok(done(&id, notes.execute(id, NoteCommand::Burn, caller.meta()).await))
}
