//! The declaration of a system: what it is made of, said once.

use crate::{Check, Failure, due::DueRows, writing::Building};
use access::Policy;
use codec::{Codecs, RecordSet, Schemas};
use consumers::{Deadline, DestinationConfig, Due, EffectKind, Overdue, Patience, Reactor};
use event_sourcing::{Aggregate, AnyCommand, Event, Sources, Timestamp};
use event_store::Aggregates;
use projections::{Database, ErasedView, ReadState, View, Views, audit, erased};
use std::{collections::BTreeSet, path::Path, sync::Arc};
use utoipa_axum::router::OpenApiRouter;

/// The service that keeps every event of every service for the auditor.
const AUDIT: &str = "audit";

/// The parts of a node from which a service makes the performers of its effects.
pub struct Surroundings<'a> {
    /// The service's own database.
    pub database: &'a Database,
    /// Sends commands to any aggregate.
    pub aggregates: &'a Aggregates,
    /// The directory in which this machine keeps its data.
    pub data: &'a Path,
    /// How long and how often an effect is tried, by the settings.
    pub patience: Patience,
    /// The limits of a destination, by the settings.
    pub destination: DestinationConfig,
}

type Effects = Arc<dyn Fn(&Surroundings<'_>) -> Result<Vec<(&'static str, EffectKind)>, Failure> + Send + Sync>;
type MakeDue = Arc<dyn Fn(&Database) -> Arc<dyn Due> + Send + Sync>;
type Commands = Arc<dyn Fn(&Aggregates) -> OpenApiRouter + Send + Sync>;
type Queries = Arc<dyn Fn(ReadState) -> OpenApiRouter + Send + Sync>;

/// The parts of a service that depend on the type of its aggregate.
#[derive(Clone, Copy)]
struct Typed {
    name: &'static str,
    codec: fn(Codecs) -> Codecs,
    host: fn(&mut Building<'_>) -> Result<(), Failure>,
}

/// A service: its aggregate's log, its database, its routes.
#[derive(Clone)]
pub struct Service {
    name: &'static str,
    aggregate: Option<Typed>,
    views: Vec<ErasedView>,
    reactors: Vec<Reactor>,
    effects: Option<Effects>,
    deadlines: Vec<(&'static str, MakeDue)>,
    commands: Option<Commands>,
    queries: Option<Queries>,
    caught_up: Option<AnyCommand>,
    checks: Vec<fn() -> Box<dyn Check>>,
}

impl Service {
    /// The service of an aggregate. Its name is that of the log in which the aggregate's events live.
    pub fn of<A: Aggregate>() -> Self {
        let host = |building: &mut Building<'_>| building.host::<A>();
        let typed = Typed { name: A::NAME, codec: |codecs| codecs.with::<A>(), host };
        Self { aggregate: Some(typed), ..Self::reading(A::Event::SERVICE) }
    }

    /// A service without an aggregate and without a log: it reads the logs of others.
    pub fn reading(name: &'static str) -> Self {
        let (views, reactors, deadlines) = (Vec::new(), Vec::new(), Vec::new());
        let (effects, commands, queries, caught_up, checks) = (None, None, None, None, Vec::new());
        Self { name, aggregate: None, views, reactors, effects, deadlines, commands, queries, caught_up, checks }
    }

    /// Adds a view to its database. The first view is the aggregate's own: the auditor shows an aggregate's state by it.
    #[must_use]
    pub fn view<V: View>(mut self) -> Self {
        self.views.push(erased::<V>());
        self
    }

    /// Adds reactors.
    #[must_use]
    pub fn reactors(mut self, reactors: Vec<Reactor>) -> Self {
        self.reactors.extend(reactors);
        self
    }

    /// Adds the effects that its reactors ask for: each kind's name, and who performs it.
    #[must_use]
    pub fn effects(
        self,
        effects: impl Fn(&Surroundings<'_>) -> Result<Vec<(&'static str, EffectKind)>, Failure> + Send + Sync + 'static,
    ) -> Self {
        Self { effects: Some(Arc::new(effects)), ..self }
    }

    /// Adds deadlines. They are rows of a view: when the moment in a row's column `by[0]` has passed, the command that `overdue` makes of
    /// the row is sent, the longest overdue first (`by` is an index of the view's table). The commands' ids are made from `name`.
    #[must_use]
    pub fn deadline<V: View>(
        mut self,
        name: &'static str,
        by: &'static [&'static str],
        overdue: fn(&V::Row, Timestamp) -> Overdue,
    ) -> Self {
        let make: MakeDue = Arc::new(move |database| Arc::new(DueRows::<V> { database: database.clone(), by, overdue }));
        self.deadlines.push((name, make));
        self
    }

    /// Adds routes that take commands.
    #[must_use]
    pub fn commands(self, commands: impl Fn(&Aggregates) -> OpenApiRouter + Send + Sync + 'static) -> Self {
        Self { commands: Some(Arc::new(commands)), ..self }
    }

    /// Adds routes that answer from its views.
    #[must_use]
    pub fn queries(self, queries: impl Fn(ReadState) -> OpenApiRouter + Send + Sync + 'static) -> Self {
        Self { queries: Some(Arc::new(queries)), ..self }
    }

