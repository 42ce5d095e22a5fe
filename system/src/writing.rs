//! The write side of a node: hosts for the aggregates, routers to them, and the server for other nodes.

use crate::{Failure, Role, RunArguments, System, copies::Copies, naming::Name, watch::Ended};
use codec::Schemas;
use command_api::node::{NodeServer, Routed};
use event_sourcing::{Aggregate, Event};
use event_store::{
    Aggregates, Cluster, ClusterParts, Host, Hosted, Membership, NodeName, Readiness, Supervisor, WriterConfig,
    kafka::{KafkaConfig, KafkaLog, KafkaProducer, KafkaTail, OwnersTopic, StandbyLog, Topics},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinHandle};

/// The longest wait for the answer to a forwarded command.
const FORWARD_DEADLINE: Duration = Duration::from_secs(9);

/// The hosts that take commands in this process, and a router to every aggregate, wherever it is owned.
pub(crate) struct WriteSide {
    pub aggregates: Aggregates,
    cluster: Cluster,
    producer: KafkaProducer,
    node: JoinHandle<()>,
    owners: Arc<OwnersTopic>,
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
    supervisor: &'a Supervisor,
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
            .with_snapshots(self.arguments.store.data.join("snapshots"))
            .supervised(self.supervisor.clone());
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
    pub supervisor: &'a Supervisor,
    /// Why the node had to end.
    pub failure: &'a Ended,
}

impl WriteSide {
    /// Joins the cluster and begins to own the partitions that this process is given.
    pub async fn start(parts: WritingParts<'_>, listener: TcpListener) -> Result<Self, Failure> {
        let WritingParts { system, arguments, config, schemas, readiness, supervisor, failure } = parts;
        let name = named(arguments, &listener)?;
        let topics = Arc::new(Topics::new(config).map_err(Failure::failed)?);
        let partitions = topics.partitions(&system.logs()).map_err(Failure::failed)?;
        let producer = KafkaProducer::new(config).map_err(Failure::failed)?;
        let owners = Arc::new(OwnersTopic::new(config.clone(), producer.clone()));
        let life = take_name(arguments, &owners, &name, failure, supervisor).await?;
        let standby_tail = standby_tail(system, arguments, config, &producer)?;
        let (server, hosts, aggregates) = (NodeServer::new(owners.clone()).named(&name.owner, &life), Vec::new(), Aggregates::default());
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
            supervisor,
            standby_tail,
            server,
            hosts,
            aggregates,
        };
        system.services().iter().try_for_each(|service| service.host(&mut building))?;
        let Building { server, hosts, aggregates, logs, .. } = building;
        supervisor.spawn_to_the_end("the watch over the logs' copies", Copies::of(topics, logs).follow(supervisor.stop().clone()));
        let serving = server.serve(listener, supervisor.stop().clone());
        let node = supervisor.spawn_once("the server for other nodes", serving);
        let membership = arguments.membership();
        let parts = ClusterParts { config, hosts, owners: owners.clone(), name, membership, readiness: readiness.clone(), supervisor };
        let cluster = Cluster::join(parts).map_err(Failure::failed)?;
        Ok(Self { aggregates, cluster, producer, node, owners })
    }

    /// What is heard of the partitions' owners.
    pub fn owners(&self) -> Arc<OwnersTopic> {
        self.owners.clone()
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
    Ok(NodeName { owner: arguments.node_name(), address: arguments.told_address(port).to_string() })
}

/// Takes the name that this node was given among others, and keeps it; returns what tells this life of it from all others. A name that
/// nobody gave is nobody else's.
async fn take_name(
    arguments: &RunArguments,
    owners: &Arc<OwnersTopic>,
    name: &NodeName,
    failure: &Ended,
    supervisor: &Supervisor,
) -> Result<String, Failure> {
    if arguments.membership() == Membership::Alone || arguments.name.is_none() {
        return Ok(String::new());
    }
    let name = Arc::new(Name::new(owners.clone(), &name.owner, &name.address));
    name.take().await?;
    let (life, failure, stop) = (name.presence.life.clone(), failure.clone(), supervisor.stop().clone());
    supervisor.spawn("the watch over this node's name", move || {
        let (name, failure, stop) = (name.clone(), failure.clone(), stop.clone());
        async move { name.keep(&failure, &stop).await }
    });
    Ok(life)
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
