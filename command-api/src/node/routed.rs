//! Sends a command to its owner: on this node, or one hop away; where the owner is gone, to a node that takes over from it.

use super::wire::{ExecuteRequest, Moved, node_client::NodeClient};
use super::{from_wire, line::Line, question, request, unavailable};
use event_sourcing::{Aggregate, Command};
use event_store::{Accepted, CommandError, CommandMeta, Directory, Execute, LocalOwner, Owner, standbys};
use parking_lot::Mutex;
use std::{collections::HashMap, error::Error, io, sync::Arc, time::Duration};
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

const CONNECT: Duration = Duration::from_secs(1);
/// How often a peer is pinged, and how long its answer may take.
const ALIVE: Duration = Duration::from_secs(2);
/// How many nodes are asked to take a partition over before the caller is told that none did. Nodes that take no commands of the service
/// say so at once.
const CANDIDATES: usize = 8;

/// Executes an aggregate's commands, on whichever node owns the partition.
pub struct Routed<A: Aggregate> {
    service: &'static str,
    node: String,
    local: Arc<dyn LocalOwner<A>>,
    directory: Arc<dyn Directory>,
    deadline: Duration,
    peers: Mutex<HashMap<String, Peer>>,
}

/// A node, and the line to it.
#[derive(Clone)]
struct Peer {
    channel: Channel,
    line: Arc<Line>,
}

/// Why a node gave no outcome.
enum NoOutcome {
    /// It does not own the partition.
    Moved(Moved),
    /// Nobody listens at its address: its process is gone. It may have done what was sent to it before.
    Gone,
}

type Answered = Result<Result<Accepted, CommandError>, NoOutcome>;

impl<A: Aggregate> Routed<A> {
    /// Routes the commands of a service from this node, and waits for the answer to a forwarded command until `deadline`.
    pub fn new(
        service: &'static str,
        node: &str,
        local: Arc<dyn LocalOwner<A>>,
        directory: Arc<dyn Directory>,
        deadline: Duration,
    ) -> Self {
        Self { service, node: node.to_owned(), local, directory, deadline, peers: Mutex::default() }
    }

    /// The peer at an address; a broken line is replaced.
    fn peer(&self, address: &str) -> Result<Peer, CommandError> {
        let mut peers = self.peers.lock();
        let known = peers.get(address);
        if let Some(peer) = known.filter(|peer| peer.line.is_open()) {
            return Ok(peer.clone());
        }
        let channel = known.map_or_else(|| self.channel(address), |peer| Ok(peer.channel.clone()))?;
        let peer = Peer { line: Arc::new(Line::open(NodeClient::new(channel.clone()))), channel };
        peers.insert(address.to_owned(), peer.clone());
        Ok(peer)
    }

