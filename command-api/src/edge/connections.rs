//! Connections: each is bounded in how long it may keep us waiting. A shutdown cuts none off, within a bound, while its request is being
//! answered.

use super::EdgeConfig;
use axum::{Router, body::Body, http::Request, serve::Listener};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Serves until `shutdown`; then accepts no more connections, and answers the requests that it has taken, within a bound.
pub async fn serve(mut listener: TcpListener, app: Router, config: EdgeConfig, shutdown: CancellationToken) -> std::io::Result<()> {
    let (open, cut) = (GracefulShutdown::new(), CancellationToken::new());
    let _cut_when_dropped = cut.clone().drop_guard();
    loop {
        let stream = tokio::select! {
            (stream, _) = Listener::accept(&mut listener) => stream,
            () = shutdown.cancelled() => break,
        };
        let (app, watcher, cut) = (app.clone(), open.watcher(), cut.clone());
        tokio::spawn(async move { cut.run_until_cancelled(connection(stream, app, config, watcher)).await });
    }
    drop(listener);
    if tokio::time::timeout(config.drain, open.shutdown()).await.is_err() {
        tracing::warn!(seconds = config.drain.as_secs_f64(), "requests were still unanswered when the shutdown's bound was over");
    }
    Ok(())
}

async fn connection(stream: TcpStream, app: Router, config: EdgeConfig, watcher: Watcher) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(config.header_timeout);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(config.header_timeout).max_concurrent_streams(256);
    let asked = CancellationToken::new();
    let first = asked.clone();
    let service = TowerToHyperService::new(app.map_request(move |request: Request<_>| {
        first.cancel();
        request.map(Body::new)
    }));
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    tokio::select! {
        ended = watcher.watch(connection) => ended.unwrap_or_else(|error| tracing::debug!(error, "a connection ended")),
        () = silence(config.header_timeout, asked) => {}
    }
}

/// Returns when no request came in time. The builder's own limit begins only when it knows which HTTP is spoken.
async fn silence(limit: Duration, asked: CancellationToken) {
    if tokio::time::timeout(limit, asked.cancelled()).await.is_ok() {
        std::future::pending().await
    }
}
