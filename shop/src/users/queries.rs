//! The GETs of users.

use super::views::UserRow;
use axum::{extract::State, response::Response};
use projections::{
    DatabaseError, Problem,
    http::{Asked, Consistency, ReadHeaders, ReadState, current, settle, shown, tagged},
};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes.
pub(crate) fn queries(state: ReadState) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(user)).with_state(state)
}

/// A user.
#[utoipa::path(get, path = "/users/{id}", tag = "users", extensions(("x-action" = json!("users.read"))), params(("id" = Uuid, Path), ("consistency" = inline(Option<Consistency>), Query), ReadHeaders), responses(
    (status = 200, body = UserRow), (status = 304), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn user(State(read): State<ReadState>, mut asked: Asked) -> Result<Response, Problem> {
    let id = asked.segment_id("id");
    settle(&read, &mut asked, id).await?;
    asked.finish(&["consistency"])?;
    let row: UserRow = current(&read, &asked, "user", id).await?;
    Ok(tagged(&asked, row.version, shown(&row).map_err(DatabaseError::Row)?))
}
