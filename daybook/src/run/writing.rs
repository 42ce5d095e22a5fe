//! The write side of this process: hosts, their placement, the routes between nodes.

use super::{adapters::OwnersOf, in_use};
use crate::{
    cli::{Role, RunArguments},
    failure::Failure,
};
use command_api::{
    edge::Readiness,
    node::{NodeServer, Routed},
};
use consumers::Commands;
use domain::{Aggregate, notification::Notification, order::Order, payment::Payment, product::Product, user::User};
use event_store::{
    Directory, Execute, Host, Hosted, NodeName, Owner, PartitionId, WriterConfig,
    kafka::{KafkaConfig, KafkaLog, KafkaProducer, KafkaTail, OwnersTopic, Placed, Placement, StandbyLog, Topics},
    standbys,
};
use projections::Owners;
use schemas::{Schemas, WireEvent};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// The longest that a forwarded command is waited for.
const FORWARD_DEADLINE: Duration = Duration::from_secs(9);
/// The consumer group that places the partitions' owners.
const GROUP: &str = "daybook.owners";

/// Everything that takes commands in this process, and the ways to every aggregate wherever it is owned.
pub struct Writing {
    /// To users.
    pub users: Arc<dyn Execute<User>>,
    /// To products.
    pub products: Arc<dyn Execute<Product>>,
    /// To orders.
    pub orders: Arc<dyn Execute<Order>>,
    /// To payments.
    pub payments: Arc<dyn Execute<Payment>>,
    notifications: Arc<dyn Execute<Notification>>,
    hosts: Vec<Arc<dyn Hosted>>,
    producer: KafkaProducer,
    placement: Option<Placement>,
    node: JoinHandle<()>,
}

/// What is needed to build the way to one aggregate.
struct Building<'a> {
    arguments: &'a RunArguments,
    config: &'a KafkaConfig,
    schemas: &'a Schemas,
    readiness: &'a Readiness,
    topics: Topics,
    partitions: HashMap<&'static str, i32>,
    producer: KafkaProducer,
    owners: Arc<OwnersTopic>,
    name: NodeName,
    /// Between machines, what standbys read by.
    standby_tail: Option<Arc<KafkaTail>>,
    server: NodeServer,
    hosts: Vec<Arc<dyn Hosted>>,
}

impl Building<'_> {
    /// The way to one aggregate; its host is placed when this process takes the service's commands.
    fn route<A>(&mut self) -> Result<Arc<dyn Execute<A>>, Failure>
    where
        A: Aggregate,
        A::Event: WireEvent,
        A::Command: Serialize + DeserializeOwned,
    {
        let service = A::Event::SERVICE;
        let log = Arc::new(KafkaLog::new(self.producer_of(service)?, service, self.config.clone()));
        let partitions = *self.partitions.get(service).ok_or_else(|| Failure::failed(format!("the topic of {service} is missing")))?;
        let barrier = self.topics.barrier(service).map_err(Failure::failed)?;
        let live_aggregates = usize::try_from(self.arguments.live_aggregates).unwrap_or(usize::MAX);
        let config = WriterConfig { barrier, live_aggregates, ..WriterConfig::default() };
        let mut host = Host::<A>::new(log.clone(), partitions, self.schemas.clone(), self.name.clone(), config)
            .with_snapshots(self.arguments.store.data.join("snapshots"));
        if let Some(tail) = self.standby_tail.as_ref().filter(|_| self.arguments.plays(service, Role::Commands)) {
            host = host.standing_by(Arc::new(StandbyLog::new(log, tail.clone(), service)));
        }
        let host = Arc::new(host);
        let server = NodeServer::new(self.owners.clone());
        self.server = std::mem::replace(&mut self.server, server).with::<A>(service, host.clone());
        if self.arguments.plays(service, Role::Commands) {
            let announcing =
                Announcing { owners: self.owners.clone(), name: self.name.clone(), readiness: self.readiness.clone(), host: host.clone() };
            self.readiness.set(&format!("{service}/commands"), false);
            tokio::spawn(announcing.run(host.changes()));
            self.hosts.push(host.clone());
        }
        Ok(Arc::new(Routed::<A>::new(service, &self.name.owner, host, self.owners.clone(), FORWARD_DEADLINE)))
    }

    /// Each service that is written here has one of its own.
    fn producer_of(&self, service: &str) -> Result<KafkaProducer, Failure> {
        let written = self.arguments.plays(service, Role::Commands);
        if written { self.producer.beside(self.config).map_err(Failure::failed) } else { Ok(self.producer.clone()) }
    }
}

