//! The body of a POST: JSON of exactly the shape that the route wants, or a 4xx that says what is wrong and where.

use crate::{Problem, problem::FieldError};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;

/// A JSON body that was read with its fields' names kept, so that an error can name one.
pub(crate) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        check_content_type(request.headers()).map_err(IntoResponse::into_response)?;
        let bytes = Bytes::from_request(request, state).await.map_err(too_large_or_broken)?;
        parse(&bytes).map(Self).map_err(IntoResponse::into_response)
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let media = given.as_deref().map(|given| given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    if media.as_deref() == Some("application/json") {
        return Ok(());
    }
    let said = given.map_or("none was given".to_owned(), |given| format!("{given:?} was given"));
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        format!("Content-Type must be application/json, {said}"),
    ))
}

fn too_large_or_broken(rejection: BytesRejection) -> Response {
    let problem = match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "the body is larger than this server accepts")
        }
        _ => Problem::new(StatusCode::BAD_REQUEST, "unreadable-body", rejection.body_text()),
    };
    problem.into_response()
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| malformed("body", format!("must be UTF-8, is not from byte {}", error.valid_up_to())))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        // A path that is not known yet, and the root, are the body.
        let field = if matches!(path.as_str(), "." | "?") { "body".to_owned() } else { path };
        malformed(&field, error.into_inner().to_string())
    })?;
    json.end().map_err(|error| malformed("body", error.to_string()))?;
    Ok(value)
}

fn malformed(field: &str, rule: String) -> Problem {
    let mut problem = Problem::new(StatusCode::BAD_REQUEST, "malformed-body", format!("{field}: {rule}"));
    problem.errors.push(FieldError { field: field.to_owned(), rule });
    problem
}
