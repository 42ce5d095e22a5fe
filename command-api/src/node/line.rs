//! A stream of commands to a node and of its answers: the cost of an HTTP/2 call is paid once for all of them.

use super::wire::{ExecuteReply, ExecuteRequest, node_client::NodeClient};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, transport::Channel};

/// How many requests may wait for the connection; beyond that, callers wait to add theirs.
const QUEUED: usize = 1_024;

/// An open stream. When it breaks, its callers are not told why: the single call that each then makes tells it better.
pub(super) struct Line {
    requests: mpsc::Sender<ExecuteRequest>,
    asked: Arc<Exchange>,
}

/// The callers that wait for answers, by number; none once the line is broken.
struct Exchange(Mutex<Option<Unanswered>>);

#[derive(Default)]
struct Unanswered {
    last: u64,
    replies: HashMap<u64, oneshot::Sender<ExecuteReply>>,
}

impl Exchange {
    fn add(&self, reply: oneshot::Sender<ExecuteReply>) -> Option<u64> {
        let mut waiting = self.0.lock();
        let waiting = waiting.as_mut()?;
        waiting.last += 1;
        waiting.replies.insert(waiting.last, reply);
        Some(waiting.last)
    }

    fn answer(&self, reply: ExecuteReply) {
        let waiting = self.0.lock().as_mut().and_then(|waiting| waiting.replies.remove(&reply.number));
        // The caller may have given up.
        waiting.map(|waiting| waiting.send(reply));
    }
}

impl Line {
    /// Opens a stream to the client's node; returns at once.
    pub fn open(client: NodeClient<Channel>) -> Self {
        let (requests, sent) = mpsc::channel(QUEUED);
        let asked = Arc::new(Exchange(Mutex::new(Some(Unanswered::default()))));
        let heard = asked.clone();
        tokio::spawn(async move {
            if let Err(status) = hear(client, sent, &heard).await {
                tracing::debug!(%status, "a line to a node is broken");
            }
            heard.0.lock().take();
        });
        Self { requests, asked }
    }

    /// Whether the stream is not broken yet.
    pub fn is_open(&self) -> bool {
        self.asked.0.lock().is_some()
    }

    /// Sends a request and waits for the reply; none where the line broke, and nobody knows what the node did.
    pub async fn ask(&self, request: ExecuteRequest) -> Option<ExecuteReply> {
        let (waiting, reply) = oneshot::channel();
        let number = self.asked.add(waiting)?;
        self.requests.send(ExecuteRequest { number, ..request }).await.ok()?;
        reply.await.ok()
    }
}

/// Gives each reply to its caller until the stream ends.
async fn hear(mut client: NodeClient<Channel>, sent: mpsc::Receiver<ExecuteRequest>, asked: &Exchange) -> Result<(), Status> {
    let mut replies = client.execute_all(ReceiverStream::new(sent)).await?.into_inner();
    while let Some(reply) = replies.message().await? {
        asked.answer(reply);
    }
    Ok(())
}
