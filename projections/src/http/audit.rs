use super::{
    ReadState,
    asked::Asked,
    orders::as_of,
    page::{List, Page, PageParams},
    shown::ReadHeaders,
};
use crate::{
    Compare, Filter, Order, Problem, Query,
    views::{
        as_of::{AsOf, of_audit, up_to},
        audit::{AGGREGATES, AuditRow},
    },
};
use axum::{extract::State, response::Response};
use domain::Timestamp;

/// An aggregate's events are folded at once; no aggregate of the shop comes near this many.
const MOST_EVENTS: u32 = 1_000_000;

/// Every event of one aggregate, the first first; an empty page for one that is not known.
#[utoipa::path(get, path = "/audit/{aggregate}/{id}", tag = "audit",
    params(("aggregate" = String, Path, description = "user, product, order, payment or notification"), ("id" = Uuid, Path), PageParams, ReadHeaders),
    responses((status = 200, body = Page<AuditRow>), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn audit_of(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let (id, aggregate) = (asked.segment_id("id"), asked.segment("aggregate").to_owned());
    if !AGGREGATES.contains(&&*aggregate) {
        asked.refuse("aggregate", format!("must be one of {}", AGGREGATES.join(", ")));
    }
    let filters = vec![Some(Filter::is("aggregate_id", id.to_string())), Some(Filter::is("aggregate", aggregate))];
    let list = List { filters, by: &["version", "position"], order: Order::Rising, known: &[] };
    list.answer::<AuditRow>(&read, asked).await
}

/// An aggregate as it was, folded from its events up to then, with the place of the last of them; as it is, where no time is named.
#[utoipa::path(get, path = "/audit/{aggregate}/{id}/state", tag = "audit",
    params(("aggregate" = String, Path, description = "user, product, order, payment or notification"), ("id" = Uuid, Path),
           ("at" = Option<String>, Query, description = "An RFC 3339 time, or a position in the aggregate's log such as orders/0/17"), ReadHeaders),
    responses((status = 200, body = Object), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn state_of(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let (id, aggregate) = (asked.segment_id("id"), asked.segment("aggregate").to_owned());
    if !AGGREGATES.contains(&&*aggregate) {
        asked.refuse("aggregate", format!("must be one of {}", AGGREGATES.join(", ")));
    }
    let at = asked.as_of("at", &format!("{aggregate}s")).unwrap_or(AsOf::Time(Timestamp(i64::MAX)));
    asked.finish(&["at"])?;
    let filters = vec![Filter::is("aggregate_id", id.to_string()), Filter::is("aggregate", aggregate.clone())];
    let query = Query { filters, by: &["version", "position"], order: Order::Rising, after: None, limit: MOST_EVENTS };
    let rows: Vec<AuditRow> = read.database.select(&query).await?;
    let events = rows.into_iter().map(of_audit).collect::<Result<Vec<_>, _>>();
    let events = events.map_err(|error| Problem::unavailable(format!("the events cannot be read: {error}")))?;
    as_of(&aggregate, id, up_to(events, &at))
}

/// Every event of every service, by time.
#[utoipa::path(get, path = "/audit", tag = "audit", params(
    ("actor" = Option<String>, Query, description = "Exactly this actor"),
    ("since" = Option<String>, Query, description = "An RFC 3339 time or a date (its beginning in UTC): events from then on"),
    ("until" = Option<String>, Query, description = "An RFC 3339 time: events before it; or a date: events up to its end in UTC"),
    PageParams, ReadHeaders),
    responses((status = 200, body = Page<AuditRow>), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn audit(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let actor = asked.short_text("actor", 200).map(|actor| Filter::is("actor", actor));
    let since = asked.since("since").map(|at| Filter { column: "time", compare: Compare::From, value: at.0.into() });
    let until = asked.until("until").map(|at| Filter { column: "time", compare: Compare::Below, value: at.0.into() });
    let (filters, by) = (vec![actor, since, until], &["time", "service", "partition", "offset"]);
    let list = List { filters, by, order: Order::Rising, known: &["actor", "since", "until"] };
    list.answer::<AuditRow>(&read, asked).await
}
