//! Turns the outcome of a command into an HTTP answer.

use crate::Problem;
use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use event_store::{Accepted, CommandError, Refused, Rejected, Unavailable};
use serde::Serialize;
use utoipa::ToSchema;

/// The command is done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {
    /// The aggregate's id.
    #[schema(example = "0198c5a2-7b1e-7c3a-9d2f-3b5a1c2d4e6f")]
    pub id: String,
    /// Its version after the command, as in `ETag`.
    #[schema(example = 1)]
    pub version: u64,
}

type Outcome = Result<Accepted, CommandError>;

/// 201 with the location of the new aggregate; a problem where the command was not done.
pub fn created(path: &str, id: &impl ToString, outcome: Outcome) -> Response {
    let id = id.to_string();
    let location = HeaderValue::from_str(&format!("{path}/{id}")).ok();
    respond(StatusCode::CREATED, id, location, outcome)
}

/// 200; a problem where the command was not done.
pub fn done(id: &impl ToString, outcome: Outcome) -> Response {
    respond(StatusCode::OK, id.to_string(), None, outcome)
}

fn respond(status: StatusCode, id: String, location: Option<HeaderValue>, outcome: Outcome) -> Response {
    match outcome {
        Ok(accepted) => {
            let mut headers = accepted_headers(&accepted);
            headers.extend(location.map(|location| (header::LOCATION, location)));
            (status, headers, Json(Done { id, version: accepted.version })).into_response()
        }
        Err(error) => problem_of(error).into_response(),
    }
}

fn accepted_headers(accepted: &Accepted) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    set("etag", format!("\"{}\"", accepted.version));
    set("daybook-position", accepted.position.to_string());
    if accepted.repeated {
        set("idempotency-replayed", "true".to_owned());
    }
    headers
}

/// The problem that reports a command that was not done, or of which nobody knows.
pub(crate) fn problem_of(error: CommandError) -> Problem {
    match error {
        CommandError::Refused(Refused { code, message, field, not_found, details: _ }) => {
            let status = if not_found { StatusCode::NOT_FOUND } else { StatusCode::UNPROCESSABLE_ENTITY };
            Problem::new(status, &code, message).with_field(field)
        }
        error @ CommandError::Conflict { .. } => Problem::new(StatusCode::PRECONDITION_FAILED, "version-conflict", error.to_string()),
        error @ CommandError::KeyReused => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", error.to_string()),
        CommandError::Rejected(Rejected { code, message }) => {
            let too_large = code == Rejected::TOO_LARGE;
            let status = if too_large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::UNPROCESSABLE_ENTITY };
            Problem::new(status, &code, message)
        }
        error @ CommandError::Defect(_) => {
            tracing::error!(%error, "a command met a defect");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the aggregate met an unforeseen error; nothing was done, and it was logged",
            )
        }
        CommandError::Unavailable(Unavailable { reason, in_doubt: true, .. }) => Problem::unknown(reason),
        CommandError::Unavailable(Unavailable { reason, retry_after_millis, in_doubt: false }) => {
            Problem::unavailable(reason, retry_after_millis)
        }
    }
}
