//! Connects a node's hosts with its cluster: makes them own and stand by for partitions, and announces what they own.

use crate::{
    Directory, Hosted, LogError, NodeName, Owner, PartitionId, Readiness, Supervisor,
    announcements::Announcer,
    kafka::{KafkaConfig, OwnersTopic, Placed, Placement},
    standbys,
};
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// The consumer group that places the partitions' owners.
const GROUP: &str = "daybook.owners";

/// Whether this node shares the partitions with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It does not: it owns every partition at once.
    Alone,
    /// Several nodes share the partitions, which a consumer group places.
    Shared {
        /// How many nodes follow each partition that another owns.
        standbys: usize,
    },
}

/// What [`Cluster::join`] needs.
pub struct ClusterParts<'a> {
    /// How to reach the brokers.
    pub config: &'a KafkaConfig,
    /// The services whose commands this node takes.
    pub hosts: Vec<Arc<dyn Hosted>>,
    /// The topic in which owners are announced.
    pub owners: Arc<OwnersTopic>,
    /// This node.
    pub name: NodeName,
    /// Whether it shares the partitions.
    pub membership: Membership,
    /// Set when this node can take commands.
    pub readiness: Readiness,
    /// Watches the parts of this node; its end ends the upkeep of standbys.
    pub supervisor: &'a Supervisor,
}

/// A node in its cluster: its hosts, and its membership in the consumer group.
pub struct Cluster {
    hosts: Vec<Arc<dyn Hosted>>,
    placement: Option<Placement>,
}

impl Cluster {
    /// Joins the cluster: owns the partitions that are placed here, announces them, and stands by for others. Call it inside the runtime.
    ///
    /// # Errors
    /// The consumer group cannot be joined.
    pub fn join(parts: ClusterParts<'_>) -> Result<Self, LogError> {
        for host in &parts.hosts {
            parts.readiness.set(&format!("{}/commands", host.service()), false);
            let (owners, name, readiness) = (parts.owners.clone(), parts.name.clone(), parts.readiness.clone());
            let repeats = parts.membership != Membership::Alone;
            let announcing = Arc::new(Announcing { owners, name, readiness, host: host.clone(), repeats });
            parts.supervisor.spawn(format!("the announcements of {}", host.service()), move || {
                let announcing = announcing.clone();
                async move { announcing.run().await }
            });
        }
        let placement = match parts.membership {
            Membership::Alone => {
                parts.hosts.iter().for_each(|host| (0..host.partitions()).for_each(|partition| host.start(partition)));
                None
            }
            Membership::Shared { standbys: count } => {
                let standing_by =
                    StandingBy { hosts: parts.hosts.clone(), owners: parts.owners.clone(), node: parts.name.owner.clone(), count };
                let (standing_by, stop) = (Arc::new(standing_by), parts.supervisor.stop().clone());
                parts.supervisor.spawn("the upkeep of standbys", move || {
                    let (standing_by, stop) = (standing_by.clone(), stop.clone());
                    async move { standing_by.run(stop).await }
                });
                place(&parts)?
            }
        };
        Ok(Self { hosts: parts.hosts, placement })
    }

    /// Gives all partitions up, after answering the commands that were taken.
    pub async fn leave(mut self) {
        let placement = self.placement.take();
        // Leaving the group waits for the thread that polls it, which calls `Placed::lost` for each partition.
        let _ = tokio::task::spawn_blocking(move || drop(placement)).await;
        for host in &self.hosts {
            for (partition, _) in host.claims() {
                host.stop(partition).await;
            }
        }
    }
}

fn place(parts: &ClusterParts<'_>) -> Result<Option<Placement>, LogError> {
    if parts.hosts.is_empty() {
        return Ok(None);
    }
    let services: Vec<&str> = parts.hosts.iter().map(|host| host.service()).collect();
    parts.readiness.set(PLACEMENT, false);
    let runtime = tokio::runtime::Handle::current();
    let (readiness, supervisor) = (parts.readiness.clone(), parts.supervisor.clone());
    let placed = PlacedHosts { hosts: parts.hosts.clone(), readiness, supervisor, runtime };
    Placement::join(parts.config, GROUP, &services, Arc::new(placed)).map(Some)
}

struct PlacedHosts {
    hosts: Vec<Arc<dyn Hosted>>,
    readiness: Readiness,
    supervisor: Supervisor,
    runtime: tokio::runtime::Handle,
}

/// The condition of readiness that holds once the group has assigned this node its partitions.
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

    fn broken(&self, why: &str) {
        self.supervisor.end_because(why.to_owned());
    }
}

/// Starts and stops this node's standbys, as owners come and go.
struct StandingBy {
    hosts: Vec<Arc<dyn Hosted>>,
    owners: Arc<OwnersTopic>,
    node: String,
    count: usize,
}

/// How often a node works out anew for which partitions it stands by.
const STAND_BY_EVERY: Duration = Duration::from_secs(1);

impl StandingBy {
    async fn run(&self, stop: CancellationToken) {
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
    /// cut, say, and was then told to stop. No router sends commands here any more, so this node would not notice the later claim.
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

/// Announces to the other nodes which partitions a host writes, and sets its readiness.
struct Announcing {
    owners: Arc<OwnersTopic>,
    name: NodeName,
    readiness: Readiness,
    host: Arc<dyn Hosted>,
    /// Whether other nodes listen, to whom an announcement that was lost has to be repeated.
    repeats: bool,
}

/// How often it is looked whether an announcement is to be repeated.
const REPEAT_EVERY: Duration = Duration::from_secs(1);

impl Announcing {
    async fn run(&self) {
        let (mut changes, mut announcer) = (self.host.changes(), Announcer::default());
        let mut ticks = tokio::time::interval(REPEAT_EVERY);
        loop {
            changes.mark_unchanged();
            let claims = self.host.claims();
            let ready = claims.iter().all(|(_, claim)| claim.is_some());
            self.readiness.set(&format!("{}/commands", self.host.service()), ready);
            self.announce(&mut announcer, claims);
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                _ = ticks.tick(), if self.repeats => {}
            }
        }
    }

    fn announce(&self, announcer: &mut Announcer, claims: Vec<(i32, Option<i64>)>) {
        let written: Vec<(i32, i64)> = claims.into_iter().filter_map(|(partition, run)| Some((partition, run?))).collect();
        let is_published = |partition, run| !self.repeats || self.owners.is_published(self.host.service(), partition, &self.owner(run));
        for (partition, run) in announcer.due(&written, is_published, Instant::now()) {
            self.owners.announce(self.host.service(), partition, &self.owner(run));
        }
    }

    fn owner(&self, run: i64) -> Owner {
        Owner { node: self.name.owner.clone(), address: self.name.address.clone(), run }
    }
}
