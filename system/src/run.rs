//! Runs a node of a system: its services, from the log to HTTP.

use crate::{
    Children, Failure, HostPort, Role, RunArguments, Service, StoreArguments, System,
    callers::Callers,
    data,
    embedded::EmbeddedLog,
    identity::{self, LogsByService},
    reading::{self, Databases, ReadSide, ReadingParts},
    settings, topics,
    watch::{Ended, Watched},
    writing::{WriteSide, WritingParts},
};
use codec::Schemas;
use command_api::edge::{self, EdgeConfig};
use event_store::{
    Log, PartitionId, Readiness, Supervisor,
    kafka::{KafkaConfig, KafkaLog, KafkaProducer, OwnersTopic, Topics, topic_of},
};
use std::{collections::HashMap, process::ExitCode, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use utoipa_axum::router::OpenApiRouter;

/// Runs until a signal, then answers the commands that were accepted, and ends. `children` are processes that were started for the node;
/// they end after it.
///
/// # Errors
/// A port is taken, the brokers or a database do not answer, a setting is wrong.
pub async fn run(system: &System, arguments: &RunArguments, children: Children) -> Result<ExitCode, Failure> {
    log_to_stderr(system, arguments);
    settings::warn_of_unknown();
    let stop = until_signal();
    refuse_unreachable(arguments)?;
    arguments.callers.check(system, &arguments.http)?;
    let http = bind("HTTP", &arguments.http, "DAYBOOK_HTTP").await?;
    let nodes = bind("nodes", &arguments.node, "DAYBOOK_NODE").await?;
    let callers = Callers::start(system, &arguments.callers, &http, &stop).await?;
    data::prepare(&arguments.store.data)?;
    show(arguments);
    let log = if arguments.store.kafka.is_embedded() { Some(EmbeddedLog::start(&arguments.store).await?) } else { None };
    if let Some(log) = &log {
        log.stop_with_it(stop.clone());
    }
    let schemas = arguments.store.schemas(system).await?;
    let codecs = system.codecs(schemas.clone());
    let config = arguments.store.kafka.config(&arguments.node_name());
    let databases = Databases::open(system, arguments).await?;
    refuse_other_logs(system, arguments, &config, &schemas, &databases).await?;
    make_topics(system, arguments, &config).await?;
    let (readiness, supervisor, ended) = (Readiness::default(), Supervisor::new(stop.clone()), Ended::default());
    end_in_time(&supervisor, &ended);
    let writing = WritingParts {
        system,
        arguments,
        config: &config,
        schemas: &schemas,
        readiness: &readiness,
        supervisor: &supervisor,
        failure: &ended,
    };
    let writing = WriteSide::start(writing, nodes).await?;
    let aggregates = &writing.aggregates;
    let producer = writing.producer();
    let parts = ReadingParts {
        system,
        arguments,
        config: &config,
        codecs: &codecs,
        databases: &databases,
        aggregates,
        producer,
        readiness: &readiness,
        supervisor: &supervisor,
    };
    let reading = reading::start(&parts).await?;
    let watched = Arc::new(watched(&parts, &reading, writing.owners(), &readiness, &ended)?);
    supervisor.spawn("the watch over logs and readers", move || {
        let watched = watched.clone();
        async move { watched.run().await }
    });
    let routes = command_routes(system, arguments, &writing).merge(databases.routes(system, arguments, aggregates, &codecs));
    let edge = EdgeConfig { answer_within: Duration::from_millis(arguments.answer_within), ..EdgeConfig::default() };
    let app = edge::app(routes.merge(reading.letter_routes()), readiness, schemas, edge, callers.guard).map_err(Failure::failed)?;
    greet(system, arguments, &http, &callers.greeting);
    edge::serve(http, app, edge, stop.clone()).await.map_err(Failure::failed)?;
    reading.finished().await;
    writing.stop().await;
    children.stop().await;
    if let Some(log) = log {
        log.stop().await?;
    }
    ended_by(&supervisor, &ended).map_or(Ok(ExitCode::SUCCESS), Err)
}

/// Why a node had to end; none where a signal ended it.
fn ended_by(supervisor: &Supervisor, ended: &Ended) -> Option<Failure> {
    ended.lock().take().or_else(|| supervisor.why().map(Failure::failed))
}

/// How long a node that has to end may take to answer what it took and to give up what it has.
const END_WITHIN: Duration = Duration::from_secs(30);

/// Ends the process where a node that has to end does not: what met a defect may be what the others wait for.
fn end_in_time(supervisor: &Supervisor, ended: &Ended) {
    let (supervisor, ended) = (supervisor.clone(), ended.clone());
    tokio::spawn(async move {
        supervisor.stop().cancelled().await;
        if supervisor.why().is_none() && ended.lock().is_none() {
            return;
        }
        std::thread::spawn(move || {
            std::thread::sleep(END_WITHIN);
            if let Some(failure) = ended_by(&supervisor, &ended) {
                failure.exit();
            }
            std::process::exit(1);
        });
    });
}

/// Refuses logs that were written with another number of partitions than their topics have now.
async fn refuse_other_layout(logs: &LogsByService, partitions: &HashMap<&'static str, i32>, schemas: &Schemas) -> Result<(), Failure> {
    for source in identity::sources(partitions) {
        let (Some(log), Some(count)) = (logs.get(&*source.service), partitions.get(&*source.service)) else { continue };
        if let Some(misfit) = event_store::misfit(&**log, &source, *count, schemas).await.map_err(Failure::failed)? {
            let topic = topic_of(&source.service);
            return Err(Failure::usage(format!(
                "topic {topic} has {count} partitions, and its events were written with another number: {misfit}; a log's number of partitions is fixed for life: see docs/runbooks/partitions-added.md"
            )));
        }
    }
    Ok(())
}

/// Refuses databases and snapshots that were made of another log, before a topic is made or anything is decided.
async fn refuse_other_logs(
    system: &System,
    arguments: &RunArguments,
    config: &KafkaConfig,
    schemas: &Schemas,
    databases: &Databases,
) -> Result<(), Failure> {
    let topics = Topics::connect(config).await.map_err(Failure::failed)?;
    let partitions = topics.partitions(&system.logs()).map_err(Failure::failed)?;
    let logs = logs(system, config)?;
    refuse_other_layout(&logs, &partitions, schemas).await?;
    let snapshots = !arguments.playing(&system.logs(), Role::Commands).is_empty();
    identity::check(&arguments.store, &databases.0, snapshots, (&logs, identity::sources(&partitions))).await
}

fn logs(system: &System, config: &KafkaConfig) -> Result<LogsByService, Failure> {
    let producer = KafkaProducer::new(config).map_err(Failure::failed)?;
    let log = |service: &'static str| -> (&'static str, Arc<dyn Log>) {
        (service, Arc::new(KafkaLog::new(producer.clone(), service, config.clone())))
    };
    Ok(system.logs().into_iter().map(log).collect())
}

