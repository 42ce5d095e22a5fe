//! The read side of a node: databases, views, reactors, and the readers that feed them.

use crate::{
    Failure, Role, RunArguments, Service, Surroundings, System, caught_up::CatchingUp, errands::ReactorDatabase, redrive::ReactorRedrive,
};
use codec::Codecs;
use consumers::{Patience, ReactorParts, Reactors, keep_deadlines};
use event_store::{
    Aggregates, Log, Membership, PartitionId, PlacedReader, Reader, Readers, Readiness, Supervisor,
    kafka::{KafkaConfig, KafkaLog, KafkaProducer, KafkaTail, Placement, Topics},
};
use projections::{BuildingParts, Database, LetterBox, ReadState, Redrive, ViewRunner};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use utoipa_axum::router::OpenApiRouter;

/// The most commands that the reactors of a service have under way at once.
const CONCURRENCY: usize = 64;
/// How often the deadlines are read.
const DEADLINES_EVERY: Duration = Duration::from_secs(1);

/// The databases of the services whose views or reactors run in this process.
pub(crate) struct Databases(pub BTreeMap<&'static str, Database>);

impl Databases {
    /// Opens the databases of the services whose views or reactors run here.
    pub async fn open(system: &System, arguments: &RunArguments) -> Result<Self, Failure> {
        let mut open = BTreeMap::new();
        let reads = |service: &&'static str| arguments.plays(service, Role::Views) || arguments.plays(service, Role::Reactors);
        for service in system.names().into_iter().filter(reads) {
            let opened = Database::open(&arguments.store.database(service)).await;
            open.insert(service, opened.map_err(|error| Failure::failed(format!("the database of {service}: {error}")))?);
        }
        Ok(Self(open))
    }

    /// The GETs of the services whose views run here.
    pub fn routes(&self, system: &System, arguments: &RunArguments, aggregates: &Aggregates, codecs: &Codecs) -> OpenApiRouter {
        let views = system.services().iter().filter(|service| arguments.plays(service.name(), Role::Views));
        views.fold(OpenApiRouter::new(), |routes, service| match self.0.get(service.name()) {
            Some(database) => {
                let state = ReadState::new(service.name(), database.clone(), service.views());
                let state = state.with_aggregates(aggregates.clone()).with_codecs(codecs.clone());
                routes.merge(service.query_routes(state))
            }
            None => routes,
        })
    }
}

/// The parts of which the read side is made.
pub(crate) struct ReadingParts<'a> {
    pub system: &'a System,
    pub arguments: &'a RunArguments,
    pub config: &'a KafkaConfig,
    pub codecs: &'a Codecs,
    pub databases: &'a Databases,
    pub aggregates: &'a Aggregates,
    pub producer: KafkaProducer,
    pub readiness: &'a Readiness,
    pub supervisor: &'a Supervisor,
}

/// A running read side.
pub(crate) struct ReadSide {
    readers: Arc<Readers>,
    placements: Vec<Placement>,
    boxes: BTreeMap<&'static str, LetterBox>,
}

impl ReadSide {
    /// The routes of the dead letters in the databases here.
    pub fn letter_routes(&self) -> OpenApiRouter {
        if self.boxes.is_empty() { OpenApiRouter::new() } else { projections::letter_routes(self.boxes.clone()) }
    }

    /// The readers, which say how they fare.
    pub fn readers(&self) -> Arc<Readers> {
        self.readers.clone()
    }

    /// Waits, after the stop signal, until the lanes have ended and have finished what they began.
    pub async fn finished(self) {
        let placements = self.placements;
        placements.iter().for_each(Placement::begin_to_leave);
        let _ = tokio::task::spawn_blocking(move || drop(placements)).await;
        self.readers.finished().await;
    }
}

/// A reader of this process, its service, and who redrives the letters that it put into that service's database.
struct Running {
    service: &'static str,
    reader: Reader,
    redrive: Arc<dyn Redrive>,
}

type Logs = BTreeMap<&'static str, Arc<dyn Log>>;

