//! The write side of a node: hosts for the aggregates, the ways to them, and the routes between nodes.

use crate::{Failure, Role, RunArguments, System, run::in_use};
use codec::Schemas;
use command_api::node::{NodeServer, Routed};
use event_sourcing::{Aggregate, Event};
use event_store::{
    Aggregates, Cluster, ClusterParts, Host, Hosted, Membership, NodeName, Readiness, WriterConfig,
    kafka::{KafkaConfig, KafkaLog, KafkaProducer, KafkaTail, OwnersTopic, StandbyLog, Topics},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// The longest that a forwarded command is waited for.
const FORWARD_DEADLINE: Duration = Duration::from_secs(9);

/// Everything that takes commands in this process, and the ways to every aggregate wherever it is owned.
pub(crate) struct WriteSide {
    pub aggregates: Aggregates,
    cluster: Cluster,
    producer: KafkaProducer,
    node: JoinHandle<()>,
}

/// What is needed to build the way to one aggregate.
pub(crate) struct Building<'a> {
    arguments: &'a RunArguments,
    config: &'a KafkaConfig,
    schemas: &'a Schemas,
    topics: Topics,
    partitions: HashMap<&'static str, i32>,
    producer: KafkaProducer,
    owners: Arc<OwnersTopic>,
    name: NodeName,
    /// Between machines, what standbys read by.
    standby_tail: Option<Arc<KafkaTail>>,
    server: NodeServer,
    hosts: Vec<Arc<dyn Hosted>>,
    aggregates: Aggregates,
}

impl Building<'_> {
    /// Builds the way to one aggregate; its host is placed when this process takes the service's commands.
    pub fn host<A: Aggregate>(&mut self) -> Result<(), Failure> {
        let service = A::Event::SERVICE;
        let host = Arc::new(self.host_of::<A>(service)?);
        let server = NodeServer::new(self.owners.clone());
        self.server = std::mem::replace(&mut self.server, server).with::<A>(service, host.clone());
        if self.arguments.plays(service, Role::Commands) {
            self.hosts.push(host.clone());
        }
        let routed = Routed::<A>::new(service, &self.name.owner, host, self.owners.clone(), FORWARD_DEADLINE);
        self.aggregates = std::mem::take(&mut self.aggregates).with::<A>(Arc::new(routed));
        Ok(())
    }

    fn host_of<A: Aggregate>(&self, service: &'static str) -> Result<Host<A>, Failure> {
        let log = Arc::new(KafkaLog::new(self.producer_of(service)?, service, self.config.clone()));
        let partitions = *self.partitions.get(service).ok_or_else(|| Failure::failed(format!("the topic of {service} is missing")))?;
        let barrier = self.topics.barrier(service).map_err(Failure::failed)?;
        let live_aggregates = usize::try_from(self.arguments.live_aggregates).unwrap_or(usize::MAX);
        let config = WriterConfig { barrier, live_aggregates, ..WriterConfig::default() };
        let host = Host::<A>::new(log.clone(), partitions, self.schemas.clone(), self.name.clone(), config)
            .with_snapshots(self.arguments.store.data.join("snapshots"));
        let tail = self.standby_tail.as_ref().filter(|_| self.arguments.plays(service, Role::Commands));
        Ok(match tail {
            Some(tail) => host.standing_by(Arc::new(StandbyLog::new(log, tail.clone(), service))),
            None => host,
        })
    }

    /// Each service that is written here has one of its own.
    fn producer_of(&self, service: &str) -> Result<KafkaProducer, Failure> {
        let written = self.arguments.plays(service, Role::Commands);
        if written { self.producer.beside(self.config).map_err(Failure::failed) } else { Ok(self.producer.clone()) }
    }
}

/// What the write side is made of.
pub(crate) struct WritingParts<'a> {
    pub system: &'a System,
    pub arguments: &'a RunArguments,
    pub config: &'a KafkaConfig,
    pub schemas: &'a Schemas,
    pub readiness: &'a Readiness,
    pub stop: &'a CancellationToken,
}

impl WriteSide {
    /// Begins to own what this process is given.
    pub async fn start(parts: WritingParts<'_>) -> Result<Self, Failure> {
        let WritingParts { system, arguments, config, schemas, readiness, stop } = parts;
        let (listener, name) = listen(arguments).await?;
        let topics = Topics::new(config).map_err(Failure::failed)?;
        let partitions = topics.partitions(&system.logs()).map_err(Failure::failed)?;
        let producer = KafkaProducer::new(config).map_err(Failure::failed)?;
        let owners = Arc::new(OwnersTopic::new(config.clone(), producer.clone()));
        let standby_tail = standby_tail(system, arguments, config, &producer)?;
        let (server, hosts, aggregates) = (NodeServer::new(owners.clone()), Vec::new(), Aggregates::default());
        let mut building = Building {
            arguments,
            config,
            schemas,
            topics,
            partitions,
            producer: producer.clone(),
            owners: owners.clone(),
            name: name.clone(),
            standby_tail,
            server,
            hosts,
            aggregates,
        };
        system.services().iter().try_for_each(|service| service.host(&mut building))?;
        let Building { server, hosts, aggregates, .. } = building;
        let node = tokio::spawn(serve(server, listener, stop.clone()));
        let membership = arguments.membership();
        let parts = ClusterParts { config, hosts, owners, name, membership, readiness: readiness.clone(), stop };
        let cluster = Cluster::join(parts).map_err(Failure::failed)?;
        Ok(Self { aggregates, cluster, producer, node })
    }

    /// The producer beside which the services' own stand; by it nothing is appended to a log.
    pub fn producer(&self) -> KafkaProducer {
        self.producer.clone()
    }

    /// Gives everything up, after it has answered what was taken.
    pub async fn stop(self) {
        self.cluster.leave().await;
        let _ = self.node.await;
    }
}

async fn listen(arguments: &RunArguments) -> Result<(TcpListener, NodeName), Failure> {
    let listener = TcpListener::bind(&arguments.node).await.map_err(|error| in_use("nodes", &arguments.node, &error, "DAYBOOK_NODE"))?;
    let bound = listener.local_addr().map_err(Failure::failed)?;
    let host = arguments.node.rsplit_once(':').map_or("127.0.0.1", |(host, _)| host);
    Ok((listener, NodeName { owner: arguments.node_name(), address: format!("{host}:{}", bound.port()) }))
}

async fn serve(server: NodeServer, listener: TcpListener, stop: CancellationToken) {
    if let Err(error) = server.serve(listener, stop).await {
        tracing::error!(%error, "the node-to-node server failed");
    }
}

/// One consumer for all that this node stands by for.
fn standby_tail(
    system: &System,
    arguments: &RunArguments,
    config: &KafkaConfig,
    producer: &KafkaProducer,
) -> Result<Option<Arc<KafkaTail>>, Failure> {
    let takes_commands = !arguments.playing(&system.logs(), Role::Commands).is_empty();
    if arguments.membership() == Membership::Alone || !takes_commands {
        return Ok(None);
    }
    KafkaTail::start(config, producer).map(|tail| Some(Arc::new(tail))).map_err(Failure::failed)
}