/// The partitions of which a service's database is made.
fn read_by(system: &System, service: &Service, sources: &[PartitionId]) -> Vec<PartitionId> {
    let mut services = service.views().sources(&system.logs());
    services.extend(system.sources_of(&service.reacts()));
    sources.iter().filter(|source| services.contains(&&*source.service)).cloned().collect()
}

/// What is watched while the node runs.
fn watched(
    parts: &ReadingParts<'_>,
    reading: &ReadSide,
    owners: Arc<OwnersTopic>,
    readiness: &Readiness,
    failure: &Ended,
) -> Result<Watched, Failure> {
    let ReadingParts { system, arguments, config, databases, supervisor, .. } = parts;
    let topics = Topics::new(config).map_err(Failure::failed)?;
    let partitions = topics.partitions(&system.logs()).map_err(Failure::failed)?;
    let sources = identity::sources(&partitions);
    let written = arguments.playing(&system.logs(), Role::Commands);
    Ok(Watched {
        arguments: arguments.store.clone(),
        logs: logs(system, config)?,
        topics: Arc::new(topics),
        partitions,
        snapshots: sources.iter().filter(|source| written.contains(&&*source.service)).cloned().collect(),
        reads: system.services().iter().map(|service| (service.name(), read_by(system, service, &sources))).collect(),
        sources,
        databases: databases.0.clone(),
        readers: reading.readers(),
        owners,
        readiness: readiness.clone(),
        stop: supervisor.stop().clone(),
        failure: failure.clone(),
    })
}

fn command_routes(system: &System, arguments: &RunArguments, writing: &WriteSide) -> OpenApiRouter {
    let taken = system.services().iter().filter(|service| arguments.plays(service.name(), Role::Commands));
    taken.fold(OpenApiRouter::new(), |routes, service| routes.merge(service.command_routes(&writing.aggregates)))
}