/// Starts views and reactors, and the readers that feed them.
pub(crate) async fn start(parts: &ReadingParts<'_>) -> Result<ReadSide, Failure> {
    let log = |service: &'static str| -> (&'static str, Arc<dyn Log>) {
        (service, Arc::new(KafkaLog::new(parts.producer.clone(), service, parts.config.clone())))
    };
    let logs: Logs = parts.system.logs().into_iter().map(log).collect();
    let mut running = view_readers(parts, &logs).await?;
    running.extend(reactor_readers(parts, &logs)?);
    keep_all_deadlines(parts);
    tell_who_catches_up(parts, &logs)?;
    let boxes = letter_boxes(parts, &running);
    let readers: Vec<Reader> = running.into_iter().map(|running| running.reader).collect();
    let tail = KafkaTail::shown(parts.config, &parts.producer).map_err(Failure::failed)?;
    let readers = Readers::new(readers, logs.into_iter().collect(), tail, parts.supervisor.clone());
    let placements = place(parts, &readers)?;
    Ok(ReadSide { readers, placements, boxes })
}

fn letter_boxes(parts: &ReadingParts<'_>, running: &[Running]) -> BTreeMap<&'static str, LetterBox> {
    let of = |service: &'static str, database: &Database| {
        let redrivers = running.iter().filter(|running| running.service == service).map(|running| running.redrive.clone());
        (service, LetterBox { database: database.clone(), redrivers: redrivers.collect() })
    };
    parts.databases.0.iter().map(|(service, database)| of(service, database)).collect()
}

async fn view_readers(parts: &ReadingParts<'_>, logs: &Logs) -> Result<Vec<Running>, Failure> {
    let mut running = Vec::new();
    for service in parts.system.services().iter().filter(|service| parts.arguments.plays(service.name(), Role::Views)) {
        let (name, views) = (service.name(), service.views());
        let Some(database) = parts.databases.0.get(name) else { continue };
        let sources = views.sources(&parts.system.logs());
        let runner = ViewRunner::new(name, database.clone(), views, parts.codecs.clone()).await.map_err(Failure::failed)?;
        let runner = Arc::new(runner);
        runner.start_building(building_parts(parts, logs, &sources)?);
        let reader = Reader { name: format!("{name}/views").into(), sources, handler: runner.clone() };
        running.push(Running { service: name, reader, redrive: runner });
    }
    Ok(running)
}

/// What a service's views are built of when the database lacks their versions.
fn building_parts(parts: &ReadingParts<'_>, logs: &Logs, sources: &[&'static str]) -> Result<BuildingParts, Failure> {
    let partitions = Topics::new(parts.config).and_then(|topics| topics.partitions(sources)).map_err(Failure::failed)?;
    let logs = logs.iter().map(|(service, log)| (*service, log.clone())).collect();
    let readiness = parts.readiness.clone();
    let tell = Arc::new(move |view: &str, why: Option<String>| {
        let note = why.map(|why| format!("it is being built, and old rows answer until then: {why}"));
        readiness.note(&format!("view {view}"), note);
    });
    Ok(BuildingParts { logs, partitions, stop: parts.supervisor.stop().clone(), tell })
}

fn reactor_readers(parts: &ReadingParts<'_>, logs: &Logs) -> Result<Vec<Running>, Failure> {
    let mut running = Vec::new();
    for service in parts.system.services().iter().filter(|service| parts.arguments.plays(service.name(), Role::Reactors)) {
        let sources = parts.system.sources_of(&service.reacts());
        let Some(database) = parts.databases.0.get(service.name()).filter(|_| !sources.is_empty()) else { continue };
        let reactors = Arc::new(reactors(parts, service, database, logs)?);
        let reader = Reader { name: format!("{}/reactors", service.name()).into(), sources, handler: reactors.clone() };
        let redrive = Arc::new(ReactorRedrive { database: database.clone(), reactors });
        running.push(Running { service: service.name(), reader, redrive });
    }
    Ok(running)
}

