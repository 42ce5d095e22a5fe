//! The body of a POST: JSON of exactly the shape that the route wants, or a 4xx that says what is wrong and where.

use crate::{Problem, object::Object, problem::FieldError};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
};
use serde::de::DeserializeOwned;

/// The most characters of a caller's own text that an answer repeats.
const MOST_REPEATED: usize = 300;

/// A JSON body, parsed with the path of each field, so that an error can name one.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_content_type(request.headers())?;
        let unreadable = |rejection: BytesRejection| Problem::new(StatusCode::BAD_REQUEST, "unreadable-body", rejection.body_text());
        let bytes = Bytes::from_request(request, state).await.map_err(unreadable)?;
        parse(&bytes).map(Self)
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let media = given.as_deref().map(|given| given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    if media.as_deref() == Some("application/json") {
        return Ok(());
    }
    let said = given.map_or("none was given".to_owned(), |given| format!("{:?} was given", shortened(&given)));
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        format!("Content-Type must be application/json, {said}"),
    ))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| malformed("body", format!("must be UTF-8, is not from byte {}", error.valid_up_to())))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let Object(value) = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let rule = error.into_inner().to_string();
        malformed(&field_of(&path, &rule), rule)
    })?;
    json.end().map_err(|error| malformed("body", error.to_string()))?;
    Ok(value)
}

/// The field that an error is about. Serde names a missing or repeated field only in its message (``missing field `email` ``); the path
/// ends at the object that holds it.
fn field_of(path: &str, words: &str) -> String {
    let path = path.trim_end_matches('?').trim_end_matches('.');
    let begins = ["missing field `", "duplicate field `"];
    let name = begins.into_iter().find_map(|begins| words.strip_prefix(begins)?.split('`').next());
    match (path, name) {
        ("", name) => name.unwrap_or("body").to_owned(),
        (path, Some(name)) => format!("{path}.{name}"),
        (path, None) => path.to_owned(),
    }
}

/// The beginning of a caller's text: an answer does not repeat a megabyte.
fn shortened(text: &str) -> String {
    text.chars().take(MOST_REPEATED).collect()
}

fn malformed(field: &str, rule: String) -> Problem {
    let (field, rule) = (&*shortened(field), shortened(&rule));
    let mut problem = Problem::new(StatusCode::BAD_REQUEST, "malformed-body", format!("{field}: {rule}"));
    problem.errors.push(FieldError { field: field.to_owned(), rule });
    problem
}
