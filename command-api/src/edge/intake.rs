//! Reads bodies whole before anything is decided, within bounds of size and time.
//!
//! A caller may never see an answer that is sent while it still sends: the connection is reset under it. So a body that is too large is
//! read on for a while, and where unread bytes may remain the connection is closed in good order.

use super::{
    EdgeConfig,
    pool::{CallerKey, Places, Pool},
};
use crate::Problem;
use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderValue, StatusCode, Version, header},
    response::Response,
};
use futures::{Stream, StreamExt, poll};
use std::task::Poll;

/// A body that is too large is read on, up to so many times the limit.
const READ_ON: usize = 8;
/// Up to so many unread bytes need no closing of the connection: hyper takes them from its buffer.
const SMALL: u64 = 8192;

/// The bytes of an unfinished body that take one place.
const PLACE: usize = 64 * 1024;

/// The bodies that are being read. One that came with its head needs no place; one that is waited for takes a place, and one more for each
/// further 64 KiB that have come. So neither callers who send slowly nor large bodies take the places of those whose requests are whole.
pub(super) struct Intake {
    config: EdgeConfig,
    bodies: Pool,
}

impl Intake {
    pub fn new(config: EdgeConfig) -> Self {
        Self { config, bodies: Pool::new() }
    }

    /// Reads the request's body; a problem where that is too large, too slow or broken off, or where there are too many of them.
    pub async fn whole(&self, caller: CallerKey, request: Request) -> Result<Request, Problem> {
        if request.body().is_end_stream() {
            return Ok(request);
        }
        let (parts, body) = request.into_parts();
        let read = tokio::time::timeout(self.config.body_timeout, self.read(caller, body)).await;
        read.unwrap_or_else(|_| Err(too_slow())).map(|bytes| Request::from_parts(parts, Body::from(bytes)))
    }

    async fn read(&self, caller: CallerKey, body: Body) -> Result<Vec<u8>, Problem> {
        let limit = self.config.body_limit;
        let mut places = Places::none(&self.bodies, caller);
        let (mut chunks, mut bytes, mut size) = (body.into_data_stream(), Vec::new(), 0_usize);
        while let Some(chunk) = self.next(&mut chunks, &mut places).await? {
            size = size.saturating_add(chunk.len());
            if size <= limit {
                bytes.extend_from_slice(&chunk);
            }
            if size > limit.saturating_mul(READ_ON) {
                break;
            }
            if places.held() > 0 {
                self.hold(&mut places, bytes.len().div_ceil(PLACE))?;
            }
        }
        if size <= limit { Ok(bytes) } else { Err(too_large(limit)) }
    }

    /// The next piece of a body; takes a place before it waits for one.
    async fn next<E: ToString>(
        &self,
        chunks: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
        places: &mut Places<&Pool>,
    ) -> Result<Option<Bytes>, Problem> {
        let chunk = match poll!(chunks.next()) {
            Poll::Ready(chunk) => chunk,
            Poll::Pending => {
                self.hold(places, 1)?;
                chunks.next().await
            }
        };
        chunk.transpose().map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "unreadable-body", error.to_string()))
    }

    fn hold(&self, places: &mut Places<&Pool>, wanted: usize) -> Result<(), Problem> {
        let full = || super::admission::full("bodies", "the server reads as many bodies as it can hold");
        if places.hold(wanted, self.config.bodies) { Ok(()) } else { Err(full()) }
    }
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
