//! The id in a path.

use crate::Problem;
use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

/// The `{id}` of the path as text: the handler parses it with the body, so that one answer names the errors of both.
pub struct PathId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id) = Path::from_request_parts(parts, state).await.map_err(|_| Problem::field("id", "must be UTF-8, percent-encoded"))?;
        Ok(Self(id))
    }
}
