//! Takes commands from other nodes, for the partitions that this one owns.

use super::wire::{ExecuteReply, ExecuteRequest, Moved, WhoReply, WhoRequest, execute_reply::Outcome, node_server};
use super::{meta_of, routed::ALIVE, to_wire, unavailable};
use event_sourcing::{Aggregate, Command};
use event_store::{CommandError, Directory, LocalOwner};
use futures::{StreamExt, future::ready, stream::BoxStream};
use std::{collections::HashMap, marker::PhantomData, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// How long a shutdown waits for the answers to commands that were taken.
const DRAIN: Duration = Duration::from_secs(10);

/// An owner, its aggregate's type erased.
#[async_trait::async_trait]
trait AnyOwner: Send + Sync + 'static {
    async fn execute(&self, request: &ExecuteRequest) -> Result<Option<ExecuteReply>, Status>;
    fn partition(&self, request: &ExecuteRequest) -> Result<i32, Status>;
}

struct Typed<A>(Arc<dyn LocalOwner<A>>, PhantomData<fn() -> A>);

#[async_trait::async_trait]
impl<A: Aggregate> AnyOwner for Typed<A> {
    async fn execute(&self, request: &ExecuteRequest) -> Result<Option<ExecuteReply>, Status> {
        let (id, meta) = meta_of(request).map_err(|error| Status::invalid_argument(error.to_string()))?;
        // A command of a later version may hold fields that this build would skip: it is refused, rather than done in part.
        if request.command_version > A::Command::VERSION {
            return Ok(Some(to_wire(Err(too_new(request, A::Command::VERSION)))));
        }
        if request.take_over {
            self.0.take_over(id).await;
        }
        if request.question {
            return Ok(self.0.try_read(id).await.map(to_wire));
        }
        let command = serde_json::from_slice(&request.command_json).map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(self.0.try_execute(id, command, meta).await.map(to_wire))
    }

    fn partition(&self, request: &ExecuteRequest) -> Result<i32, Status> {
        let id = request.aggregate_id.parse().map_err(|error: uuid::Error| Status::invalid_argument(error.to_string()))?;
        Ok(self.0.partition_of(id))
    }
}

/// The command is of a later version than this build reads: an upgrade is under way, and its router is ahead of this node.
fn too_new(request: &ExecuteRequest, known: u32) -> CommandError {
    let ExecuteRequest { service, command_version, .. } = request;
    unavailable(format!(
        "the owner reads commands to {service} up to version {known}, this one is of version {command_version}: upgrade it"
    ))
}

/// How many commands of one line are under way at once; a sender of more waits.
const AT_ONCE: usize = 4_096;

/// The node-to-node server.
pub struct NodeServer {
    owners: HashMap<&'static str, Box<dyn AnyOwner>>,
    directory: Arc<dyn Directory>,
    /// The answer to whoever asks who this is.
    who: WhoReply,
}

impl NodeServer {
    /// A server that takes no commands yet. For a partition that it does not own, it names the owner from the directory.
    pub fn new(directory: Arc<dyn Directory>) -> Self {
        Self { owners: HashMap::new(), directory, who: WhoReply::default() }
    }

    /// Answers with this name, and with what tells this life of it from all others.
    #[must_use]
    pub fn named(self, node: &str, life: &str) -> Self {
        Self { who: WhoReply { node: node.to_owned(), life: life.to_owned() }, ..self }
    }

    /// Adds a service whose commands it takes.
    #[must_use]
    pub fn with<A: Aggregate>(mut self, service: &'static str, owner: Arc<dyn LocalOwner<A>>) -> Self {
        self.owners.insert(service, Box::new(Typed(owner, PhantomData)));
        self
    }

    /// Serves until `shutdown`, then answers the commands that were taken before, within a bound: a peer may keep its connection open for
    /// ever.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), tonic::transport::Error> {
        let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
        let service = node_server::NodeServer::new(Serving { node: Arc::new(self), shutdown: shutdown.clone() });
        let stopping = shutdown.clone().cancelled_owned();
        let serving = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(ALIVE))
            .http2_keepalive_timeout(Some(ALIVE))
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, stopping);
        let give_up = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            served = serving => served,
            () = give_up => Ok(()),
        }
    }

    fn moved(&self, service: &str, partition: i32) -> ExecuteReply {
        let known = self.directory.owner(service, partition);
        let moved = known.map(|owner| Moved { node: owner.node, address: owner.address, run: owner.run }).unwrap_or_default();
        ExecuteReply { outcome: Some(Outcome::Moved(moved)), number: 0 }
    }

    async fn answer(&self, request: &ExecuteRequest) -> Result<ExecuteReply, Status> {
        let Some(owner) = self.owners.get(request.service.as_str()) else {
            return Ok(self.moved(&request.service, -1));
        };
        let reply = owner.execute(request).await?;
        let partition = owner.partition(request)?;
        Ok(reply.unwrap_or_else(|| self.moved(&request.service, partition)))
    }

    /// The same for a request of a line. The line goes on: a request that cannot be read gets an answer without an outcome.
    async fn answer_numbered(self: Arc<Self>, request: ExecuteRequest) -> Result<ExecuteReply, Status> {
        let reply = self.answer(&request).await.unwrap_or_else(|status| {
            tracing::warn!(%status, "a node sends what cannot be read here");
            ExecuteReply::default()
        });
        Ok(ExecuteReply { number: request.number, ..reply })
    }
}

/// A running server.
struct Serving {
    node: Arc<NodeServer>,
    shutdown: CancellationToken,
}

#[tonic::async_trait]
impl node_server::Node for Serving {
    type ExecuteAllStream = BoxStream<'static, Result<ExecuteReply, Status>>;

    async fn execute(&self, request: Request<ExecuteRequest>) -> Result<Response<ExecuteReply>, Status> {
        self.node.answer(request.get_ref()).await.map(Response::new)
    }

    async fn who(&self, _: Request<WhoRequest>) -> Result<Response<WhoReply>, Status> {
        Ok(Response::new(self.node.who.clone()))
    }

    /// Takes no more once the shutdown comes, answers all that was taken, and ends.
    async fn execute_all(&self, requests: Request<Streaming<ExecuteRequest>>) -> Result<Response<Self::ExecuteAllStream>, Status> {
        let node = self.node.clone();
        let taken = requests.into_inner().take_until(self.shutdown.clone().cancelled_owned());
        let taken = taken.filter_map(|request| ready(request.ok()));
        Ok(Response::new(taken.map(move |request| node.clone().answer_numbered(request)).buffer_unordered(AT_ONCE).boxed()))
    }
}
