use super::{
    ReadState,
    asked::Asked,
    page::{List, Page, PageParams},
    shown::{ReadHeaders, rfc3339, shown, tagged},
};
use crate::{
    DatabaseError, Filter, Order, Problem, Query,
    views::{
        orders::{OrderRow, OrderStatus},
        saga::{Wait, saga, story},
        timeline::TimelineRow,
    },
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use uuid::Uuid;

const STATUSES: [&str; 4] = ["placed", "confirmed", "cancelled", "expired"];
const NEWEST_FIRST: &[&str] = &["placed_at", "order_id"];
/// An order's story is answered whole; no order of the shop comes near this many events.
const LONGEST_STORY: u32 = 100_000;

/// An order.
#[utoipa::path(get, path = "/orders/{id}", tag = "orders", params(("id" = Uuid, Path), ReadHeaders), responses(
    (status = 200, body = OrderRow), (status = 304), (status = 400, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn order(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let id = asked.segment_id("id");
    asked.finish(&[])?;
    let row: OrderRow = read.database.row(&id.to_string()).await?.ok_or_else(|| Problem::not_found("order", id))?;
    Ok(tagged(&asked, row.version, shown(&row).map_err(DatabaseError::Row)?))
}

/// The status that is asked for, as a filter.
fn status(asked: &mut Asked) -> Option<Filter> {
    let status: OrderStatus = asked.one_of("status", &STATUSES)?;
    Some(Filter::is("status", serde_json::to_value(status).ok()?))
}

/// Orders, the newest first.
#[utoipa::path(get, path = "/orders", tag = "orders",
    params(("status" = Option<OrderStatus>, Query), ("user_id" = Option<Uuid>, Query), PageParams, ReadHeaders),
    responses((status = 200, body = Page<OrderRow>), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn orders(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let filters = vec![status(&mut asked), asked.id("user_id").map(|id| Filter::is("user_id", id))];
    let list = List { filters, by: NEWEST_FIRST, order: Order::Falling, known: &["status", "user_id"] };
    list.answer::<OrderRow>(&read, asked).await
}

/// A user's orders, the newest first; an empty page for a user that is not known.
#[utoipa::path(get, path = "/users/{id}/orders", tag = "orders",
    params(("id" = Uuid, Path), ("status" = Option<OrderStatus>, Query), PageParams, ReadHeaders),
    responses((status = 200, body = Page<OrderRow>), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn orders_of_user(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
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
#[utoipa::path(get, path = "/orders/{id}/timeline", tag = "orders", params(("id" = Uuid, Path), ReadHeaders), responses(
    (status = 200, body = OrderTimeline), (status = 400, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn timeline(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let id = asked.segment_id("id");
    asked.finish(&[])?;
    let filters = vec![Filter::is("order_id", id.to_string())];
    let query = Query { filters, by: &["service", "partition", "offset"], order: Order::Rising, after: None, limit: LONGEST_STORY };
    let entries: Vec<TimelineRow> = story(read.database.select(&query).await?);
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
