//! Whether this process should be sent requests.

use axum::{Json, extract::State, http::StatusCode};
use event_store::Readiness;
use serde::Serialize;
use utoipa::ToSchema;

/// The answer of `/health/ready`.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    /// `ready`; `starting` until it was ready once; `failing` where it was and is no more.
    status: &'static str,
    /// The conditions that do not hold, each with the reason, and since when, where they are known.
    waiting_for: Vec<String>,
    /// What goes on though it is ready: a view that is being built, say. Left out where there is nothing to say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// Whether this process should be sent requests, and what it waits for.
#[utoipa::path(get, path = "/health/ready", tag = "process", responses(
    (status = 200, description = "Ready", body = Ready), (status = 503, description = "Not yet", body = Ready)))]
pub(super) async fn answer(State(readiness): State<Readiness>) -> (StatusCode, Json<Ready>) {
    let waiting_for = readiness.missing();
    let (code, status) = match (waiting_for.is_empty(), readiness.has_been()) {
        (true, _) => (StatusCode::OK, "ready"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        (false, true) => (StatusCode::SERVICE_UNAVAILABLE, "failing"),
    };
    (code, Json(Ready { status, waiting_for, notes: readiness.notes() }))
}
