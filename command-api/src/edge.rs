//! The edge of a process: limits, metrics, health, description, and a shutdown that answers the requests it accepted.

mod activity;
mod admission;
mod connections;
mod description;
mod guard;
mod intake;
mod metrics;
mod pool;
mod readiness;
mod socket;

pub use connections::serve;
pub use event_store::Readiness;
pub use guard::{Guard, UnguardedRoutes};

use crate::{Problem, trace};
use admission::Admission;
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{Method, StatusCode, Uri},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use codec::Schemas;
use futures::FutureExt;
use serde_json::json;
use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

/// The limits of the HTTP edge.
#[derive(Clone, Copy, Debug)]
pub struct EdgeConfig {
    /// The largest body, in bytes.
    pub body_limit: usize,
    /// The longest that a request may take.
    pub request_timeout: Duration,
    /// The longest that a body may take to arrive. It is less than `request_timeout`, so that the caller is told that nothing was done.
    pub body_timeout: Duration,
    /// The longest that a connection may take to send a request's head, or stay idle.
    pub header_timeout: Duration,
    /// The longest that a caller may take to read an answer.
    pub answer_timeout: Duration,
    /// The most connections at once. The process may hold fewer: at most half of the files that it may open.
    pub connections: usize,
    /// The most bodies that are waited for at once, in units of 64 KiB.
    pub bodies: usize,
    /// The most requests at once that wait on purpose, for a position or for a strong read.
    pub waiters: usize,
    /// The most other requests at once. Of these four, what goes beyond is answered 503 at once.
    pub concurrency: usize,
    /// When answers take longer than this, fewer requests are taken at once.
    pub answer_within: Duration,
    /// How long a shutdown waits for the answers to accepted requests.
    pub drain: Duration,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            body_limit: 1 << 20,
            request_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(30),
            connections: 8192,
            bodies: 4096,
            waiters: 4096,
            concurrency: 4096,
            answer_within: Duration::from_millis(100),
            drain: Duration::from_secs(10),
        }
    }
}

/// All routes of a process behind its guard and its limits, with health, metrics, `/openapi.json` and `/docs`.
///
/// # Errors
/// The guard asks for tokens, and nobody said who may use some of the routes.
pub fn app(
    routes: OpenApiRouter,
    readiness: Readiness,
    schemas: Schemas,
    config: EdgeConfig,
    guard: Guard,
) -> Result<Router, UnguardedRoutes> {
    let own = OpenApiRouter::new().routes(routes!(index)).routes(routes!(live)).routes(routes!(metrics::answer));
    let own = own.merge(OpenApiRouter::new().routes(routes!(readiness::answer)).with_state(readiness));
    let (own, mut description) = own.split_for_parts();
    let (router, routes) = routes.split_for_parts();
    description.merge(routes);
    let guard = guard.of_routes(&description)?;
    let metadata = guard.clone();
    let own = own.route(access::METADATA_PATH, get(move || async move { metadata.metadata() }));
    let business = router
        .merge(SwaggerUi::new("/docs").url("/openapi.json", description::complete(description)))
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::new(Admission::new(config)), admission::admit));
    let app = own.merge(registry(schemas)).merge(business).fallback(unknown_route).method_not_allowed_fallback(unknown_method);
    Ok(app.layer(middleware::from_fn_with_state(guard, surround)))
}

/// Trace, metrics, closing of connections, who may what and the guard against panics, for every request, in one layer: for each request axum
/// copies all that is within a layer, so the cost of nested layers grows with the square of their number.
async fn surround(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let answer = |request| guarded(async move { guard.pass(request, |request| next.run(request)).await });
    trace::follow(request, |request| metrics::measure(request, |request| intake::close_when_unread(request, answer))).await
}

/// The last guard: a panic becomes a problem (500) of its one request, and does not end the connection.
async fn guarded(answer: impl Future<Output = Response>) -> Response {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|panic| panicked(&*panic))
}

/// The bundled schemas under the paths of a schema registry.
fn registry(schemas: Schemas) -> Router {
    let answer = |State(schemas): State<Schemas>, uri: Uri| async move {
        let found = codec::rest::answer(&schemas, uri.path());
        found
            .map(Json)
            .map_err(|missing| (StatusCode::NOT_FOUND, Json(json!({"error_code": missing.error_code, "message": missing.message}))))
    };
    let paths = ["/subjects", "/subjects/{*rest}", "/schemas/{*rest}", "/config", "/config/{subject}"];
    paths.into_iter().fold(Router::new(), |router, path| router.route(path, get(answer))).with_state(schemas)
}

/// The paths of the documentation, health, metrics and schemas.
#[utoipa::path(get, path = "/", tag = "process", responses((status = 200, description = "Names and paths", body = std::collections::HashMap<String, String>)))]
async fn index() -> Json<serde_json::Value> {
    Json(
        json!({"name": "daybook", "docs": "/docs", "openapi": "/openapi.json", "ready": "/health/ready", "live": "/health/live", "metrics": "/metrics", "schemas": "/subjects"}),
    )
}

/// Whether this process runs at all.
#[utoipa::path(get, path = "/health/live", tag = "process", responses((status = 200, description = "It does", body = std::collections::HashMap<String, String>)))]
async fn live() -> Json<serde_json::Value> {
    Json(json!({"status": "live"}))
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let words = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = words, "a request met a defect");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "an unforeseen error; it was logged").into_response()
}

async fn unknown_route(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown-path", format!("there is nothing at {}", uri.path()))
}

/// `OPTIONS` asks what a path takes; the router adds `Allow` to either answer.
async fn unknown_method(request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let detail = format!("{} is not among what {} takes", request.method(), request.uri().path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail).into_response()
}
