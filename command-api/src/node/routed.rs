//! Sends a command to its owner: here, or one hop away.

use super::{from_wire, question, request, unavailable};
use domain::Aggregate;
use event_store::{Accepted, CommandError, CommandMeta, Directory, Execute, LocalOwner, Owner};
use parking_lot::Mutex;
use schemas::node::{ExecuteRequest, Moved, node_client::NodeClient};
use serde::Serialize;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

const CONNECT: Duration = Duration::from_secs(1);
/// How often a peer is asked whether it is there, and how long it may take to say so.
const ALIVE: Duration = Duration::from_secs(2);

/// An aggregate's commands, wherever its partitions are owned.
pub struct Routed<A: Aggregate> {
    service: &'static str,
    local: Arc<dyn LocalOwner<A>>,
    directory: Arc<dyn Directory>,
    deadline: Duration,
    channels: Mutex<HashMap<String, Channel>>,
}

impl<A: Aggregate> Routed<A> {
    /// Routes commands of a service; a forwarded command is waited for until `deadline`.
    pub fn new(service: &'static str, local: Arc<dyn LocalOwner<A>>, directory: Arc<dyn Directory>, deadline: Duration) -> Self {
        Self { service, local, directory, deadline, channels: Mutex::default() }
    }

    fn channel(&self, address: &str) -> Result<Channel, CommandError> {
        if let Some(channel) = self.channels.lock().get(address) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| unavailable(error.to_string()))?;
        let channel = endpoint
            .connect_timeout(CONNECT)
            .timeout(self.deadline)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(ALIVE)
            .keep_alive_timeout(ALIVE)
            .connect_lazy();
        Ok(self.channels.lock().entry(address.to_owned()).or_insert(channel).clone())
    }

    async fn ask(&self, address: &str, request: ExecuteRequest) -> Result<Result<Accepted, CommandError>, Moved> {
        let channel = match self.channel(address) {
            Ok(channel) => channel,
            Err(error) => return Ok(Err(error)),
        };
        match NodeClient::new(channel).execute(request).await {
            Ok(reply) => from_wire(reply.into_inner()),
            Err(status) => Ok(Err(unavailable(format!(
                "the owner at {address} does not answer ({}): the outcome is unknown; send the same request with the same Idempotency-Key again to learn it",
                status.message()
            )))),
        }
    }

    /// The owner of the aggregate's partition, as far as this node has heard.
    fn owner_of(&self, id: Uuid) -> Result<Owner, CommandError> {
        let partition = self.local.partition_of(id);
        let owner = self.directory.owner(self.service, partition);
        owner.ok_or_else(|| unavailable(format!("nobody owns {}/{partition} yet", self.service)))
    }

    /// Asks the owner that was heard of, and where that one points when it knows better; no further.
    async fn forward(&self, request: ExecuteRequest, address: &str) -> Result<Accepted, CommandError> {
        match self.ask(address, request.clone()).await {
            Ok(outcome) => outcome,
            Err(Moved { address: next, run, .. }) if !next.is_empty() && next != address => {
                let again = ExecuteRequest { known_run: run, ..request };
                self.ask(&next, again).await.unwrap_or_else(|_| Err(unavailable("the partition is changing hands")))
            }
            Err(Moved { .. }) => Err(unavailable("the partition is changing hands")),
        }
    }
}

#[async_trait::async_trait]
impl<A> Execute<A> for Routed<A>
where
    A: Aggregate,
    A::Command: Serialize,
{
    async fn execute(&self, id: Uuid, command: A::Command, meta: CommandMeta) -> Result<Accepted, CommandError> {
        if let Some(outcome) = self.local.try_execute(id, command.clone(), meta.clone()).await {
            return outcome;
        }
        let owner = self.owner_of(id)?;
        let json = serde_json::to_vec(&command).map_err(|error| unavailable(error.to_string()))?;
        self.forward(request(self.service, id, json, &meta, owner.run), &owner.address).await
    }

    async fn read(&self, id: Uuid) -> Result<Accepted, CommandError> {
        if let Some(outcome) = self.local.try_read(id).await {
            return outcome;
        }
        let owner = self.owner_of(id)?;
        self.forward(question(self.service, id, owner.run), &owner.address).await
    }
}
