//! What a connection is doing: the requests in progress on it, and the answers that are still to be read.

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Shared by a connection's socket, which bounds how long it is idle, and its requests.
#[derive(Default)]
pub(super) struct Activity {
    /// The requests that have begun on this connection so far.
    begun: AtomicU64,
    /// Those that are in progress.
    inside: AtomicUsize,
    /// When each HTTP/2 answer was begun that its caller has not read yet.
    unread: Mutex<HashMap<u64, Instant>>,
    /// Told when the connection has been idle for too long.
    pub idle: Notify,
}

impl Activity {
    /// Begins a request; it ends when the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> InProgress {
        self.inside.fetch_add(1, Ordering::Relaxed);
        InProgress { number: self.begun.fetch_add(1, Ordering::Relaxed), activity: self.clone() }
    }

    /// The number of requests that have begun, and whether none is in progress.
    pub fn state(&self) -> (u64, bool) {
        (self.begun.load(Ordering::Relaxed), self.inside.load(Ordering::Relaxed) == 0)
    }

    /// Whether an answer has been unread for so long.
    pub fn is_unread_for(&self, limit: Duration) -> bool {
        self.unread.lock().values().any(|begun| begun.elapsed() >= limit)
    }
}

/// A request in progress.
pub(super) struct InProgress {
    activity: Arc<Activity>,
    number: u64,
}

impl InProgress {
    /// The answer's body, which keeps the request in progress until it is read: over HTTP/2 a caller can leave an answer unread while the
    /// connection goes on.
    pub fn until_read(self, body: Body) -> Body {
        self.activity.unread.lock().insert(self.number, Instant::now());
        Body::new(Unread { body, progress: self })
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.activity.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Unread {
    body: Body,
    progress: InProgress,
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.progress.activity.unread.lock().remove(&self.progress.number);
    }
}

impl HttpBody for Unread {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
