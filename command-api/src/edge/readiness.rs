//! Whether this process should be sent requests.

use axum::{Json, extract::State, http::StatusCode};
use event_store::Readiness;
use serde::Serialize;
use utoipa::ToSchema;

/// The answer of `/health/ready`.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    /// `ready` or `starting`.
    status: &'static str,
    /// The conditions that do not hold yet.
    waiting_for: Vec<String>,
    /// What goes on though it is ready: a view that is being built, say.
    notes: Vec<String>,
}

/// Whether this process should be sent requests, and what it waits for.
#[utoipa::path(get, path = "/health/ready", tag = "process", responses(
    (status = 200, description = "Ready", body = Ready), (status = 503, description = "Not yet", body = Ready)))]
pub(super) async fn answer(State(readiness): State<Readiness>) -> (StatusCode, Json<Ready>) {
    let waiting_for = readiness.missing();
    let (code, status) = if waiting_for.is_empty() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "starting") };
    (code, Json(Ready { status, waiting_for, notes: readiness.notes() }))
}