impl Writing {
    /// Begins to own what this process is given.
    pub async fn start(
        arguments: &RunArguments,
        config: &KafkaConfig,
        schemas: &Schemas,
        readiness: &Readiness,
        stop: &CancellationToken,
    ) -> Result<Self, Failure> {
        let listener =
            TcpListener::bind(&arguments.node).await.map_err(|error| in_use("nodes", &arguments.node, &error, "DAYBOOK_NODE"))?;
        let bound = listener.local_addr().map_err(Failure::failed)?;
        let host = arguments.node.rsplit_once(':').map_or("127.0.0.1", |(host, _)| host);
        let name = NodeName { owner: arguments.node_name(), address: format!("{host}:{}", bound.port()) };
        let topics = Topics::new(config).map_err(Failure::failed)?;
        let partitions = topics.partitions(&schemas::SERVICES).map_err(Failure::failed)?;
        let producer = KafkaProducer::new(config).map_err(Failure::failed)?;
        let owners = Arc::new(OwnersTopic::new(config.clone(), producer.clone()));
        let server = NodeServer::new(owners.clone());
        let mut building = Building {
            arguments,
            config,
            schemas,
            readiness,
            topics,
            partitions,
            producer: producer.clone(),
            owners: owners.clone(),
            name: name.clone(),
            standby_tail: standby_tail(arguments, config, &producer)?,
            server,
            hosts: Vec::new(),
        };
        let (users, products, orders) = (building.route()?, building.route()?, building.route()?);
        let (payments, notifications) = (building.route()?, building.route()?);
        let Building { server, hosts, .. } = building;
        let until = stop.clone();
        let node = tokio::spawn(async move {
            if let Err(error) = server.serve(listener, until).await {
                tracing::error!(%error, "the node-to-node server failed");
            }
        });
        let placement = place(arguments, config, &hosts, readiness)?;
        if !arguments.store.kafka.is_embedded() {
            let standing_by = StandingBy { hosts: hosts.clone(), owners, node: name.owner, count: arguments.standbys.into() };
            tokio::spawn(standing_by.run(stop.clone()));
        }
        Ok(Self { users, products, orders, payments, notifications, hosts, producer, placement, node })
    }

    /// The ways that reactors need.
    pub fn reactor_commands(&self) -> Commands {
        Commands {
            products: self.products.clone(),
            orders: self.orders.clone(),
            payments: self.payments.clone(),
            notifications: self.notifications.clone(),
        }
    }

    /// Who is asked for strong reads.
    pub fn owners(&self) -> Arc<dyn Owners> {
        let (users, products) = (self.users.clone(), self.products.clone());
        let (orders, payments) = (self.orders.clone(), self.payments.clone());
        Arc::new(OwnersOf { users, products, orders, payments })
    }

    /// The producer beside which the services' own stand; by it nothing is appended to a log.
    pub fn producer(&self) -> KafkaProducer {
        self.producer.clone()
    }

    /// Gives everything up, after it has answered what was taken.
    pub async fn stop(mut self) {
        let placement = self.placement.take();
        let _ = tokio::task::spawn_blocking(move || drop(placement)).await;
        for host in &self.hosts {
            for (partition, _) in host.claims() {
                host.stop(partition).await;
            }
        }
        let _ = self.node.await;
    }
}

/// One consumer for all that this node stands by for.
fn standby_tail(arguments: &RunArguments, config: &KafkaConfig, producer: &KafkaProducer) -> Result<Option<Arc<KafkaTail>>, Failure> {
    let takes_commands = !arguments.playing(&schemas::SERVICES, Role::Commands).is_empty();
    if arguments.store.kafka.is_embedded() || !takes_commands {
        return Ok(None);
    }
    KafkaTail::start(config, producer).map(|tail| Some(Arc::new(tail))).map_err(Failure::failed)
}

/// Keeps standbys where they should be, as owners come and go.
struct StandingBy {
    hosts: Vec<Arc<dyn Hosted>>,
    owners: Arc<OwnersTopic>,
    node: String,
    count: usize,
}

/// How often it is worked out anew who stands by for what.
const STAND_BY_EVERY: Duration = Duration::from_secs(1);