    fn channel(&self, address: &str) -> Result<Channel, CommandError> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| unavailable(error.to_string()))?;
        let endpoint = endpoint.connect_timeout(CONNECT).timeout(self.deadline).tcp_nodelay(true);
        Ok(endpoint.http2_keep_alive_interval(ALIVE).keep_alive_timeout(ALIVE).connect_lazy())
    }

    /// Asks a node. Where the line breaks, sends the same request as a single call, which tells whether anybody still listens: the
    /// command's id makes the repeat safe.
    async fn ask(&self, address: &str, request: &ExecuteRequest) -> Answered {
        let Peer { channel, line } = match self.peer(address) {
            Ok(peer) => peer,
            Err(error) => return Ok(Err(error)),
        };
        let answer = match tokio::time::timeout(self.deadline, line.ask(request.clone())).await {
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => NodeClient::new(channel).execute(request.clone()).await.map(Response::into_inner),
            Err(late) => Err(Status::deadline_exceeded(late.to_string())),
        };
        match answer {
            Ok(reply) => from_wire(reply).map_err(NoOutcome::Moved),
            Err(status) if is_refused(&status) => Err(NoOutcome::Gone),
            Err(status) => Ok(Err(unavailable(format!(
                "the owner at {address} does not answer ({}): the outcome is unknown; send the same request with the same Idempotency-Key again to learn it",
                status.message()
            )))),
        }
    }

    /// The owner of the aggregate's partition, as far as this node knows.
    fn owner_of(&self, id: Uuid) -> Result<Owner, CommandError> {
        let partition = self.local.partition_of(id);
        let owner = self.directory.owner(self.service, partition);
        owner.ok_or_else(|| unavailable(format!("nobody owns {}/{partition} yet", self.service)))
    }

    /// Asks the known owner, and then the owner that this one names, if it names another; no further.
    async fn forward(&self, request: &ExecuteRequest, address: &str) -> Answered {
        match self.ask(address, request).await {
            Err(NoOutcome::Moved(Moved { address: next, run, .. })) if !next.is_empty() && next != address => {
                let again = ExecuteRequest { known_run: run, ..request.clone() };
                match self.ask(&next, &again).await {
                    Err(NoOutcome::Moved(_)) => Ok(changing_hands()),
                    answered => answered,
                }
            }
            Err(NoOutcome::Moved(_)) => Ok(changing_hands()),
            answered => answered,
        }
    }

    /// Asks the partition's standbys, in turn, to take over at once, since nobody listens at the owner's address. That is safe because of
    /// the claim; the consumer group notices only some seconds later. None once this node writes the partition itself.
    async fn take_over(&self, id: Uuid, owner: &Owner, request: ExecuteRequest) -> Option<Result<Accepted, CommandError>> {
        let mut nodes = self.directory.nodes();
        nodes.entry(self.node.clone()).or_default();
        let names = nodes.keys().map(String::as_str);
        for candidate in standbys(self.service, self.local.partition_of(id), &owner.node, names, CANDIDATES) {
            if candidate == self.node {
                if self.local.take_over(id).await {
                    return None;
                }
            } else if let Ok(outcome) = self.ask(&nodes[candidate], &ExecuteRequest { take_over: true, ..request.clone() }).await {
                return Some(outcome);
            }
        }
        Some(Err(unavailable(format!("the owner at {} is gone, and nobody has taken over yet", owner.address))))
    }
}

/// The answer while a partition moves from one owner to another.
fn changing_hands() -> Result<Accepted, CommandError> {
    Err(unavailable("the partition is changing hands"))
}

/// Whether the connection was refused: nobody listens at the address.
fn is_refused(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[async_trait::async_trait]
impl<A: Aggregate> Execute<A> for Routed<A> {
    async fn execute(&self, id: Uuid, command: A::Command, meta: CommandMeta) -> Result<Accepted, CommandError> {
        if let Some(outcome) = self.local.try_execute(id, command.clone(), meta.clone()).await {
            return outcome;
        }
        let owner = self.owner_of(id)?;
        let json = serde_json::to_vec(&command).map_err(|error| unavailable(error.to_string()))?;
        let request = request(self.service, id, (command.version(), json), &meta, owner.run);
        match self.forward(&request, &owner.address).await {
            Ok(outcome) => outcome,
            Err(_gone) => match self.take_over(id, &owner, request).await {
                Some(outcome) => outcome,
                None => self.local.try_execute(id, command, meta).await.unwrap_or_else(changing_hands),
            },
        }
    }

    async fn read(&self, id: Uuid) -> Result<Accepted, CommandError> {
        if let Some(outcome) = self.local.try_read(id).await {
            return outcome;
        }
        let owner = self.owner_of(id)?;
        let request = question(self.service, id, owner.run);
        match self.forward(&request, &owner.address).await {
            Ok(outcome) => outcome,
            Err(_gone) => match self.take_over(id, &owner, request).await {
                Some(outcome) => outcome,
                None => self.local.try_read(id).await.unwrap_or_else(changing_hands),
            },
        }
    }
}
