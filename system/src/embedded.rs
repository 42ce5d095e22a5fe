//! One machine's log, kept by this process and served behind Kafka's protocol.

use crate::{
    Failure, StoreArguments, System, data,
    exclusive::{self, Exclusive},
};
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
    /// Tells other tools that a tool serves the log.
    tool: Option<Exclusive>,
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
        Ok(Self { stop, serving, ended, tool: None })
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
        let _held_until_the_end = self.tool;
        match self.serving.await {
            Ok(()) if !by_itself => Ok(()),
            Ok(()) => Err(Failure::failed("the embedded log has ended by itself")),
            Err(error) => Err(Failure::failed(format!("the embedded log met a defect: {error}"))),
        }
    }
}

/// What a tool does where the data directory holds no log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It has nothing to work on.
    Refused,
    /// It begins one.
    Made,
}

/// The embedded log for a tool, where that is the one to use. The tool serves the log itself unless a node does.
///
/// # Errors
/// The directory holds no log, a log that is served elsewhere, or one that another tool serves, who will end it.
pub(crate) async fn for_tool(
    system: &System,
    arguments: &StoreArguments,
    tool: &str,
    missing: Missing,
) -> Result<Option<EmbeddedLog>, Failure> {
    if !arguments.kafka.is_embedded() {
        return Ok(None);
    }
    let (data, port) = (&arguments.data, arguments.kafka.broker_port);
    let (broker, shown) = (data.join(DIRECTORY), data.display());
    let is_there = Store::is_in(&broker);
    if !is_there && missing == Missing::Refused {
        let what = if data.exists() { "holds no log" } else { "does not exist, so it holds no log" };
        return Err(Failure::usage(format!(
            "the data directory {shown} {what} of {}; DAYBOOK_DATA (--data) names it, DAYBOOK_KAFKA (--kafka) brokers",
            system.title()
        )));
    }
    let lock = data.join("tool.lock");
    if let Some(holder) = Exclusive::holder(&lock) {
        return Err(exclusive::taken(&format!("the log of {shown}"), &holder));
    }
    let is_served = TcpStream::connect(("127.0.0.1", port)).is_ok();
    match Store::owner_of(&broker) {
        Some(_) if is_served => Ok(None),
        Some(owner) => Err(Failure::usage(format!(
            "process {owner} has the log of {shown}, and does not serve it on port {port}; DAYBOOK_BROKER_PORT (--broker-port) names its port"
        ))),
        None if is_served => Err(Failure::usage(format!(
            "port {port} serves another log than that of {shown}; DAYBOOK_BROKER_PORT (--broker-port) and DAYBOOK_DATA (--data) must be of one node"
        ))),
        None => {
            data::prepare(data)?;
            let held = Exclusive::take(&lock, &format!("the log of {shown}"), tool)?;
            let log = EmbeddedLog::start(arguments).await?;
            Ok(Some(EmbeddedLog { tool: Some(held), ..log }))
        }
    }
}

/// The log's directory in the data directory. It bears the name of the former broker's, whose files the store recognises.
const DIRECTORY: &str = "broker";

fn open(data: &Path) -> Result<Store, Failure> {
    Store::open(&data.join(DIRECTORY)).map_err(|error| match error {
        OpenError::Owned { .. } | OpenError::FormerBroker { .. } => {
            Failure::usage(format!("{error}; choose another directory with DAYBOOK_DATA"))
        }
        other => Failure::failed(other),
    })
}
