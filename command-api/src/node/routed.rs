//! Sends a command to its owner: on this node, or one hop away; where the owner is gone, to a node that takes over from it.

use super::wire::{ExecuteRequest, Moved, node_client::NodeClient};
use super::{
    from_wire, in_doubt,
    line::{Asked, Line, is_unsent},
    question, request, unavailable,
};
use event_sourcing::{Aggregate, Command};
use event_store::{Accepted, CommandError, CommandMeta, Directory, Execute, LocalOwner, Owner, Unavailable, standbys};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    error::Error,
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

const CONNECT: Duration = Duration::from_secs(1);
/// How often a peer is pinged, and how long its answer may take.
pub(super) const ALIVE: Duration = Duration::from_secs(2);
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
    /// It does not own the partition. It may have when it had the request before.
    Moved { to: Moved, had_it: bool },
    /// Nobody listens at its address: its process is gone. Where it had the request before, it may have done it.
    Gone { had_it: bool },
}

impl NoOutcome {
    /// Whether the node may have carried the request out.
    fn had_it(&self) -> bool {
        matches!(self, Self::Gone { had_it: true } | Self::Moved { had_it: true, .. })
    }
}

type Outcome = Result<Accepted, CommandError>;
type Answered = Result<Outcome, NoOutcome>;

/// An outcome of a further attempt, where an earlier one may have been carried out: what it did is known only by an answer that rests on
/// the aggregate's state.
fn after_doubt(had_it: bool, outcome: Outcome) -> Outcome {
    outcome.map_err(|error| match error {
        CommandError::Unavailable(not_now) => CommandError::Unavailable(Unavailable { in_doubt: not_now.in_doubt || had_it, ..not_now }),
        settled @ (CommandError::Refused(_)
        | CommandError::Conflict { .. }
        | CommandError::KeyReused
        | CommandError::Defect(_)
        | CommandError::Rejected(_)) => settled,
    })
}

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
        let endpoint = endpoint.tcp_keepalive(Some(ALIVE * 5)).keep_alive_while_idle(true);
        Ok(endpoint.http2_keep_alive_interval(ALIVE).keep_alive_timeout(ALIVE).connect_lazy())
    }

    /// Asks a node. Where the line breaks, sends the same request as a single call, which tells whether anybody still listens: the
    /// command's id makes the repeat safe.
    async fn ask(&self, address: &str, request: &ExecuteRequest) -> Answered {
        let Peer { channel, line } = match self.peer(address) {
            Ok(peer) => peer,
            Err(error) => return Ok(Err(error)),
        };
        let began = Instant::now();
        let asked = tokio::time::timeout(self.deadline, line.ask(request.clone())).await;
        let lost = !matches!(asked, Ok(Asked::NotSent));
        let answer = match asked {
            Ok(Asked::Answered(reply)) => return from_wire(reply).map_err(|to| NoOutcome::Moved { to, had_it: false }),
            Ok(Asked::NotSent | Asked::Lost) => {
                let mut client = NodeClient::new(channel);
                let again = tokio::time::timeout(self.deadline.saturating_sub(began.elapsed()), client.execute(request.clone())).await;
                again.unwrap_or_else(|late| Err(Status::deadline_exceeded(late.to_string()))).map(Response::into_inner)
            }
            Err(late) => Err(Status::deadline_exceeded(late.to_string())),
        };
        match answer {
            Ok(reply) => from_wire(reply).map(|outcome| after_doubt(lost, outcome)).map_err(|to| NoOutcome::Moved { to, had_it: lost }),
            Err(status) if is_refused(&status) => Err(NoOutcome::Gone { had_it: lost }),
            Err(status) if !lost && is_unsent(&status) => {
                Ok(Err(unavailable(format!("the owner at {address} cannot be reached ({})", status.message()))))
            }
            Err(status) => Ok(Err(in_doubt(format!("the owner at {address} does not answer ({})", status.message())))),
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
            Err(NoOutcome::Moved { to: Moved { address: next, run, .. }, had_it }) if !next.is_empty() && next != address => {
                let again = ExecuteRequest { known_run: run, ..request.clone() };
                match self.ask(&next, &again).await {
                    Err(NoOutcome::Moved { had_it: too, .. }) => Ok(after_doubt(had_it || too, changing_hands())),
                    Err(NoOutcome::Gone { had_it: too }) => Err(NoOutcome::Gone { had_it: had_it || too }),
                    Ok(outcome) => Ok(after_doubt(had_it, outcome)),
                }
            }
            Err(NoOutcome::Moved { had_it, .. }) => Ok(after_doubt(had_it, changing_hands())),
            answered => answered,
        }
    }

    /// Asks the partition's standbys, in turn, to take over at once, since nobody listens at the owner's address. That is safe because of
    /// the claim; the consumer group notices only some seconds later. None once this node writes the partition itself.
    async fn take_over(&self, id: Uuid, owner: &Owner, request: ExecuteRequest) -> Option<Outcome> {
        let mut nodes = self.directory.nodes();
        nodes.entry(self.node.clone()).or_default();
        let names = nodes.keys().map(String::as_str);
        let mut had_it = false;
        for candidate in standbys(self.service, self.local.partition_of(id), &owner.node, names, CANDIDATES) {
            if candidate == self.node {
                if self.local.take_over(id).await {
                    return None;
                }
                continue;
            }
            match self.ask(&nodes[candidate], &ExecuteRequest { take_over: true, ..request.clone() }).await {
                Ok(outcome) => return Some(after_doubt(had_it, outcome)),
                Err(none) => had_it |= none.had_it(),
            }
        }
        let nobody = Err(unavailable(format!("the owner at {} is gone, and nobody has taken over yet", owner.address)));
        Some(after_doubt(had_it, nobody))
    }
}

/// The answer while a partition moves from one owner to another.
fn changing_hands() -> Outcome {
    Err(unavailable("the partition is changing hands"))
}

/// Whether the connection was refused: nobody listens at the address.
fn is_refused(status: &Status) -> bool {
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    std::iter::successors(status.source(), |error| (**error).source()).any(|error| error.downcast_ref().is_some_and(refused))
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
            Err(gone) => {
                let outcome = match self.take_over(id, &owner, request).await {
                    Some(outcome) => outcome,
                    None => self.local.try_execute(id, command, meta).await.unwrap_or_else(changing_hands),
                };
                after_doubt(gone.had_it(), outcome)
            }
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

    fn partition_of(&self, id: Uuid) -> Option<i32> {
        Some(self.local.partition_of(id))
    }
}
