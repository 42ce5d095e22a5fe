//! The GETs of orders.

use super::views::{
    orders::{OrderRow, OrderStatus, Orders},
    saga::{Wait, saga, story},
    timeline::{TimelineRow, of_timeline},
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use projections::{
    AsOf, DatabaseError, Filter, Order, Problem, Query, Table, erased,
    http::{
        AsItWas, Asked, Consistency, List, Page, PageParams, ReadHeaders, ReadState, current, not_parked, rfc3339, settle, shown, tagged,
    },
};
use serde_json::{Value, json};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

const STATUSES: [&str; 4] = ["placed", "confirmed", "cancelled", "expired"];
const NEWEST_FIRST: &[&str] = &["placed_at", "order_id"];
/// An order's timeline is answered whole; no order of the shop comes near this many events.
const LONGEST_STORY: u32 = 100_000;

/// The routes.
pub(crate) fn queries(state: ReadState) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(order))
        .routes(routes!(orders))
        .routes(routes!(orders_of_user))
        .routes(routes!(timeline))
        .with_state(state)
}

/// An order.
#[utoipa::path(get, path = "/orders/{id}", tag = "orders", extensions(("x-action" = json!("orders.read"))), params(("id" = Uuid, Path), ("at" = Option<String>, Query, description = "As it was then: an RFC 3339 time, or a position such as orders/0/17"), ("consistency" = inline(Option<Consistency>), Query), ReadHeaders), responses(
    (status = 200, body = OrderRow), (status = 304), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn order(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let id = asked.segment_id("id");
    let at = asked.as_of("at", "orders");
    settle(&read, &mut asked, id).await?;
    asked.finish(&["at", "consistency"])?;
    if let Some(at) = at {
        their_own(&read, &asked, id).await?;
        not_parked(&read, &asked, TimelineRow::SPEC.name, id).await?;
        return at_that_time(&read, id, at).await;
    }
    let row: OrderRow = current(&read, &asked, "order", id).await?;
    Ok(tagged(&asked, row.version, shown(&row).map_err(DatabaseError::Row)?))
}

/// Refuses to tell the story of an order to somebody who may see their own only, and whose it is not. The timeline's rows do not say whose
/// they are; the order's row does.
async fn their_own(read: &ReadState, asked: &Asked, id: Uuid) -> Result<(), Problem> {
    if asked.sees_own_only() { current::<OrderRow>(read, asked, "order", id).await.map(drop) } else { Ok(()) }
}

/// The order as it was then, folded from its own events in its timeline.
async fn at_that_time(read: &ReadState, id: Uuid, at: AsOf) -> Result<Response, Problem> {
    let codecs = read.codecs().ok_or_else(|| Problem::unavailable("this process has no codecs to read events with"))?;
    let rows = entries_of(read, id, vec![Filter::is("service", "orders")]).await?;
    let mut row = AsItWas::new(&*erased::<Orders>(), Some(at));
    for event in of_timeline(rows, codecs) {
        if !row.fold(&event.map_err(|error| Problem::unreadable(&error))?)? {
            break;
        }
    }
    row.answer("order", id)
}

/// The timeline's rows of an order, service by service, each in its log's order.
async fn entries_of(read: &ReadState, id: Uuid, and: Vec<Filter>) -> Result<Vec<TimelineRow>, DatabaseError> {
    let filters = [vec![Filter::is("order_id", id.to_string())], and].concat();
    let query = Query { filters, by: &["service", "partition", "offset"], order: Order::Rising, after: None, limit: LONGEST_STORY };
    read.database().select(&query).await
}

/// The status that is asked for, as a filter.
fn status(asked: &mut Asked) -> Option<Filter> {
    let status: OrderStatus = asked.one_of("status", &STATUSES)?;
    Some(Filter::is("status", serde_json::to_value(status).ok()?))
}

/// Orders, the newest first.
#[utoipa::path(get, path = "/orders", tag = "orders", extensions(("x-action" = json!("orders.read"))),
    params(("status" = Option<OrderStatus>, Query), ("user_id" = Option<Uuid>, Query), PageParams, ReadHeaders),
    responses((status = 200, body = Page<OrderRow>), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn orders(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let filters = vec![status(&mut asked), asked.id("user_id").map(|id| Filter::is("user_id", id))];
    let list = List { filters, by: NEWEST_FIRST, order: Order::Falling, known: &["status", "user_id"] };
    list.answer::<OrderRow>(&read, asked).await
}

/// A user's orders, the newest first; an empty page for a user that is not known.
#[utoipa::path(get, path = "/users/{id}/orders", tag = "orders", extensions(("x-action" = json!("orders.read"))),
    params(("id" = Uuid, Path), ("status" = Option<OrderStatus>, Query), PageParams, ReadHeaders),
    responses((status = 200, body = Page<OrderRow>), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn orders_of_user(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let user = asked.segment_id("id");
    let filters = vec![Some(Filter::is("user_id", user.to_string())), status(&mut asked)];
    let list = List { filters, by: NEWEST_FIRST, order: Order::Falling, known: &["status"] };
    list.answer::<OrderRow>(&read, asked).await
}

/// One event of an order's story.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it only describes what an entry looks like")]
struct TimelineEntry {
    #[schema(format = DateTime)]
    time: String,
    service: String,
    event: String,
    position: String,
    actor: String,
    #[schema(value_type = Object)]
    data: Value,
}

/// An order's story and where its saga stands.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it only describes what a timeline looks like")]
struct OrderTimeline {
    order_id: Uuid,
    status: OrderStatus,
    waiting_for: Option<Wait>,
    #[schema(format = DateTime)]
    until: Option<String>,
    compensations: Vec<String>,
    entries: Vec<TimelineEntry>,
}

/// What happened to an order, what it waits for and until when, which compensations ran.
#[utoipa::path(get, path = "/orders/{id}/timeline", tag = "orders", extensions(("x-action" = json!("orders.timeline"))), params(("id" = Uuid, Path), ReadHeaders), responses(
    (status = 200, body = OrderTimeline), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn timeline(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let id = asked.segment_id("id");
    asked.finish(&[])?;
    their_own(&read, &asked, id).await?;
    not_parked(&read, &asked, TimelineRow::SPEC.name, id).await?;
    let entries: Vec<TimelineRow> = story(entries_of(&read, id, Vec::new()).await?);
    let saga = saga(&entries).ok_or_else(|| Problem::not_found("order", id))?;
    let body = json!({
        "order_id": id,
        "status": saga.status,
        "waiting_for": saga.waiting_for,
        "until": saga.until.map(rfc3339),
        "compensations": saga.compensations,
        "entries": entries.iter().map(entry).collect::<Vec<_>>(),
    });
    Ok(Json(body).into_response())
}

fn entry(row: &TimelineRow) -> Value {
    let TimelineRow { service, event, position, actor, data, .. } = row;
    json!({ "time": rfc3339(row.time), "service": service, "event": event, "position": position, "actor": actor, "data": data })
}
