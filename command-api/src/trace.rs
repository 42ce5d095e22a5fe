//! The W3C trace context of a request: taken from the caller, or begun here.

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderValue, request::Parts},
    response::Response,
};
use tracing::Instrument;
use uuid::Uuid;

/// A well-formed `traceparent`.
#[derive(Clone, Debug)]
pub(crate) struct TraceParent(String);

impl TraceParent {
    /// The request's, as [`follow`] stored it; from the headers where `follow` did not run.
    pub fn of(parts: &Parts) -> Self {
        parts.extensions.get().cloned().unwrap_or_else(|| Self::from_headers(&parts.headers))
    }

    /// The caller's where it is well formed, else a new one: the standard asks to ignore a malformed one.
    fn from_headers(headers: &HeaderMap) -> Self {
        let given = headers.get("traceparent").and_then(|value| value.to_str().ok()).filter(|text| is_traceparent(text));
        given.map(str::to_owned).map(Self).unwrap_or_else(Self::begin)
    }

    fn begin() -> Self {
        let (trace, span) = (Uuid::new_v4().simple().to_string(), Uuid::new_v4().simple().to_string());
        Self(format!("00-{trace}-{}-01", &span[..16]))
    }

    /// The header's whole value.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trace's id: 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        self.0.split('-').nth(1).unwrap_or_default()
    }
}

/// Runs the request in a span, and puts its trace into the answer's header.
pub(crate) async fn follow<F: Future<Output = Response>>(mut request: Request, next: impl FnOnce(Request) -> F) -> Response {
    let parent = TraceParent::from_headers(request.headers());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", method = %request.method(), route, trace_id = parent.trace_id());
    request.extensions_mut().insert(parent.clone());
    let answered = async {
        let response = next(request).await;
        tracing::debug!(status = response.status().as_u16(), "answered");
        response
    };
    let mut response = answered.instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(parent.as_str()) {
        response.headers_mut().insert("traceparent", value);
    }
    response
}

fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str, length: usize| part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let nonzero = |part: &str| part.bytes().any(|byte| byte != b'0');
    matches!(parts[..], ["00", trace, span, flags] if hex(trace, 32) && nonzero(trace) && hex(span, 16) && nonzero(span) && hex(flags, 2))
}
