//! The auditor's queries.

use super::{
    catalogue::{Catalogue, Kind},
    view::{AuditRow, recorded},
};
use crate::{
    Compare, Filter, Order, Problem, Query, Table,
    http::{AsItWas, Asked, List, Page, PageParams, ReadHeaders, ReadState, not_parked},
};
use axum::{
    extract::{FromRequestParts, State},
    http::request::Parts,
    response::Response,
};
use codec::Codecs;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::openapi::{OpenApi, RefOr};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// The events of an aggregate that are loaded at once to be folded.
const AT_ONCE: u32 = 1_000;

/// What the handlers need.
#[derive(Clone)]
struct Archive {
    read: ReadState,
    catalogue: Arc<Catalogue>,
}

impl FromRequestParts<Archive> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, archive: &Archive) -> Result<Self, Problem> {
        Self::from_request_parts(parts, &archive.read).await
    }
}

/// The auditor's routes, on a database that holds the view [`Audit`](super::Audit). The state must have codecs
/// ([`ReadState::with_codecs`]): they name the logs that a request may wait for, and decode the stored events.
pub fn routes(read: ReadState, catalogue: Arc<Catalogue>) -> OpenApiRouter {
    let mut router = OpenApiRouter::new().routes(routes!(audit_of)).routes(routes!(state_of)).routes(routes!(audit));
    name_kinds(router.get_openapi_mut(), &catalogue.names());
    router.with_state(Archive { read, catalogue })
}

/// Names the kinds of aggregate in the OpenAPI description.
fn name_kinds(api: &mut OpenApi, names: &[&str]) {
    let Some((last, others)) = names.split_last() else { return };
    let text = if others.is_empty() { (*last).to_owned() } else { format!("{} or {last}", others.join(", ")) };
    let gets = api.paths.paths.values_mut().filter_map(|path| path.get.as_mut());
    for parameter in gets.flat_map(|get| get.parameters.iter_mut().flatten()) {
        match parameter {
            RefOr::T(parameter) if parameter.name == "aggregate" => parameter.description = Some(text.clone()),
            RefOr::T(_) | RefOr::Ref(_) => {}
        }
    }
}

/// The aggregate that the path names; an unknown kind is refused.
fn asked_for<'a>(archive: &'a Archive, asked: &mut Asked) -> (Uuid, Option<&'a Kind>) {
    let id = asked.segment_id("id");
    let kind = archive.catalogue.kind(asked.segment("aggregate"));
    if kind.is_none() {
        asked.refuse("aggregate", format!("must be one of {}", archive.catalogue.names().join(", ")));
    }
    (id, kind)
}

/// The filters that an aggregate's events pass.
fn events_of(id: Uuid, kind: Option<&Kind>) -> Vec<Filter> {
    let aggregate = kind.map_or("", |kind| kind.aggregate);
    vec![Filter::is("aggregate_id", id.to_string()), Filter::is("aggregate", aggregate)]
}

/// Every event of one aggregate, the oldest first; an empty page if the aggregate is not known.
#[utoipa::path(get, path = "/audit/{aggregate}/{id}", tag = "audit", extensions(("x-action" = json!("audit.read"))),
    params(("aggregate" = String, Path), ("id" = Uuid, Path), PageParams, ReadHeaders),
    responses((status = 200, body = Page<AuditRow>), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn audit_of(State(archive): State<Archive>, mut asked: Asked) -> Result<Response, Problem> {
    let (id, kind) = asked_for(&archive, &mut asked);
    not_parked(&archive.read, &asked, AuditRow::SPEC.name, id).await?;
    let filters = events_of(id, kind).into_iter().map(Some).collect();
    let list = List { filters, by: &["version", "position"], order: Order::Rising, known: &[] };
    list.answer::<AuditRow>(&archive.read, asked).await
}

/// An aggregate as it was, folded from its events up to `at`, with the position of the last of them; without `at`, as it is now.
#[utoipa::path(get, path = "/audit/{aggregate}/{id}/state", tag = "audit", extensions(("x-action" = json!("audit.read"))),
    params(("aggregate" = String, Path), ("id" = Uuid, Path),
           ("at" = Option<String>, Query, description = "An RFC 3339 time, or a position in the aggregate's log such as orders/0/17"), ReadHeaders),
    responses((status = 200, body = Object), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn state_of(State(archive): State<Archive>, mut asked: Asked) -> Result<Response, Problem> {
    let (id, kind) = asked_for(&archive, &mut asked);
    let at = asked.as_of("at", kind.map_or("", |kind| kind.service));
    asked.finish(&["at"])?;
    let Some(kind) = kind else { return Err(Problem::not_found("aggregate", id)) };
    let view = kind.view.as_ref().ok_or_else(|| Problem::not_found("view that shows a", kind.aggregate))?;
    not_parked(&archive.read, &asked, AuditRow::SPEC.name, id).await?;
    let mut row = AsItWas::new(&**view, at);
    fold(&archive, events_of(id, Some(kind)), &mut row).await?;
    row.answer(kind.aggregate, id)
}

/// Folds the events that pass the filters, in the aggregate's order, some at a time.
async fn fold(archive: &Archive, filters: Vec<Filter>, row: &mut AsItWas) -> Result<(), Problem> {
    let codecs = archive.read.codecs().ok_or_else(|| Problem::unavailable("this process has no codecs to read events with"))?;
    let mut query = Query { filters, by: &["version", "position"], order: Order::Rising, after: None, limit: AT_ONCE };
    loop {
        let rows: Vec<AuditRow> = archive.read.database().select(&query).await?;
        let Some(last) = rows.last().filter(|_| rows.len() == AT_ONCE as usize) else { return fold_rows(rows, codecs, row).map(drop) };
        query.after = Some(place(last));
        if !fold_rows(rows, codecs, row)? {
            return Ok(());
        }
    }
}

fn place(row: &AuditRow) -> Vec<Value> {
    vec![json!(row.version), json!(row.position)]
}

/// False once an event is too late.
fn fold_rows(rows: Vec<AuditRow>, codecs: &Codecs, row: &mut AsItWas) -> Result<bool, Problem> {
    for one in rows {
        let event = recorded(one, codecs).map_err(|error| Problem::unreadable(&error))?;
        if !row.fold(&event)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Every event of every service, in the order of the logs: by service, partition and offset. So an event whose clock was behind is not
/// missed by who has read on.
#[utoipa::path(get, path = "/audit", tag = "audit", extensions(("x-action" = json!("audit.read"))), params(
    ("actor" = Option<String>, Query, description = "Exactly this actor"),
    ("since" = Option<String>, Query, description = "An RFC 3339 time or a date (its beginning in UTC): events from then on"),
    ("until" = Option<String>, Query, description = "An RFC 3339 time: events before it; or a date: events up to its end in UTC"),
    PageParams, ReadHeaders),
    responses((status = 200, body = Page<AuditRow>), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn audit(State(archive): State<Archive>, mut asked: Asked) -> Result<Response, Problem> {
    let actor = asked.short_text("actor", 200).map(|actor| Filter::is("actor", actor));
    let since = asked.since("since").map(|at| Filter { column: "time", compare: Compare::From, value: at.0.into() });
    let until = asked.until("until").map(|at| Filter { column: "time", compare: Compare::Below, value: at.0.into() });
    let (filters, by) = (vec![actor, since, until], &["service", "partition", "offset"]);
    let list = List { filters, by, order: Order::Rising, known: &["actor", "since", "until"] };
    list.answer::<AuditRow>(&archive.read, asked).await
}
