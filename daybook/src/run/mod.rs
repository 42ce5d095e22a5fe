//! `daybook run`: the services of this process, from the log to HTTP.

mod adapters;
pub(crate) mod children;
mod reading;
mod writing;

use crate::{
    cli::{Role, RunArguments},
    failure::Failure,
};
use command_api::{
    Api, ApiConfig,
    edge::{self, EdgeConfig, Readiness},
};
use event_store::kafka::{KafkaConfig, Topics};
use std::{process::ExitCode, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Runs until a signal, then answers what was accepted.
pub async fn run(arguments: Box<RunArguments>) -> Result<ExitCode, Failure> {
    log_to_stderr(arguments.json);
    let stop = until_signal();
    let http = TcpListener::bind(arguments.http).await.map_err(|error| in_use("HTTP", &arguments.http, &error, "DAYBOOK_HTTP"))?;
    let mut children = children::Children::default();
    if arguments.store.kafka.is_embedded() {
        children.start_broker(&arguments.store).await?;
    }
    let gateway = match &arguments.gateway_url {
        Some(url) => url.clone(),
        None => children.start_gateway(&arguments).await?,
    };
    let schemas = arguments.store.schemas().await?;
    let config = arguments.store.kafka.config(&arguments.node_name());
    make_topics(&arguments, &config).await?;
    let readiness = Readiness::default();
    let writing = writing::Writing::start(&arguments, &config, &schemas, &readiness, &stop).await?;
    let databases = reading::Databases::open(&arguments).await?;
    let reading = reading::start(reading::ReadingParts {
        arguments: &arguments,
        config: &config,
        schemas: &schemas,
        databases: &databases,
        commands: writing.reactor_commands(),
        users: writing.users.clone(),
        producer: writing.producer(),
        gateway: &gateway,
        stop: &stop,
    })
    .await?;
    let routes = command_routes(&arguments, &writing).merge(databases.routes(&arguments, &writing.owners())).merge(reading.letter_routes());
    let edge = EdgeConfig { answer_within: Duration::from_millis(arguments.answer_within), ..EdgeConfig::default() };
    let app = edge::app(routes, readiness, schemas.clone(), edge);
    greet(&arguments, &http);
    edge::serve(http, app, edge, stop.clone()).await.map_err(Failure::failed)?;
    reading.finished().await;
    writing.stop().await;
    children.stop().await;
    Ok(ExitCode::SUCCESS)
}

fn command_routes(arguments: &RunArguments, writing: &writing::Writing) -> utoipa_axum::router::OpenApiRouter {
    let mut api = Api::new(ApiConfig { order_deadline: Duration::from_secs(arguments.order_deadline) });
    let takes = |service| arguments.plays(service, Role::Commands);
    if takes("users") {
        api = api.users(writing.users.clone());
    }
    if takes("products") {
        api = api.products(writing.products.clone());
    }
    if takes("orders") {
        api = api.orders(writing.orders.clone());
    }
    if takes("payments") {
        api = api.payments(writing.payments.clone());
    }
    api.routes()
}

/// On the embedded broker the topics are made; on real ones, too, where they are missing, with the settings of the arguments.
async fn make_topics(arguments: &RunArguments, config: &KafkaConfig) -> Result<(), Failure> {
    let topics = Topics::new(config).map_err(Failure::failed)?;
    let created = topics.create(&arguments.store.kafka.plan()).await.map_err(Failure::failed)?;
    if !created.is_empty() {
        tracing::info!(?created, "topics");
    }
    Ok(())
}

fn greet(arguments: &RunArguments, http: &TcpListener) {
    let address = http.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let broker =
        arguments.store.kafka.kafka.clone().unwrap_or_else(|| format!("127.0.0.1:{} (embedded)", arguments.store.kafka.broker_port));
    println!("Daybook is on http://{address}  (API: /docs, ready: /health/ready, metrics: /metrics)");
    println!("the log is on {broker}; data in {}", arguments.store.data.display());
    println!(
        "try: curl -s -X POST http://{address}/users -H 'content-type: application/json' -d '{{\"email\":\"ada@example.com\",\"name\":\"Ada\"}}'"
    );
}

pub(crate) fn in_use(what: &str, address: &impl ToString, error: &std::io::Error, setting: &str) -> Failure {
    Failure::usage(format!("{what}: {} cannot be had ({error}); choose another with {setting}", address.to_string()))
}

fn log_to_stderr(json: bool) {
    let filter = EnvFilter::try_from_env("DAYBOOK_LOG")
        .unwrap_or_else(|_| EnvFilter::new("warn,daybook=info,event_store=info,command_api=info,consumers=info,projections=info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json { lines.json().init() } else { lines.init() }
}

/// Cancelled by Ctrl-C or SIGTERM.
pub(crate) fn until_signal() -> CancellationToken {
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