fn reactors(parts: &ReadingParts<'_>, service: &Service, database: &Database, logs: &Logs) -> Result<Reactors, Failure> {
    let (patience, destination) = (parts.arguments.patience(), parts.arguments.destination());
    let data = &parts.arguments.store.data;
    let surroundings = Surroundings { database, aggregates: parts.aggregates, data, patience, destination };
    let store = Arc::new(ReactorDatabase(database.clone()));
    Ok(Reactors::new(ReactorParts {
        service: service.name(),
        reactors: service.reacts(),
        aggregates: parts.aggregates.clone(),
        kinds: service.effect_kinds(&surroundings)?.into_iter().collect(),
        // A command that finds no owner is tried for as long as an effect, in any number of attempts.
        patience: Patience { attempts: u32::MAX, longest_pause: patience.longest_pause.min(Duration::from_secs(5)), ..patience },
        store: store.clone(),
        dead_letters: store,
        codecs: parts.codecs.clone(),
        logs: logs.clone(),
        concurrency: CONCURRENCY,
        stop: parts.supervisor.stop().clone(),
    }))
}

fn keep_all_deadlines(parts: &ReadingParts<'_>) {
    for service in parts.system.services().iter().filter(|service| parts.arguments.plays(service.name(), Role::Reactors)) {
        let Some(database) = parts.databases.0.get(service.name()) else { continue };
        for deadline in service.deadlines(database) {
            let keeping = keep_deadlines(deadline, parts.aggregates.clone(), DEADLINES_EVERY, parts.supervisor.stop().clone());
            parts.supervisor.spawn_to_the_end("the keeper of deadlines", keeping);
        }
    }
}

/// For each service that asks for it, waits in the background until its reactors have caught up.
fn tell_who_catches_up(parts: &ReadingParts<'_>, logs: &Logs) -> Result<(), Failure> {
    for service in parts.system.services().iter().filter(|service| parts.arguments.plays(service.name(), Role::Reactors)) {
        let (Some(command), Some(database)) = (service.caught_up(), parts.databases.0.get(service.name())) else { continue };
        let sources = parts.system.sources_of(&service.reacts());
        let counts = Topics::new(parts.config).and_then(|topics| topics.partitions(&sources)).map_err(Failure::failed)?;
        let of = |(service, log): (&'static str, &Arc<dyn Log>)| {
            let (count, log) = (counts.get(service).copied().unwrap_or(0), log.clone());
            (0..count).map(move |partition| (PartitionId { service: service.into(), partition }, log.clone()))
        };
        let logs = sources.iter().filter_map(|service| Some((*service, logs.get(service)?)));
        let (database, aggregates) = (database.clone(), parts.aggregates.clone());
        let catching_up = CatchingUp { service: service.name(), sources: logs.flat_map(of).collect(), database, aggregates, command };
        parts.supervisor.spawn_to_the_end("the watch for reactors that catch up", catching_up.run(parts.supervisor.stop().clone()));
    }
    Ok(())
}

/// The consumer group of a reader, which every node that runs the reader joins, whatever else it runs.
fn group_of(reader: &str) -> String {
    format!("daybook.readers.{}", reader.replace('/', "-"))
}

/// On one machine this process reads all partitions. Between machines, the nodes that run a reader share its partitions in a consumer group:
/// one for each reader, so that nodes which play other roles, or run other services, share those that they both run.
fn place(parts: &ReadingParts<'_>, readers: &Arc<Readers>) -> Result<Vec<Placement>, Failure> {
    if parts.arguments.membership() != Membership::Alone {
        let join = |(name, sources): (Arc<str>, &[&'static str])| {
            let (group, placed) = (group_of(&name), PlacedReader { readers: readers.clone(), name });
            Placement::join(parts.config, &group, sources, Arc::new(placed)).map_err(Failure::failed)
        };
        return readers.all().filter(|(_, sources)| !sources.is_empty()).map(join).collect();
    }
    let partitions = Topics::new(parts.config).and_then(|topics| topics.partitions(&readers.sources())).map_err(Failure::failed)?;
    for (service, count) in partitions {
        (0..count).for_each(|partition| readers.gain_all(&PartitionId { service: service.into(), partition }));
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::group_of;

    #[test]
    fn a_readers_group_has_its_name() {
        assert_eq!(group_of("orders/views"), "daybook.readers.orders-views");
        assert_ne!(group_of("orders/reactors"), group_of("payments/reactors"));
    }
}
