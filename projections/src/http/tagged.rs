//! Answers a row with its version as its `ETag`.

use super::Asked;
use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;

/// Headers that every read takes.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it only describes what the handlers read")]
pub struct ReadHeaders {
    /// Positions, comma separated, such as `orders/3/1234`: the answer waits until the view has applied them.
    #[param(rename = "Daybook-At-Least")]
    at_least: Option<String>,
}

/// A row with its version as its `ETag`, or 304 if the caller has that version already.
pub fn tagged(asked: &Asked, version: u64, body: Value) -> Response {
    let tag = format!("\"{version}\"");
    if asked.has(&tag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    ([(header::ETAG, tag)], Json(body)).into_response()
}
