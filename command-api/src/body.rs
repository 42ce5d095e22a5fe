//! The body of a POST: JSON of exactly the shape that the route wants, or a 4xx that says what is wrong and where.

use crate::{Problem, caller::single, object::Object, problem::FieldError};
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

/// Refuses a body that is not declared as JSON in UTF-8 as it is.
fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    check_encoding(headers)?;
    let Some(given) = single(headers, "content-type")?.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()) else {
        return Err(unsupported("Content-Type must be application/json, none was given".to_owned()));
    };
    let mut parts = given.split(';').map(|part| part.trim().to_ascii_lowercase());
    if !parts.next().is_some_and(|media| is_json(&media)) {
        return Err(unsupported(format!("Content-Type must be application/json, {:?} was given", shortened(&given))));
    }
    let charset = parts.find_map(|part| part.strip_prefix("charset=").map(|charset| charset.trim_matches('"').to_owned()));
    match charset.filter(|charset| !["utf-8", "utf8", "us-ascii"].contains(&charset.as_str())) {
        Some(charset) => Err(unsupported(format!("Content-Type must name no charset but utf-8, {:?} was given", shortened(&charset)))),
        None => Ok(()),
    }
}

/// JSON, or a vendor's own name for it.
fn is_json(media: &str) -> bool {
    let vendors = |media: &str| media.strip_prefix("application/vnd.").is_some_and(|rest| rest.ends_with("+json"));
    media == "application/json" || vendors(media)
}

fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut given = headers.get_all(header::CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    match given.find(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        Some(encoding) => Err(unsupported(format!(
            "Content-Encoding must be left out: the body is taken uncompressed only, {:?} was given",
            shortened(&encoding)
        ))),
        None => Ok(()),
    }
}

fn unsupported(detail: String) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail)
}

/// The body as text. A byte order mark before it is passed over, as RFC 8259 allows.
fn text(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(malformed("body", "must be UTF-8, begins with the byte order mark of UTF-16".to_owned()));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| malformed("body", format!("must be UTF-8, is not from byte {}", error.valid_up_to())))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The rule that the parser says was broken; of a number it says how a whole one is written.
fn rule_of(words: String) -> String {
    match words.starts_with("invalid type: floating point") {
        true => format!("{words}: a whole number has no fraction and no exponent, so 1.0 and 1e2 are none"),
        false => words,
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_str(text(bytes)?);
    let Object(value) = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let rule = rule_of(error.into_inner().to_string());
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
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(MOST_REPEATED).collect()
}

fn malformed(field: &str, rule: String) -> Problem {
    let (field, rule) = (&*shortened(field), shortened(&rule));
    let mut problem = Problem::new(StatusCode::BAD_REQUEST, "malformed-body", format!("{field}: {rule}"));
    problem.errors.push(FieldError { field: field.to_owned(), rule });
    problem
}
