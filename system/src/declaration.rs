//! What a system is made of, said once.

use crate::{Failure, due::DueRows, writing::Building};
use codec::{Codecs, RecordSet, Schemas};
use consumers::{Deadline, DestinationConfig, Due, EffectKind, Overdue, Patience, Reactor};
use event_sourcing::{Aggregate, Event, Sources, Timestamp};
use event_store::Aggregates;
use projections::{Database, ErasedView, ReadState, View, Views, audit, erased};
use std::{collections::BTreeSet, path::Path, sync::Arc};
use utoipa_axum::router::OpenApiRouter;

/// The service that keeps every event of every service for the auditor.
const AUDIT: &str = "audit";

/// What the effects of a service are made from.
pub struct Surroundings<'a> {
    /// The service's own database.
    pub database: &'a Database,
    /// The ways to all aggregates.
    pub aggregates: &'a Aggregates,
    /// Where this machine keeps its data.
    pub data: &'a Path,
    /// How long and how often an effect is tried, as the settings say.
    pub patience: Patience,
    /// How a destination is treated, as the settings say.
    pub destination: DestinationConfig,
}

type Effects = Arc<dyn Fn(&Surroundings<'_>) -> Result<Vec<(&'static str, EffectKind)>, Failure> + Send + Sync>;
type MakeDue = Arc<dyn Fn(&Database) -> Arc<dyn Due> + Send + Sync>;
type Commands = Arc<dyn Fn(&Aggregates) -> OpenApiRouter + Send + Sync>;
type Queries = Arc<dyn Fn(ReadState) -> OpenApiRouter + Send + Sync>;

/// What must know the type of a service's aggregate.
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
}

impl Service {
    /// The service of an aggregate. Its name is that of the log in which the aggregate's events live.
    pub fn of<A: Aggregate>() -> Self {
        let host = |building: &mut Building<'_>| building.host::<A>();
        let typed = Typed { name: A::NAME, codec: |codecs| codecs.with::<A>(), host };
        Self { aggregate: Some(typed), ..Self::reading(A::Event::SERVICE) }
    }

    /// A service that has no aggregate and no log: it reads those of others.
    pub fn reading(name: &'static str) -> Self {
        let (views, reactors, deadlines) = (Vec::new(), Vec::new(), Vec::new());
        Self { name, aggregate: None, views, reactors, effects: None, deadlines, commands: None, queries: None }
    }

    /// With a view in its database. The first view is the aggregate's own: an auditor sees an aggregate as that shows it.
    #[must_use]
    pub fn view<V: View>(mut self) -> Self {
        self.views.push(erased::<V>());
        self
    }

    /// With reactors.
    #[must_use]
    pub fn reactors(mut self, reactors: Vec<Reactor>) -> Self {
        self.reactors.extend(reactors);
        self
    }

    /// With the effects that its reactors ask for: each kind's name, and who performs it.
    #[must_use]
    pub fn effects(
        self,
        effects: impl Fn(&Surroundings<'_>) -> Result<Vec<(&'static str, EffectKind)>, Failure> + Send + Sync + 'static,
    ) -> Self {
        Self { effects: Some(Arc::new(effects)), ..self }
    }

    /// With deadlines, which are a view: rows whose moment in the column `by[0]` has passed, the longest overdue first (`by` is an index of the
    /// view's table), are asked for what `overdue` makes of them. The commands' ids are made from `name`.
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

    /// With routes that take commands.
    #[must_use]
    pub fn commands(self, commands: impl Fn(&Aggregates) -> OpenApiRouter + Send + Sync + 'static) -> Self {
        Self { commands: Some(Arc::new(commands)), ..self }
    }

    /// With routes that answer from its views.
    #[must_use]
    pub fn queries(self, queries: impl Fn(ReadState) -> OpenApiRouter + Send + Sync + 'static) -> Self {
        Self { queries: Some(Arc::new(queries)), ..self }
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

    pub(crate) fn effect_kinds(&self, surroundings: &Surroundings<'_>) -> Result<Vec<(&'static str, EffectKind)>, Failure> {
        self.effects.as_ref().map_or_else(|| Ok(Vec::new()), |effects| effects(surroundings))
    }

    pub(crate) fn deadlines(&self, database: &Database) -> Vec<Deadline> {
        self.deadlines.iter().map(|(name, make)| Deadline { name, due: make(database) }).collect()
    }

    /// Its routes that take commands, over these ways to the aggregates.
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
}

impl System {
    /// A system without services yet. Its name is a program's; its records are the schemas of all its events.
    pub fn new(name: &'static str, records: &RecordSet) -> Self {
        Self { name, title: name, hint: None, records: records.clone(), services: Vec::new() }
    }

    /// Greets under this title and shows a request to begin with, in which `{address}` stands for where HTTP is served.
    #[must_use]
    pub fn greeting(self, title: &'static str, hint: &'static str) -> Self {
        Self { title, hint: Some(hint), ..self }
    }

    /// With a service.
    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }

    /// With the auditor's service, which keeps every event of the services so far. Call it last.
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

    /// How its events are read under these schemas.
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
