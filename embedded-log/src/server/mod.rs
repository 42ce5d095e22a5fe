//! The server: whoever speaks Kafka's protocol can append to the log and read it.

mod broker;
mod cluster;
mod configs;
mod connection;
mod fetch;
mod group_offsets;
mod groups;
mod list_offsets;
mod produce;
#[cfg(test)]
mod tests;
mod topics;

use crate::{
    store::Store,
    wire::{Budget, FrameLimits},
};
use broker::Broker;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

/// How long the server waits after a connection could not be accepted: mostly there are no file descriptors left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServerSettings {
    /// The largest request to append. A connection that sends a larger one is closed.
    pub max_request_bytes: usize,
    /// The largest request of any other kind: none of them holds records, and each name in one can make its answer larger.
    pub max_other_request_bytes: usize,
    /// A connection that has begun a request and does not end it within this time is closed.
    pub request_within: Duration,
    /// A connection that has sent nothing for this long is closed, unless something that it has asked for is still being done. Clients connect
    /// again when they have something to ask, since Apache Kafka does the same (`connections.max.idle.ms`).
    pub idle_within: Duration,
    /// How many bytes of unanswered requests all connections together may hold. A connection that needs more is closed.
    pub max_pending_bytes: usize,
    /// How many bytes of answers may be on their way to clients. When there are more, a reader gets one batch at a time, and a connection that
    /// has asked for another large answer is closed.
    pub max_answer_bytes: usize,
    /// How many connections there may be. Further ones are closed at once.
    pub max_connections: usize,
}

impl ServerSettings {
    fn frame_limits(&self) -> FrameLimits {
        let (most, most_others) = (self.max_request_bytes, self.max_other_request_bytes);
        FrameLimits { most, most_others, within: self.request_within, idle: self.idle_within }
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            max_request_bytes: 100 << 20,
            max_other_request_bytes: 1 << 20,
            request_within: Duration::from_secs(60),
            idle_within: Duration::from_secs(600),
            max_pending_bytes: 256 << 20,
            max_answer_bytes: 256 << 20,
            max_connections: 1_000,
        }
    }
}

/// A server that is bound to its address.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    broker: Arc<Broker>,
    settings: ServerSettings,
}

impl Server {
    /// Binds the address; port 0 takes a free one. Connections wait until [`Server::run`].
    pub async fn bind(address: SocketAddr, store: Arc<Store>) -> io::Result<Self> {
        Self::bind_with(address, store, ServerSettings::default()).await
    }

    /// Binds the address, with other limits than the usual ones.
    pub async fn bind_with(address: SocketAddr, store: Arc<Store>, settings: ServerSettings) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let broker = Arc::new(Broker::new(store, address, settings.max_answer_bytes).map_err(io::Error::other)?);
        Ok(Self { listener, address, broker, settings })
    }

    /// The address that clients connect to.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` ends, and then ends all connections. What has been acknowledged is on the disk.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut tasks = JoinSet::new();
        let coordinator = self.broker.coordinator.clone();
        tasks.spawn(async move { coordinator.keep_time().await });
        tokio::select! {
            () = shutdown => {}
            () = self.accept(&mut tasks) => {}
        }
        tasks.shutdown().await;
    }

    /// Serves a peer that is no socket until its connection ends, with budgets of its own. Returns how many bytes of them are still taken then,
    /// which must be none. For fuzzing.
    #[doc(hidden)]
    pub async fn serve_peer(&self, peer: impl AsyncRead + AsyncWrite + Unpin) -> usize {
        let (from, to) = tokio::io::split(peer);
        let requests = Budget::new(self.settings.max_pending_bytes);
        let _ = connection::serve(from, to, self.broker.clone(), self.settings, requests.clone()).await;
        self.settings.max_pending_bytes - requests.left() + self.settings.max_answer_bytes - self.broker.answers.left()
    }

    async fn accept(&self, tasks: &mut JoinSet<()>) {
        let (places, budget) = (Arc::new(Semaphore::new(self.settings.max_connections)), Budget::new(self.settings.max_pending_bytes));
        loop {
            // Takes the tasks that have ended out of the set.
            while let Some(ended) = tasks.try_join_next() {
                if let Err(error) = ended {
                    tracing::error!(%error, "a task of the server met a defect");
                }
            }
            let Some(stream) = self.next_connection().await else { continue };
            let Ok(place) = places.clone().try_acquire_owned() else {
                tracing::warn!(most = self.settings.max_connections, "too many connections: a new one is closed");
                continue;
            };
            let serving = connection::serve_socket(stream, self.broker.clone(), self.settings, budget.clone());
            tasks.spawn(async move {
                serving.await;
                drop(place);
            });
        }
    }

    async fn next_connection(&self) -> Option<TcpStream> {
        match self.listener.accept().await {
            Ok((stream, _)) => Some(stream),
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                None
            }
        }
    }
}
