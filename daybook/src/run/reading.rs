//! The read side of this process: databases, views, reactors, and what feeds them.

use super::adapters::Reacting;
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
use event_store::{
    Log, PartitionId, PlacedReaders, Reader, Readers,
    kafka::{KafkaConfig, KafkaLog, KafkaProducer, KafkaTail, Placed, Placement, Topics},
};
use projections::{DATABASES, Database, ReadState, ViewRunner};
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
            let url = arguments.database(service);
            open.insert(
                service,
                Database::open(&url).await.map_err(|error| Failure::failed(format!("the database of {service}: {error}")))?,
            );
        }
        Ok(Self(open))
    }

    /// The GETs of the services with views here.
    pub fn routes(&self, arguments: &RunArguments) -> OpenApiRouter {
        let views = self.0.iter().filter(|(service, _)| arguments.plays(service, Role::Views));
        views.fold(OpenApiRouter::new(), |routes, (service, database)| {
            routes.merge(projections::routes(ReadState::new(service, database.clone())))
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
    pub producer: KafkaProducer,
    pub gateway: &'a str,
    pub stop: &'a CancellationToken,
}

/// A running read side.
pub struct Reading {
    readers: Arc<Readers>,
    placement: Option<Placement>,
}

impl Reading {
    /// Waits for the lanes to end, after the stop signal.
    pub async fn finished(self) {
        let placement = self.placement;
        let _ = tokio::task::spawn_blocking(move || drop(placement)).await;
        self.readers.finished().await;
    }
}

/// Starts views and reactors, and reads for them.
pub async fn start(parts: ReadingParts<'_>) -> Result<Reading, Failure> {
    let mut readers = view_readers(&parts).await?;
    readers.extend(reactor_readers(&parts)?);
    keep_order_deadlines(&parts);
    let names: Vec<String> = readers.iter().map(|reader| reader.name.to_string()).collect();
    let logs = schemas::SERVICES.map(|service| {
        let log: Arc<dyn Log> = Arc::new(KafkaLog::new(parts.producer.clone(), service, parts.config.clone()));
        (service, log)
    });
    let tail = KafkaTail::start(parts.config, &parts.producer).map_err(Failure::failed)?;
    let readers = Readers::new(readers, logs.into_iter().collect(), tail, parts.stop.clone());
    let placement = place(&parts, &readers, &names)?;
    Ok(Reading { readers, placement })
}

async fn view_readers(parts: &ReadingParts<'_>) -> Result<Vec<Reader>, Failure> {
    let mut readers = Vec::new();
    for service in parts.arguments.playing(&DATABASES, Role::Views) {
        let Some((service, database)) = parts.databases.0.get_key_value(service) else { continue };
        let runner = ViewRunner::new(service, database.clone(), parts.schemas.clone()).await.map_err(Failure::failed)?;
        readers.push(Reader {
            name: format!("{service}/views").into(),
            sources: projections::sources_of(service),
            handler: Arc::new(runner),
        });
    }
    Ok(readers)
}

fn reactor_readers(parts: &ReadingParts<'_>) -> Result<Vec<Reader>, Failure> {
    let mut readers = Vec::new();
    for service in parts.arguments.playing(&schemas::SERVICES, Role::Reactors) {
        let sources = consumers::sources_of(service);
        let Some(database) = parts.databases.0.get(service).filter(|_| !sources.is_empty()) else { continue };
        let reactors = Reactors::new(ReactorParts {
            service: schemas::SERVICES.into_iter().find(|known| *known == service).unwrap_or("orders"),
            commands: parts.commands.clone(),
            effects: effects(parts, database)?,
            checkpoints: Arc::new(Reacting(database.clone())),
            schemas: parts.schemas.clone(),
            concurrency: CONCURRENCY,
        });
        readers.push(Reader { name: format!("{service}/reactors").into(), sources, handler: Arc::new(reactors) });
    }
    Ok(readers)
}

fn effects(parts: &ReadingParts<'_>, database: &Database) -> Result<Effects, Failure> {
    let gateway = HttpGateway::new(GatewayConfig::new(parts.gateway)).map_err(Failure::failed)?;
    let contacts = Arc::new(Reacting(database.clone()));
    let from = &parts.arguments.mail_from;
    let post = match &parts.arguments.smtp_url {
        Some(url) => Post::server(url, contacts, from),
        None => Post::folder(parts.arguments.data.join("mailbox"), contacts, from),
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
    if !parts.arguments.kafka.is_embedded() {
        let group = format!("daybook.readers.{}", names.join("+").replace('/', "-"));
        return Placement::join(parts.config, &group, &sources, Arc::new(placed)).map(Some).map_err(Failure::failed);
    }
    let partitions = Topics::new(parts.config).and_then(|topics| topics.partitions(&sources)).map_err(Failure::failed)?;
    for (service, count) in partitions {
        (0..count).for_each(|partition| placed.gained(&PartitionId { service: service.into(), partition }));
    }
    Ok(None)
}