/// Refuses topics that are not as they must be, and makes those that are missing, with the settings of the arguments, on the embedded log and on real brokers.
async fn make_topics(system: &System, arguments: &RunArguments, config: &KafkaConfig) -> Result<(), Failure> {
    let (kafka, topics) = (&arguments.store.kafka, Topics::new(config).map_err(Failure::failed)?);
    topics::refuse_dangerous(system, kafka, &topics).await?;
    let created = topics.create(&kafka.plan(system)).await.map_err(Failure::failed)?;
    if created.is_empty() {
        return Ok(());
    }
    tracing::info!(?created, "topics");
    // What is not set at a topic's creation is as the brokers have it.
    topics::refuse_dangerous(system, kafka, &topics).await
}

fn greet(system: &System, arguments: &RunArguments, http: &TcpListener, who_may: &str) {
    let address = http.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let kafka = &arguments.store.kafka;
    let broker = kafka.kafka.clone().unwrap_or_else(|| format!("127.0.0.1:{} (embedded)", kafka.broker_port));
    println!("{} is on http://{address}  (API: /docs, ready: /health/ready, metrics: /metrics)", system.title());
    println!("the log is on {broker}; data in {}", arguments.store.data.display());
    println!("{who_may}");
    if let Some(hint) = system.hint().filter(|_| !arguments.callers.asks()) {
        println!("try: {}", hint.replace("{address}", &address));
    }
}

/// Binds an address of the settings.
async fn bind(what: &str, address: &HostPort, setting: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address.pair()).await.map_err(|error| Failure::in_use(what, address, &error, setting))
}

/// Fails where an address of the settings cannot be had or the data directory cannot be used, before anything is started. What it binds and
/// makes to find out is gone when it returns.
///
/// # Errors
/// One of them cannot be had.
pub fn check(system: &System, arguments: &RunArguments) -> Result<(), Failure> {
    arguments.callers.check(system, &arguments.http)?;
    let free = |what, address: &HostPort, setting| {
        std::net::TcpListener::bind(address.pair()).map(drop).map_err(|error| Failure::in_use(what, address, &error, setting))
    };
    refuse_unreachable(arguments)?;
    free("HTTP", &arguments.http, "DAYBOOK_HTTP")?;
    free("nodes", &arguments.node, "DAYBOOK_NODE")?;
    let kafka = &arguments.store.kafka;
    if kafka.is_embedded() {
        let log = HostPort { host: "127.0.0.1".to_owned(), port: kafka.broker_port };
        free("the embedded log", &log, "DAYBOOK_BROKER_PORT")?;
    }
    data::check(&arguments.store.data)
}

/// Other nodes are told where this one is: an address that stands for all addresses would send them to themselves.
fn refuse_unreachable(arguments: &RunArguments) -> Result<(), Failure> {
    let told = arguments.told_address(arguments.node.port);
    if arguments.store.kafka.is_embedded() || told.reachable() == told {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "DAYBOOK_NODE (--node) must be an address at which other nodes reach this one, such as node-1:9191; {told} stands for every \
         address: name another, or say where they reach it with DAYBOOK_NODE_ADDRESS (--node-address)"
    )))
}

/// The settings that say what this node works on, as the log shows them.
fn show(arguments: &RunArguments) {
    let StoreArguments { kafka, data, postgres, postgres_pooler: _, registry } = &arguments.store;
    let url = |url: &Option<String>| url.as_deref().map(codec::shown_url).unwrap_or_default();
    tracing::info!(
        name = arguments.node_name(),
        http = %arguments.http,
        node = %arguments.node,
        node_address = arguments.node_address.as_ref().map(ToString::to_string),
        kafka = kafka.kafka.as_deref().unwrap_or("embedded"),
        data = %data.display(),
        postgres = url(postgres),
        registry = url(&registry.registry),
        kafka_properties = kafka.kafka_properties.as_ref().map(tracing::field::debug),
        "settings"
    );
}

fn log_to_stderr(system: &System, arguments: &RunArguments) {
    let ours = [system.name(), "system", "event_store", "command_api", "consumers", "projections"];
    let default = ours.iter().fold("warn".to_owned(), |filter, name| format!("{filter},{}=info", name.replace('-', "_")));
    let filter = EnvFilter::new(arguments.log.as_deref().unwrap_or(&default));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if arguments.json { lines.json().init() } else { lines.init() }
}

/// A token that Ctrl-C or SIGTERM cancels.
pub fn until_signal() -> CancellationToken {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let terminated = async {
            match signal(SignalKind::terminate()) {
                Ok(mut terminate) => drop(terminate.recv().await),
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = terminated => {}
        }
        cancelled.cancel();
    });
    token
}
