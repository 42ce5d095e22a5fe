//! The write side of a node: hosts for the aggregates, routers to them, and the server for other nodes.

use crate::{Failure, HostPort, Role, RunArguments, System, copies::Copies};
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

/// The longest wait for the answer to a forwarded command.
const FORWARD_DEADLINE: Duration = Duration::from_secs(9);

/// The hosts that take commands in this process, and a router to every aggregate, wherever it is owned.
pub(crate) struct WriteSide {
    pub aggregates: Aggregates,
    cluster: Cluster,
    producer: KafkaProducer,
    node: JoinHandle<()>,
}

/// The parts from which the host and the router of an aggregate are built.
pub(crate) struct Building<'a> {
    arguments: &'a RunArguments,
    config: &'a KafkaConfig,
    schemas: &'a Schemas,
    topics: Arc<Topics>,
    /// The logs of which this process takes commands.
    logs: Vec<(&'static str, Arc<KafkaLog>)>,
    partitions: HashMap<&'static str, i32>,
    producer: KafkaProducer,
    owners: Arc<OwnersTopic>,
    name: NodeName,
    /// Between machines, the tail by which standbys read.
    standby_tail: Option<Arc<KafkaTail>>,
    server: NodeServer,
    hosts: Vec<Arc<dyn Hosted>>,
    aggregates: Aggregates,
}

impl Building<'_> {
    /// Builds the host and the router of an aggregate. The host takes part in the placement when this process takes the service's commands.
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

    fn host_of<A: Aggregate>(&mut self, service: &'static str) -> Result<Host<A>, Failure> {
        let log = Arc::new(KafkaLog::new(self.producer_of(service)?, service, self.config.clone()));
        let partitions = *self.partitions.get(service).ok_or_else(|| Failure::failed(format!("the topic of {service} is missing")))?;
        let barrier = self.topics.barrier(service).map_err(Failure::failed)?;
        let live_aggregates = usize::try_from(self.arguments.live_aggregates).unwrap_or(usize::MAX);
        let proof_every = Duration::from_millis(self.arguments.proof_every);
        let config = WriterConfig { barrier, live_aggregates, proof_every, ..WriterConfig::default() };
        if self.arguments.plays(service, Role::Commands) {
            self.logs.push((service, log.clone()));
        }
        let host = Host::<A>::new(log.clone(), partitions, self.schemas.clone(), self.name.clone(), config)
            .with_snapshots(self.arguments.store.data.join("snapshots"));
        let tail = self.standby_tail.as_ref().filter(|_| self.arguments.plays(service, Role::Commands));
        Ok(match tail {
            Some(tail) => host.standing_by(Arc::new(StandbyLog::new(log, tail.clone(), service))),
            None => host,
        })
    }

    /// The producer of a service's log: one of its own where this process takes the service's commands.
    fn producer_of(&self, service: &str) -> Result<KafkaProducer, Failure> {
        let written = self.arguments.plays(service, Role::Commands);
        if written { self.producer.beside(self.config).map_err(Failure::failed) } else { Ok(self.producer.clone()) }
    }
}

/// The parts of which the write side is made.
pub(crate) struct WritingParts<'a> {
    pub system: &'a System,
    pub arguments: &'a RunArguments,
    pub config: &'a KafkaConfig,
    pub schemas: &'a Schemas,
    pub readiness: &'a Readiness,
    pub stop: &'a CancellationToken,
}

impl WriteSide {
    /// Joins the cluster and begins to own the partitions that this process is given.
    pub async fn start(parts: WritingParts<'_>, listener: TcpListener) -> Result<Self, Failure> {
        let WritingParts { system, arguments, config, schemas, readiness, stop } = parts;
        let name = named(arguments, &listener)?;
        let topics = Arc::new(Topics::new(config).map_err(Failure::failed)?);
        let partitions = topics.partitions(&system.logs()).map_err(Failure::failed)?;
        let producer = KafkaProducer::new(config).map_err(Failure::failed)?;
        let owners = Arc::new(OwnersTopic::new(config.clone(), producer.clone()));
        let standby_tail = standby_tail(system, arguments, config, &producer)?;
        let (server, hosts, aggregates) = (NodeServer::new(owners.clone()), Vec::new(), Aggregates::default());
        let mut building = Building {
            arguments,
            config,
            schemas,
            topics: topics.clone(),
            logs: Vec::new(),
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
        let Building { server, hosts, aggregates, logs, .. } = building;
        tokio::spawn(Copies::of(topics, logs).follow(stop.clone()));
        let node = tokio::spawn(serve(server, listener, stop.clone()));
        let membership = arguments.membership();
        let parts = ClusterParts { config, hosts, owners, name, membership, readiness: readiness.clone(), stop };
        let cluster = Cluster::join(parts).map_err(Failure::failed)?;
        Ok(Self { aggregates, cluster, producer, node })
    }

    /// The node's first producer, beside which the services' own were made; it appends nothing to a log.
    pub fn producer(&self) -> KafkaProducer {
        self.producer.clone()
    }

    /// Gives all partitions up, after it has answered the commands that were taken.
    pub async fn stop(self) {
        self.cluster.leave().await;
        let _ = self.node.await;
    }
}

fn named(arguments: &RunArguments, listener: &TcpListener) -> Result<NodeName, Failure> {
    let port = listener.local_addr().map_err(Failure::failed)?.port();
    let address = HostPort { port, ..arguments.node.clone() }.to_string();
    Ok(NodeName { owner: arguments.node_name(), address })
}

async fn serve(server: NodeServer, listener: TcpListener, stop: CancellationToken) {
    if let Err(error) = server.serve(listener, stop).await {
        tracing::error!(%error, "the node-to-node server failed");
    }
}

/// One tail for all partitions that this node stands by for; none where it stands by for none.
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
