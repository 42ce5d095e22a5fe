//! `daybook tail`: prints the log for people.

use crate::{Failure, System, cli::TailArguments};
use codec::{DecodeError, Learned, Schemas, to_json};
use event_store::{
    Followed, Follower, Log, PartitionId,
    kafka::{KafkaLog, KafkaProducer, Topics},
    run::Verdict,
};
use serde_json::json;
use std::{process::ExitCode, sync::Arc};
use tokio::task::JoinSet;

/// Which records are shown, and how.
#[derive(Clone)]
struct Shown {
    schemas: Schemas,
    aggregate: Option<uuid::Uuid>,
    all: bool,
    json: bool,
}

/// Prints the logs, each partition in its order, and follows them.
pub(crate) async fn run(system: &System, arguments: TailArguments) -> Result<ExitCode, Failure> {
    let services: Vec<&'static str> = system
        .logs()
        .into_iter()
        .filter(|service| arguments.services.is_empty() || arguments.services.iter().any(|asked| asked == service))
        .collect();
    let schemas = arguments.registry.schemas(system).await?;
    let config = arguments.kafka.config("daybook-tail");
    let partitions = Topics::connect(&config).await.and_then(|topics| topics.partitions(&services)).map_err(Failure::failed)?;
    if partitions.is_empty() {
        return Err(Failure::usage(format!("{} holds no log of {}: it has none of the topics", config.brokers, system.title())));
    }
    let producer = KafkaProducer::new(&config).map_err(Failure::failed)?;
    let shown = Shown { schemas, aggregate: arguments.aggregate, all: arguments.all, json: arguments.json };
    let mut tails = JoinSet::new();
    for service in services {
        let log: Arc<dyn Log> = Arc::new(KafkaLog::new(producer.clone(), service, config.clone()));
        for partition in 0..partitions.get(service).copied().unwrap_or(0) {
            let source = PartitionId { service: service.into(), partition };
            tails.spawn(tail(log.clone(), source, !arguments.no_follow, shown.clone()));
        }
    }
    while let Some(ended) = tails.join_next().await {
        ended.map_err(Failure::failed)?.map_err(Failure::failed)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn tail(log: Arc<dyn Log>, source: PartitionId, follow: bool, shown: Shown) -> Result<(), event_store::LogError> {
    let end = log.end(source.partition).await?;
    if end == 0 && !follow {
        return Ok(());
    }
    let mut follower = Follower::start(&log, source.clone()).await?;
    let mut held = Vec::new();
    loop {
        for record in follower.next().await? {
            let last = record.offset + 1 >= end;
            shown.show(&source, record, &mut held).await;
            if last && !follow {
                return Ok(());
            }
        }
    }
}

impl Shown {
    /// Holds an unfinished group back and prints records that count; with `all`, prints the others too.
    async fn show(&self, source: &PartitionId, record: Followed, held: &mut Vec<Followed>) {
        match record.verdict {
            Verdict::Held => held.push(record),
            Verdict::Counts => {
                held.push(record);
                for counted in std::mem::take(held) {
                    self.event(&counted).await;
                }
            }
            Verdict::Begins | Verdict::Ends => {
                for lost in held.drain(..).chain([record]).filter(|_| self.all) {
                    self.uncounted(source, &lost);
                }
            }
        }
    }

    async fn event(&self, record: &Followed) {
        let Some(event) = &record.event else { return };
        if self.aggregate.is_some_and(|wanted| wanted != event.aggregate_id) {
            return;
        }
        let mut shown = to_json(&record.payload, &self.schemas);
        if let Err(DecodeError::UnknownSchema(id)) = shown
            && self.schemas.learn(id).await == Learned::Known
        {
            shown = to_json(&record.payload, &self.schemas);
        }
        let body = shown.unwrap_or_else(|error| json!({"undecodable": error.to_string()}));
        let name = event.type_name.rsplit('.').next().unwrap_or_default();
        let time = moment(event.time);
        if self.json {
            let line = json!({"position": event.position.to_string(), "time": time, "type": event.type_name, "aggregate": event.aggregate_id, "version": event.version,
                "actor": event.cause.actor, "correlation": event.cause.correlation_id, "causation": event.cause.causation_id, "event": body});
            println!("{line}");
        } else {
            println!(
                "{time}  {:<24} {name:<22} {} v{} by {}  {body}",
                event.position.to_string(),
                event.aggregate_id,
                event.version,
                event.cause.actor
            );
        }
    }

    fn uncounted(&self, source: &PartitionId, record: &Followed) {
        let what = match (&record.claim, record.foreign) {
            (Some(nonce), _) => format!("claim {nonce}"),
            (None, Some(header)) => format!("not of ours: header {header}"),
            (None, None) => "does not count".to_owned(),
        };
        let position = format!("{}/{}/{}", source.service, source.partition, record.offset);
        if self.json {
            println!("{}", json!({"position": position, "uncounted": what}));
        } else {
            println!("{:<24}  {position:<24} {what}", "");
        }
    }
}

fn moment(time: event_sourcing::Timestamp) -> String {
    jiff::Timestamp::from_millisecond(time.0).map(|moment| format!("{moment:.3}")).unwrap_or_default()
}
