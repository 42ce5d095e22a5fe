//! The read side of this process: databases, views, reactors, and what feeds them.

use super::adapters::{Addresses, Reacting, ReactorRedrive};
use crate::{
    cli::{Role, RunArguments},
    failure::Failure,
};
use consumers::{
    Commands, Effects, ReactorParts, Reactors,
    gateway::{GatewayConfig, HttpGateway},
    keep_deadlines,
    mail::Post,
};
use domain::user::User;
use event_store::{
    Execute, Log, PartitionId, PlacedReaders, Reader, Readers,
    kafka::{KafkaConfig, KafkaLog, KafkaProducer, KafkaTail, Placed, Placement, Topics},
};
use projections::{DATABASES, Database, LetterBox, Owners, ReadState, Redrive, ViewRunner};
use schemas::Schemas;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

/// How many aggregates the reactors of a service work on at once.
const CONCURRENCY: usize = 64;
/// How often the deadlines are looked at.
const DEADLINES_EVERY: Duration = Duration::from_secs(1);

/// The databases of the services that this process reads for.
pub struct Databases(BTreeMap<&'static str, Database>);

impl Databases {
    /// Opens the databases of the services with views or reactors here.
    pub async fn open(arguments: &RunArguments) -> Result<Self, Failure> {
        let mut open = BTreeMap::new();
        for service in
            DATABASES.into_iter().filter(|service| arguments.plays(service, Role::Views) || arguments.plays(service, Role::Reactors))
        {
            let url = arguments.store.database(service);
            open.insert(
                service,
                Database::open(&url).await.map_err(|error| Failure::failed(format!("the database of {service}: {error}")))?,
            );
        }
        Ok(Self(open))
    }

    /// The GETs of the services with views here.
    pub fn routes(&self, arguments: &RunArguments, owners: &Arc<dyn Owners>) -> OpenApiRouter {
        let views = self.0.iter().filter(|(service, _)| arguments.plays(service, Role::Views));
        views.fold(OpenApiRouter::new(), |routes, (service, database)| {
            routes.merge(projections::routes(ReadState::new(service, database.clone()).with_owners(owners.clone())))
        })
    }
}

/// What the read side is made of.
pub struct ReadingParts<'a> {
    pub arguments: &'a RunArguments,
    pub config: &'a KafkaConfig,
    pub schemas: &'a Schemas,
    pub databases: &'a Databases,
    pub commands: Commands,
    pub users: Arc<dyn Execute<User>>,
    pub producer: KafkaProducer,
    pub gateway: &'a str,
    pub stop: &'a CancellationToken,
}

/// A running read side.
pub struct Reading {
    readers: Arc<Readers>,
    placement: Option<Placement>,
    boxes: BTreeMap<&'static str, LetterBox>,
}

impl Reading {
    /// The dead letters of the databases here.
    pub fn letter_routes(&self) -> OpenApiRouter {
        if self.boxes.is_empty() { OpenApiRouter::new() } else { projections::letter_routes(self.boxes.clone()) }
    }

    /// Waits for the lanes to end, after the stop signal.
    pub async fn finished(self) {
        let placement = self.placement;
        let _ = tokio::task::spawn_blocking(move || drop(placement)).await;
        self.readers.finished().await;
    }
}

/// A reader of this process, and who redrives what it puts aside, in whose database.
struct Running {
    service: &'static str,
    reader: Reader,
    redrive: Arc<dyn Redrive>,
}

/// Starts views and reactors, and reads for them.
pub async fn start(parts: ReadingParts<'_>) -> Result<Reading, Failure> {
    let mut running = view_readers(&parts).await?;
    running.extend(reactor_readers(&parts)?);
    keep_order_deadlines(&parts);
    let boxes = letter_boxes(&parts, &running);
    let readers: Vec<Reader> = running.into_iter().map(|running| running.reader).collect();
    let names: Vec<String> = readers.iter().map(|reader| reader.name.to_string()).collect();
    let logs = schemas::SERVICES.map(|service| {
        let log: Arc<dyn Log> = Arc::new(KafkaLog::new(parts.producer.clone(), service, parts.config.clone()));
        (service, log)
    });
    let tail = KafkaTail::shown(parts.config, &parts.producer).map_err(Failure::failed)?;
    let readers = Readers::new(readers, logs.into_iter().collect(), tail, parts.stop.clone());
    let placement = place(&parts, &readers, &names)?;
    Ok(Reading { readers, placement, boxes })
}

