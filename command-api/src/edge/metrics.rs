//! Metrics of requests: how many, how fast, how they ended; by route, never by id.

use axum::{
    extract::{MatchedPath, Request},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use prometheus::{HistogramVec, TextEncoder, register_histogram_vec};
use std::{sync::LazyLock, time::Instant};

static REQUESTS: LazyLock<HistogramVec> = LazyLock::new(|| {
    let buckets = vec![0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
    register_histogram_vec!("daybook_http_request_seconds", "How long requests took", &["method", "route", "status"], buckets)
        .expect("registered once")
});

pub(super) async fn measure<F: Future<Output = Response>>(request: Request, next: impl FnOnce(Request) -> F) -> Response {
    let begun = Instant::now();
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched".to_owned(), |path| path.as_str().to_owned());
    let response = next(request).await;
    REQUESTS.with_label_values(&[method, &route, response.status().as_str()]).observe(begun.elapsed().as_secs_f64());
    response
}

/// The method's name; methods that a caller invented share one, since each name would be a series of its own.
fn known(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known.into_iter().find(|known| method == known).unwrap_or("other")
}

/// This process' metrics, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "process", extensions(("x-action" = json!("metrics.read"))), responses((status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain")))]
pub(super) async fn answer() -> Response {
    match TextEncoder::new().encode_to_string(&prometheus::gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
