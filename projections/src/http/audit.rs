use super::{
    ReadState,
    asked::Asked,
    page::{List, Page, PageParams},
    shown::ReadHeaders,
};
use crate::{
    Compare, Filter, Order, Problem,
    views::audit::{AGGREGATES, AuditRow},
};
use axum::{extract::State, response::Response};

/// Every event of one aggregate, the first first; an empty page for one that is not known.
#[utoipa::path(get, path = "/audit/{aggregate}/{id}", tag = "audit",
    params(("aggregate" = String, Path, description = "user, product, order, payment or notification"), ("id" = Uuid, Path), PageParams, ReadHeaders),
    responses((status = 200, body = Page<AuditRow>), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn audit_of(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let (id, aggregate) = (asked.segment_id("id"), asked.segment("aggregate").to_owned());
    if !AGGREGATES.contains(&&*aggregate) {
        asked.refuse("aggregate", format!("must be one of {}", AGGREGATES.join(", ")));
    }
    let filters = vec![Some(Filter::is("aggregate_id", id.to_string())), Some(Filter::is("aggregate", aggregate))];
    let list = List { filters, by: &["version", "position"], order: Order::Rising, known: &[] };
    list.answer::<AuditRow>(&read, asked).await
}

/// Every event of every service, by time.
#[utoipa::path(get, path = "/audit", tag = "audit", params(
    ("actor" = Option<String>, Query, description = "Exactly this actor"),
    ("since" = Option<String>, Query, description = "An RFC 3339 time or a date (its beginning in UTC): events from then on"),
    ("until" = Option<String>, Query, description = "An RFC 3339 time: events before it; or a date: events up to its end in UTC"),
    PageParams, ReadHeaders),
    responses((status = 200, body = Page<AuditRow>), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn audit(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let actor = asked.short_text("actor", 200).map(|actor| Filter::is("actor", actor));
    let since = asked.since("since").map(|at| Filter { column: "time", compare: Compare::From, value: at.0.into() });
    let until = asked.until("until").map(|at| Filter { column: "time", compare: Compare::Below, value: at.0.into() });
    let (filters, by) = (vec![actor, since, until], &["time", "service", "partition", "offset"]);
    let list = List { filters, by, order: Order::Rising, known: &["actor", "since", "until"] };
    list.answer::<AuditRow>(&read, asked).await
}