fn letter_boxes(parts: &ReadingParts<'_>, running: &[Running]) -> BTreeMap<&'static str, LetterBox> {
    let of = |service: &'static str, database: &Database| {
        let redrivers = running.iter().filter(|running| running.service == service).map(|running| running.redrive.clone());
        (service, LetterBox { database: database.clone(), redrivers: redrivers.collect() })
    };
    parts.databases.0.iter().map(|(service, database)| of(service, database)).collect()
}

async fn view_readers(parts: &ReadingParts<'_>) -> Result<Vec<Running>, Failure> {
    let mut running = Vec::new();
    for service in parts.arguments.playing(&DATABASES, Role::Views) {
        let Some((service, database)) = parts.databases.0.get_key_value(service) else { continue };
        let runner = Arc::new(ViewRunner::new(service, database.clone(), parts.schemas.clone()).await.map_err(Failure::failed)?);
        let reader = Reader { name: format!("{service}/views").into(), sources: projections::sources_of(service), handler: runner.clone() };
        running.push(Running { service, reader, redrive: runner });
    }
    Ok(running)
}

fn reactor_readers(parts: &ReadingParts<'_>) -> Result<Vec<Running>, Failure> {
    let mut running = Vec::new();
    for service in schemas::SERVICES.into_iter().filter(|service| parts.arguments.plays(service, Role::Reactors)) {
        let sources = consumers::sources_of(service);
        let Some(database) = parts.databases.0.get(service).filter(|_| !sources.is_empty()) else { continue };
        let reacting = Arc::new(Reacting(database.clone()));
        let reactors = Arc::new(Reactors::new(ReactorParts {
            service,
            commands: parts.commands.clone(),
            effects: effects(parts, database)?,
            checkpoints: reacting.clone(),
            dead_letters: reacting,
            schemas: parts.schemas.clone(),
            concurrency: CONCURRENCY,
        }));
        let reader = Reader { name: format!("{service}/reactors").into(), sources, handler: reactors.clone() };
        running.push(Running { service, reader, redrive: Arc::new(ReactorRedrive { database: database.clone(), reactors }) });
    }
    Ok(running)
}

fn effects(parts: &ReadingParts<'_>, database: &Database) -> Result<Effects, Failure> {
    let gateway = HttpGateway::new(GatewayConfig::new(parts.gateway)).map_err(Failure::failed)?;
    let contacts = Arc::new(Addresses { database: database.clone(), users: parts.users.clone() });
    let from = &parts.arguments.mail_from;
    let post = match &parts.arguments.smtp_url {
        Some(url) => Post::server(url, contacts, from),
        None => Post::folder(parts.arguments.store.data.join("mailbox"), contacts, from),
    };
    Ok(Effects { gateway: Arc::new(gateway), post: Arc::new(post.map_err(Failure::failed)?) })
}

fn keep_order_deadlines(parts: &ReadingParts<'_>) {
    let database = parts.databases.0.get("orders").filter(|_| parts.arguments.plays("orders", Role::Reactors));
    if let Some(database) = database {
        let deadlines = Arc::new(Reacting(database.clone()));
        tokio::spawn(keep_deadlines(deadlines, parts.commands.clone(), DEADLINES_EVERY, parts.stop.clone()));
    }
}

/// On one machine everything is read here; between machines the nodes that read for the same share the partitions.
fn place(parts: &ReadingParts<'_>, readers: &Arc<Readers>, names: &[String]) -> Result<Option<Placement>, Failure> {
    let placed = PlacedReaders(readers.clone());
    let sources = readers.sources();
    if sources.is_empty() {
        return Ok(None);
    }
    if !parts.arguments.store.kafka.is_embedded() {
        let group = format!("daybook.readers.{}", names.join("+").replace('/', "-"));
        return Placement::join(parts.config, &group, &sources, Arc::new(placed)).map(Some).map_err(Failure::failed);
    }
    let partitions = Topics::new(parts.config).and_then(|topics| topics.partitions(&sources)).map_err(Failure::failed)?;
    for (service, count) in partitions {
        (0..count).for_each(|partition| placed.gained(&PartitionId { service: service.into(), partition }));
    }
    Ok(None)
}
