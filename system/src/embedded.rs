//! One machine's log, kept by this process and served behind Kafka's protocol.

use crate::{Failure, StoreArguments};
use embedded_log::{OpenError, Server, Store};
use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A log that is being served.
pub(crate) struct EmbeddedLog {
    stop: CancellationToken,
    serving: JoinHandle<()>,
    /// Cancelled when the server has ended.
    ended: CancellationToken,
}

impl EmbeddedLog {
    /// Opens the log in the data directory, or makes it, and serves it.
    ///
    /// # Errors
    /// The port is taken, another process has the log, or the file cannot be read.
    pub async fn start(arguments: &StoreArguments) -> Result<Self, Failure> {
        let address = SocketAddr::from(([127, 0, 0, 1], arguments.kafka.broker_port));
        let in_use = |error: std::io::Error| Failure::in_use("the embedded log", &address, &error, "DAYBOOK_BROKER_PORT");
        // Before the log is opened: who serves this port already has it open, as a rule, and the port says more.
        drop(std::net::TcpListener::bind(address).map_err(in_use)?);
        let store = open(&arguments.data)?;
        let server = Server::bind(address, Arc::new(store)).await.map_err(in_use)?;
        let stop = CancellationToken::new();
        let (until, ended) = (stop.clone(), CancellationToken::new());
        let guard = ended.clone().drop_guard();
        let serving = tokio::spawn(async move {
            let _guard = guard;
            server.run(until.cancelled_owned()).await;
        });
        Ok(Self { stop, serving, ended })
    }

    /// Serves the log where it is the one to use and no other process serves it yet.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_unless_served(arguments: &StoreArguments) -> Result<Option<Self>, Failure> {
        let is_served = || TcpStream::connect(("127.0.0.1", arguments.kafka.broker_port)).is_ok();
        if arguments.kafka.is_embedded() && !is_served() { Self::start(arguments).await.map(Some) } else { Ok(None) }
    }

    /// Cancels a token when the server has ended, however it did: nothing can be done without the log.
    pub fn stop_with_it(&self, token: CancellationToken) {
        let ended = self.ended.clone();
        tokio::spawn(async move {
            ended.cancelled().await;
            token.cancel();
        });
    }

    /// Ends the server, and closes the log.
    ///
    /// # Errors
    /// The server has ended by itself, which it never should.
    pub async fn stop(self) -> Result<(), Failure> {
        let by_itself = self.ended.is_cancelled();
        self.stop.cancel();
        match self.serving.await {
            Ok(()) if !by_itself => Ok(()),
            Ok(()) => Err(Failure::failed("the embedded log has ended by itself")),
            Err(error) => Err(Failure::failed(format!("the embedded log met a defect: {error}"))),
        }
    }
}

/// The directory bears the name of the former broker's, whose files the store recognises.
fn open(data: &Path) -> Result<Store, Failure> {
    Store::open(&data.join("broker")).map_err(|error| match error {
        OpenError::Owned { .. } | OpenError::FormerBroker { .. } => {
            Failure::usage(format!("{error}; choose another directory with DAYBOOK_DATA"))
        }
        other => Failure::failed(other),
    })
}
