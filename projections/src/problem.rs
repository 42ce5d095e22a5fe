//! The answers to failed requests: RFC 9457 problem details.

use crate::DatabaseError;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// A field of the request and the rule, with its bounds, that it broke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// The query parameter, path segment or header.
    pub field: String,
    /// What it must be.
    pub rule: String,
}

/// Problem details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// `urn:daybook:problem:<code>`: stable, for programs.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time.
    pub detail: String,
    /// The fields that were wrong.
    pub errors: Vec<FieldError>,
    /// Seconds after which the caller may try again (`Retry-After`).
    #[serde(skip)]
    #[schema(ignore)]
    pub retry_after: Option<u32>,
}

impl Problem {
    fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        let (kind, status) = (format!("urn:daybook:problem:{code}"), status.as_u16());
        Self { kind, title, status, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// 400: the request breaks these rules.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = errors.iter().map(|error| format!("{} {}", error.field, error.rule)).collect::<Vec<_>>().join("; ");
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, "invalid-request", detail) }
    }

    /// 400: this field breaks this rule.
    pub fn field(field: &str, rule: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { field: field.to_owned(), rule: rule.into() }])
    }

    /// 403: the caller may not see what they ask for.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 404: there is no such thing, or the view does not know it yet.
    pub fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("no {what} {id} is known here"))
    }

    /// 503: the view is being built, and what it shows until then is not what the caller asks for.
    pub fn building(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "view-building", detail);
        Self { retry_after: Some(5), ..problem }
    }

    /// 503: the view did not reach the position in time.
    pub fn behind(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "view-behind", detail);
        Self { retry_after: Some(1), ..problem }
    }
}

impl Problem {
    /// 500: the view has put this aggregate aside with this dead letter, so what it shows of it is out of date until somebody redrives or
    /// drops that. No repeat of the request changes it.
    pub fn parked(view: &str, id: impl std::fmt::Display, letter: &str) -> Self {
        let detail = format!(
            "the view {view} has put {id} aside and shows it out of date, because of the dead letter {letter}: it must be redriven or dropped"
        );
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "view-parked", detail)
    }

    /// 504: it may have been done; nobody knows yet.
    pub fn unknown(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "outcome-unknown", detail)
    }

    /// 500: a stored event cannot be read.
    pub fn unreadable(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a stored event cannot be read");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", format!("a stored event cannot be read: {error}"))
    }

    /// 503: the request cannot be answered now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
        Self { retry_after: Some(1), ..problem }
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        if !matches!(error, DatabaseError::Building(_)) {
            tracing::error!(%error, "a view cannot be read");
        }
        match error {
            DatabaseError::Building(why) => Self::building(why),
            DatabaseError::Sql(_) | DatabaseError::Pooler(_) | DatabaseError::Moved(_) => {
                Self::unavailable("the view's database did not answer")
            }
            DatabaseError::Url | DatabaseError::Missing | DatabaseError::Row(_) | DatabaseError::View(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the view could not be read; the log says why")
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).expect("a problem is a struct of texts and numbers, which is always JSON");
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
