//! Problem details (RFC 9457): the form of every error.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// One field that broke a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field's path: `lines[0].quantity`.
    #[schema(example = "lines[0].quantity")]
    pub field: String,
    /// The rule and its bounds: `must be from 1 to 10000000, is 0`.
    #[schema(example = "must be from 1 to 10000000, is 0")]
    pub rule: String,
}

/// Why a request was not done (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// `urn:daybook:problem:<code>`, stable.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, for a person.
    pub detail: String,
    /// The fields that broke a rule.
    pub errors: Vec<FieldError>,
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    /// A problem of a status and a stable code in kebab case.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        Self {
            kind: format!("urn:daybook:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// A request whose fields break rules.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let fields: Vec<String> = errors.iter().map(|error| format!("{} {}", error.field, error.rule)).collect();
        let detail = fields.join("; ");
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, "invalid-request", detail) }
    }

    /// A request in which one field breaks a rule.
    pub fn field(field: &str, rule: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { field: field.to_owned(), rule: rule.into() }])
    }

    /// 503, not done: the caller may ask again after so many milliseconds, rounded up to seconds.
    pub fn unavailable(detail: impl Into<String>, retry_after_millis: u64) -> Self {
        let retry_after = Some(retry_after_millis.div_ceil(1000).max(1));
        Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail) }
    }

    /// 504, perhaps done: nobody knows yet.
    pub fn unknown(detail: impl std::fmt::Display) -> Self {
        let detail = format!("{detail}: the outcome is unknown; send the same request with the same Idempotency-Key again to learn it");
        Self::new(StatusCode::GATEWAY_TIMEOUT, "outcome-unknown", detail)
    }

    /// The same problem, about this field.
    pub fn with_field(mut self, field: Option<String>) -> Self {
        let rule = self.detail.clone();
        self.errors.extend(field.map(|field| FieldError { field, rule }));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let body = serde_json::to_vec(&self).expect("a problem has a JSON form");
        let mut response = (status, body).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
