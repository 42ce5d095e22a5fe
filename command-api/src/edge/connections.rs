//! Connections: how many there are is bounded, with a share for each caller, and so is how long each may keep us waiting. A shutdown cuts
//! none off, within a bound, while its request is being answered.

use super::{
    EdgeConfig,
    activity::Activity,
    admission::full,
    pool::{CallerKey, Places, Pool},
    socket::Socket,
};
use axum::{
    Router,
    body::Body,
    http::{Request, Version},
    serve::Listener,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use std::{pin::pin, sync::Arc};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, service_fn};

/// The most bytes of a request's head.
const MOST_HEAD: usize = 64 * 1024;
/// The most requests at once on one connection.
const MOST_STREAMS: u32 = 256;
/// What a connection that finds no place is told.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves until `shutdown`; then accepts no more connections, and answers the requests that it has taken, within a bound.
pub async fn serve(mut listener: TcpListener, app: Router, config: EdgeConfig, shutdown: CancellationToken) -> std::io::Result<()> {
    let (open, cut, places) = (TaskTracker::new(), CancellationToken::new(), Arc::new(Pool::new()));
    let _cut_when_dropped = cut.clone().drop_guard();
    let most = config.connections.min(half_of_the_files());
    loop {
        let (stream, peer) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = shutdown.cancelled() => break,
        };
        let caller = CallerKey::at(peer.ip());
        let Some(place) = Places::one(Shared(places.clone()), most, caller) else {
            full("connections", "");
            // The caller may not wait for it.
            let _ = stream.try_write(FULL);
            continue;
        };
        let (app, stop, cut) = (app.clone(), shutdown.clone(), cut.clone());
        open.spawn(async move {
            let _place = place;
            cut.run_until_cancelled(connection(stream, app, config, caller, stop)).await
        });
    }
    drop(listener);
    open.close();
    if tokio::time::timeout(config.drain, open.wait()).await.is_err() {
        tracing::warn!(seconds = config.drain.as_secs_f64(), "requests were still unanswered when the shutdown's bound was over");
    }
    Ok(())
}

struct Shared(Arc<Pool>);

impl AsRef<Pool> for Shared {
    fn as_ref(&self) -> &Pool {
        &self.0
    }
}

/// Half of the files that this process may open, where the system says how many those are: the log, the databases and the other nodes need
/// some too, and without any no connection could be accepted.
fn half_of_the_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse::<usize>().ok());
    soft.map_or(usize::MAX, |soft| soft / 2)
}

async fn connection(stream: TcpStream, app: Router, config: EdgeConfig, caller: CallerKey, stop: CancellationToken) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let activity = Arc::new(Activity::default());
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(MOST_HEAD);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(config.header_timeout).max_concurrent_streams(MOST_STREAMS);
    let socket = TokioIo::new(Socket::new(stream, activity.clone(), config));
    let answering = activity.clone();
    let service = service_fn(move |request| answer(app.clone(), request, caller, answering.clone()));
    let mut connection = pin!(builder.serve_connection(socket, TowerToHyperService::new(service)));
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                return ended.unwrap_or_else(|error| tracing::debug!(error, "a connection ended"));
            }
            () = activity.idle.notified() => connection.as_mut().graceful_shutdown(),
            () = stop.cancelled() => break,
        }
    }
    connection.as_mut().graceful_shutdown();
    connection.await.unwrap_or_else(|error| tracing::debug!(error, "a connection ended"));
}

async fn answer<B>(
    mut app: Router,
    request: Request<B>,
    caller: CallerKey,
    activity: Arc<Activity>,
) -> Result<axum::response::Response, std::convert::Infallible>
where
    B: axum::body::HttpBody<Data = axum::body::Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    let (progress, multiplexed) = (activity.begin(), request.version() == Version::HTTP_2);
    let mut request = request.map(Body::new);
    caller.store(request.extensions_mut());
    let response = app.call(request).await?;
    Ok(if multiplexed { response.map(|body| progress.until_read(body)) } else { response })
}
