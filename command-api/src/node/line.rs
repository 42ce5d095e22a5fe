//! A stream of commands to a node, and of its answers: what HTTP/2 costs a call is paid once for all of them.

use super::wire::{ExecuteReply, ExecuteRequest, node_client::NodeClient};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, transport::Channel};

/// How many requests may wait for the connection before who asks waits, too.
const QUEUED: usize = 1_024;

/// An open stream. Who asks while it breaks is not told why: a call of its own says that better.
pub(super) struct Line {
    requests: mpsc::Sender<ExecuteRequest>,
    asked: Arc<Exchange>,
}

/// Who waits for which answer; none once the line is broken.
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
        // Who asked may have given up.
        waiting.map(|waiting| waiting.send(reply));
    }
}

impl Line {
    /// Opens a stream to whom the client knows; returns at once.
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

    /// Whether it can be asked at all.
    pub fn is_open(&self) -> bool {
        self.asked.0.lock().is_some()
    }

    /// What the node says; none where the line broke, and nobody knows what the node did.
    pub async fn ask(&self, request: ExecuteRequest) -> Option<ExecuteReply> {
        let (waiting, reply) = oneshot::channel();
        let number = self.asked.add(waiting)?;
        self.requests.send(ExecuteRequest { number, ..request }).await.ok()?;
        reply.await.ok()
    }
}

/// Hands out the answers until there are no more.
async fn hear(mut client: NodeClient<Channel>, sent: mpsc::Receiver<ExecuteRequest>, asked: &Exchange) -> Result<(), Status> {
    let mut replies = client.execute_all(ReceiverStream::new(sent)).await?.into_inner();
    while let Some(reply) = replies.message().await? {
        asked.answer(reply);
    }
    Ok(())
}