impl StandingBy {
    async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(STAND_BY_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.hosts.iter().for_each(|host| self.look_after(&**host)),
            }
        }
    }

    fn look_after(&self, host: &dyn Hosted) {
        host.stand_by(&self.mine(host));
        self.doubtful(host).for_each(|partition| host.confirm(partition));
    }

    /// The partitions that this node believes it writes while another node has announced a later claim: one that came to itself after a
    /// cut, say, and was then told to stop. Nobody would ever ask this node, and so it would never learn of it.
    fn doubtful(&self, host: &dyn Hosted) -> impl Iterator<Item = i32> {
        let is_later = move |partition, run| {
            let owner = self.owners.owner(host.service(), partition);
            owner.is_some_and(|owner| owner.node != self.node && owner.run > run)
        };
        let written = host.claims().into_iter().filter_map(|(partition, run)| run.map(|run| (partition, run)));
        written.filter(move |(partition, run)| is_later(*partition, *run)).map(|(partition, _)| partition)
    }

    /// The partitions of a service that this node stands by for.
    fn mine(&self, host: &dyn Hosted) -> HashSet<i32> {
        let (service, nodes) = (host.service(), self.owners.owning(host.service()));
        let names = || nodes.iter().map(String::as_str).chain([self.node.as_str()]);
        let is_mine = |partition: &i32| {
            let owner = self.owners.owner(service, *partition).filter(|owner| owner.node != self.node);
            owner.is_some_and(|owner| standbys(service, *partition, &owner.node, names(), self.count).contains(&self.node.as_str()))
        };
        (0..host.partitions()).filter(is_mine).collect()
    }
}

/// On one machine every partition is ours at once; between machines a consumer group says whose it is.
fn place(
    arguments: &RunArguments,
    config: &KafkaConfig,
    hosts: &[Arc<dyn Hosted>],
    readiness: &Readiness,
) -> Result<Option<Placement>, Failure> {
    if arguments.store.kafka.is_embedded() {
        hosts.iter().for_each(|host| (0..host.partitions()).for_each(|partition| host.start(partition)));
        return Ok(None);
    }
    if hosts.is_empty() {
        return Ok(None);
    }
    let services: Vec<&str> = hosts.iter().map(|host| host.service()).collect();
    readiness.set(PLACEMENT, false);
    let placed = PlacedHosts { hosts: hosts.to_vec(), readiness: readiness.clone(), runtime: tokio::runtime::Handle::current() };
    Placement::join(config, GROUP, &services, Arc::new(placed)).map(Some).map_err(Failure::failed)
}

struct PlacedHosts {
    hosts: Vec<Arc<dyn Hosted>>,
    readiness: Readiness,
    runtime: tokio::runtime::Handle,
}

/// What is waited for until the group has said whose the partitions are.
const PLACEMENT: &str = "placement";

impl PlacedHosts {
    fn host(&self, source: &PartitionId) -> Option<&Arc<dyn Hosted>> {
        self.hosts.iter().find(|host| host.service() == &*source.service)
    }
}

impl Placed for PlacedHosts {
    fn gained(&self, source: &PartitionId) {
        let _inside = self.runtime.enter();
        if let Some(host) = self.host(source) {
            host.start(source.partition);
        }
    }

    fn lost(&self, source: &PartitionId) {
        if let Some(host) = self.host(source) {
            self.runtime.block_on(host.stop(source.partition));
        }
    }

    fn settled(&self) {
        self.readiness.set(PLACEMENT, true);
    }
}

/// Tells the other nodes, and whoever asks for readiness, what a host writes.
struct Announcing {
    owners: Arc<OwnersTopic>,
    name: NodeName,
    readiness: Readiness,
    host: Arc<dyn Hosted>,
}

impl Announcing {
    async fn run(self, mut changes: tokio::sync::watch::Receiver<u64>) {
        let mut told: HashMap<i32, i64> = HashMap::new();
        loop {
            changes.mark_unchanged();
            let claims = self.host.claims();
            for (partition, claim) in &claims {
                if let Some(run) = claim
                    && told.insert(*partition, *run) != Some(*run)
                {
                    let owner = Owner { node: self.name.owner.clone(), address: self.name.address.clone(), run: *run };
                    self.owners.announce(self.host.service(), *partition, &owner);
                }
            }
            let ready = claims.iter().all(|(_, claim)| claim.is_some());
            self.readiness.set(&format!("{}/commands", self.host.service()), ready);
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}
