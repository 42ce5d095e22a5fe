//! A stream of commands to a node and of its answers: the cost of an HTTP/2 call is paid once for all of them.

use super::wire::{ExecuteReply, ExecuteRequest, node_client::NodeClient};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{ConnectError, Status, transport::Channel};

/// How many requests may wait for the connection; beyond that, callers wait to add theirs.
const QUEUED: usize = 1_024;

/// An open stream. When it breaks, its callers are not told why: the single call that each then makes tells it better.
pub(super) struct Line {
    requests: mpsc::Sender<ExecuteRequest>,
    asked: Arc<Exchange>,
}

#[derive(Default)]
struct Exchange {
    /// The callers that wait for answers, by number; none once the line is broken.
    waiting: Mutex<Option<Unanswered>>,
    /// Whether no connection came about, so that nothing was sent.
    unsent: AtomicBool,
}

#[derive(Default)]
struct Unanswered {
    last: u64,
    replies: HashMap<u64, oneshot::Sender<ExecuteReply>>,
}

/// What became of a request.
pub(super) enum Asked {
    /// It was answered.
    Answered(ExecuteReply),
    /// The line was broken before it was sent.
    NotSent,
    /// The line broke afterwards: nobody knows what the node did.
    Lost,
}

impl Exchange {
    fn add(&self, reply: oneshot::Sender<ExecuteReply>) -> Option<u64> {
        let mut waiting = self.waiting.lock();
        let waiting = waiting.as_mut()?;
        waiting.last += 1;
        waiting.replies.insert(waiting.last, reply);
        Some(waiting.last)
    }

    fn answer(&self, reply: ExecuteReply) {
        let waiting = self.waiting.lock().as_mut().and_then(|waiting| waiting.replies.remove(&reply.number));
        // The caller may have given up.
        waiting.map(|waiting| waiting.send(reply));
    }
}

impl Line {
    /// Opens a stream to the client's node; returns at once.
    pub fn open(client: NodeClient<Channel>) -> Self {
        let (requests, sent) = mpsc::channel(QUEUED);
        let asked = Arc::new(Exchange { waiting: Mutex::new(Some(Unanswered::default())), ..Exchange::default() });
        let heard = asked.clone();
        tokio::spawn(async move {
            if let Err(status) = hear(client, sent, &heard).await {
                tracing::debug!(%status, "a line to a node is broken");
                heard.unsent.store(is_unsent(&status), Ordering::Relaxed);
            }
            heard.waiting.lock().take();
        });
        Self { requests, asked }
    }

    /// Whether the stream is not broken yet.
    pub fn is_open(&self) -> bool {
        self.asked.waiting.lock().is_some()
    }

    /// Sends a request and waits for the reply.
    pub async fn ask(&self, request: ExecuteRequest) -> Asked {
        let (waiting, reply) = oneshot::channel();
        let Some(number) = self.asked.add(waiting) else { return Asked::NotSent };
        if self.requests.send(ExecuteRequest { number, ..request }).await.is_err() {
            return Asked::NotSent;
        }
        match reply.await {
            Ok(reply) => Asked::Answered(reply),
            Err(_broken) if self.asked.unsent.load(Ordering::Relaxed) => Asked::NotSent,
            Err(_broken) => Asked::Lost,
        }
    }
}

/// Whether a call failed because no connection came about: its request was not sent.
pub(super) fn is_unsent(status: &Status) -> bool {
    std::iter::successors(status.source(), |error| (**error).source()).any(|error| error.is::<ConnectError>())
}

/// Gives each reply to its caller until the stream ends.
async fn hear(mut client: NodeClient<Channel>, sent: mpsc::Receiver<ExecuteRequest>, asked: &Exchange) -> Result<(), Status> {
    let mut replies = client.execute_all(ReceiverStream::new(sent)).await?.into_inner();
    while let Some(reply) = replies.message().await? {
        asked.answer(reply);
    }
    Ok(())
}