    /// Sends this command once the service's reactors have handled all that stood in their logs when the process started. Every node that
    /// runs them does so at each start: the command must make no event the second time.
    #[must_use]
    pub fn once_caught_up(self, command: AnyCommand) -> Self {
        Self { caught_up: Some(command), ..self }
    }

    /// Adds a check of its log, for `verify`.
    #[must_use]
    pub fn checked<C: Check + Default + 'static>(mut self) -> Self {
        self.checks.push(|| Box::new(C::default()));
        self
    }

    /// The service's name: `orders`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// True where it has an aggregate, and so a log.
    pub fn has_log(&self) -> bool {
        self.aggregate.is_some()
    }

    /// Its views.
    pub fn views(&self) -> Views {
        Views::new(self.views.clone())
    }

    pub(crate) fn reacts(&self) -> Vec<Reactor> {
        self.reactors.clone()
    }

    pub(crate) fn caught_up(&self) -> Option<AnyCommand> {
        self.caught_up.clone()
    }

    pub(crate) fn checks(&self) -> impl Iterator<Item = Box<dyn Check>> + '_ {
        self.checks.iter().map(|make| make())
    }

    pub(crate) fn effect_kinds(&self, surroundings: &Surroundings<'_>) -> Result<Vec<(&'static str, EffectKind)>, Failure> {
        self.effects.as_ref().map_or_else(|| Ok(Vec::new()), |effects| effects(surroundings))
    }

    pub(crate) fn deadlines(&self, database: &Database) -> Vec<Deadline> {
        self.deadlines.iter().map(|(name, make)| Deadline { name, due: make(database) }).collect()
    }

    /// Its routes that take commands, which they send through `aggregates`.
    pub fn command_routes(&self, aggregates: &Aggregates) -> OpenApiRouter {
        self.commands.as_ref().map_or_else(OpenApiRouter::new, |commands| commands(aggregates))
    }

    /// Its routes that answer from its views.
    pub fn query_routes(&self, state: ReadState) -> OpenApiRouter {
        self.queries.as_ref().map_or_else(OpenApiRouter::new, |queries| queries(state))
    }

    pub(crate) fn host(&self, building: &mut Building<'_>) -> Result<(), Failure> {
        self.aggregate.map_or(Ok(()), |typed| (typed.host)(building))
    }
}

/// A whole system.
#[derive(Clone)]
pub struct System {
    name: &'static str,
    title: &'static str,
    hint: Option<&'static str>,
    records: RecordSet,
    services: Vec<Service>,
    policy: Arc<Policy>,
}

impl System {
    /// A system without services yet. `name` is its program's; `records` are the schemas of all its events.
    pub fn new(name: &'static str, records: &RecordSet) -> Self {
        let policy = Arc::default();
        Self { name, title: name, hint: None, records: records.clone(), services: Vec::new(), policy }
    }

    /// Prints this title at the start, and an example request, in which `{address}` stands for the address of HTTP.
    #[must_use]
    pub fn greeting(self, title: &'static str, hint: &'static str) -> Self {
        Self { title, hint: Some(hint), ..self }
    }

    /// Says who may what. Without a table a system can be run in open mode only, where nobody is asked who they are.
    #[must_use]
    pub fn access(self, policy: Policy) -> Self {
        Self { policy: Arc::new(policy), ..self }
    }

    /// Adds a service.
    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }

    /// Adds the auditor's service, which keeps every event. Call it last: it shows the aggregates of the services added before.
    #[must_use]
    pub fn audited(self) -> Self {
        let own = |service: &Service| Some((service.aggregate?.name, (service.name, service.views.first().cloned())));
        let catalogue = Arc::new(audit::Catalogue::new(self.services.iter().filter_map(own).collect()));
        let audit = Service::reading(AUDIT).view::<audit::Audit>();
        self.service(audit.queries(move |state| audit::routes(state, catalogue.clone())))
    }

    /// The system's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn title(&self) -> &'static str {
        self.title
    }

    pub(crate) fn hint(&self) -> Option<&'static str> {
        self.hint
    }

    /// Who may what.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Its services, each with a database of its own.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The names of its services.
    pub fn names(&self) -> Vec<&'static str> {
        self.services.iter().map(Service::name).collect()
    }

    /// The names of the services that have a log.
    pub fn logs(&self) -> Vec<&'static str> {
        self.services.iter().filter(|service| service.has_log()).map(Service::name).collect()
    }

    /// The kinds of aggregate: `order`.
    pub fn aggregates(&self) -> Vec<&'static str> {
        self.services.iter().filter_map(|service| service.aggregate.map(|typed| typed.name)).collect()
    }

    /// The schemas of its events.
    pub fn records(&self) -> &RecordSet {
        &self.records
    }

    /// The codecs that read its events, under these schemas.
    pub fn codecs(&self, schemas: Schemas) -> Codecs {
        let typed = self.services.iter().filter_map(|service| service.aggregate);
        typed.fold(Codecs::new(schemas), |codecs, typed| (typed.codec)(codecs))
    }

    /// The services whose logs reactors read, in alphabetical order.
    pub(crate) fn sources_of(&self, reactors: &[Reactor]) -> Vec<&'static str> {
        let logs = self.logs();
        let read = |reactor: &Reactor| match reactor.sources() {
            Sources::All => logs.clone(),
            Sources::Of(services) => services.to_vec(),
        };
        reactors.iter().flat_map(read).collect::<BTreeSet<_>>().into_iter().collect()
    }
}
