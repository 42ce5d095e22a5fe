//! The GETs of notifications.

use super::views::notifications::NotificationRow;
use axum::{extract::State, response::Response};
use projections::{
    DatabaseError, Filter, Order, Problem,
    http::{Asked, List, Page, PageParams, ReadHeaders, ReadState, current, shown, tagged},
};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes.
pub(crate) fn queries(state: ReadState) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(notification)).routes(routes!(notifications)).with_state(state)
}

/// A notification.
#[utoipa::path(get, path = "/notifications/{id}", tag = "notifications", extensions(("x-action" = json!("notifications.read"))), params(("id" = Uuid, Path), ReadHeaders), responses(
    (status = 200, body = NotificationRow), (status = 304), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn notification(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let id = asked.segment_id("id");
    asked.finish(&[])?;
    let row: NotificationRow = current(&read, &asked, "notification", id).await?;
    Ok(tagged(&asked, row.version, shown(&row).map_err(DatabaseError::Row)?))
}

/// Notifications, the newest first.
#[utoipa::path(get, path = "/notifications", tag = "notifications", extensions(("x-action" = json!("notifications.read"))),
    params(("user_id" = Option<Uuid>, Query), PageParams, ReadHeaders),
    responses((status = 200, body = Page<NotificationRow>), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn notifications(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let user = asked.id("user_id").map(|id| Filter::is("user_id", id));
    let list = List { filters: vec![user], by: &["requested_at", "notification_id"], order: Order::Falling, known: &["user_id"] };
    list.answer::<NotificationRow>(&read, asked).await
}
