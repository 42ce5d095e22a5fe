//! Reads bodies whole before anything is decided, within bounds of size and time.
//!
//! A caller may never see an answer that is sent while it still sends: the connection is reset under it. So a body that is too large is
//! read on for a while, and where unread bytes may remain the connection is closed in good order.

use super::EdgeConfig;
use crate::Problem;
use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::{HeaderValue, StatusCode, Version, header},
    response::Response,
};
use futures::StreamExt;

/// A body that is too large is read on, up to so many times the limit.
const READ_ON: usize = 8;
/// Up to so many unread bytes need no closing of the connection: hyper takes them from its buffer.
const SMALL: u64 = 8192;

/// Reads the request's body; a problem where that is too large, too slow or broken off.
pub(super) async fn whole(config: EdgeConfig, request: Request) -> Result<Request, Problem> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let read = tokio::time::timeout(config.body_timeout, read(body, config.body_limit)).await;
    read.unwrap_or_else(|_| Err(too_slow())).map(|bytes| Request::from_parts(parts, Body::from(bytes)))
}

async fn read(body: Body, limit: usize) -> Result<Vec<u8>, Problem> {
    let (mut chunks, mut bytes, mut size) = (body.into_data_stream(), Vec::new(), 0_usize);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "unreadable-body", error.to_string()))?;
        size = size.saturating_add(chunk.len());
        if size <= limit {
            bytes.extend_from_slice(&chunk);
        }
        if size > limit.saturating_mul(READ_ON) {
            break;
        }
    }
    if size <= limit { Ok(bytes) } else { Err(too_large(limit)) }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", format!("the body is larger than {limit} bytes"))
}

fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", "the body did not arrive in time; nothing was done")
}

/// Tells the caller not to reuse a connection on which the rest of a body may stand.
pub(super) async fn close_when_unread<F: Future<Output = Response>>(request: Request, next: impl FnOnce(Request) -> F) -> Response {
    let large = request.version() <= Version::HTTP_11 && request.body().size_hint().upper().is_none_or(|size| size > SMALL);
    let mut response = next(request).await;
    if large && (response.status().is_client_error() || response.status().is_server_error()) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
