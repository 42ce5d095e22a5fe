//! `daybook verify`: checks the log's promises on the raw topics.

use crate::{FOUND, Failure, System, check, cli::VerifyArguments, store::Store};
use codec::{Codecs, DecodeError, Learned, PartitionClaimed};
use event_store::{
    Checkpoint, Log, LogError, PartitionId, is_anchored,
    verify::{Findings, Verifier},
};
use projections::DatabaseError;
use serde_json::json;
use std::{collections::HashMap, process::ExitCode, sync::Arc};

/// Reads each partition from its beginning to its present end; exit code 4 when a promise is broken.
pub(crate) async fn run(system: &System, arguments: VerifyArguments) -> Result<ExitCode, Failure> {
    let store = Store::open(system, &arguments.store, "verify").await?;
    let asked = |service: &&'static str| arguments.services.is_empty() || arguments.services.iter().any(|asked| asked == service);
    let mut found = Vec::new();
    for service in system.logs().into_iter().filter(asked) {
        let Some(log) = store.logs.get(service) else { continue };
        let partitions = store.partitions.get(service).copied().unwrap_or(0);
        for partition in 0..partitions {
            let source = PartitionId { service: service.into(), partition };
            let findings = verify(log, &source, partitions, &store.codecs).await.map_err(Failure::failed)?;
            if !arguments.json {
                say(&source, &findings, arguments.all);
            }
            found.push((source, findings));
        }
    }
    let mut together = Vec::new();
    for service in system.services().iter().filter(|service| asked(&service.name())) {
        for check in service.checks() {
            let findings = check::findings(&store, service.name(), check).await.map_err(Failure::failed)?;
            together.extend(findings.into_iter().map(|what| (service.name(), what)));
        }
    }
    let mut seen = HashMap::new();
    for service in system.services() {
        let findings = unfounded(&store, service.name(), &asked, &mut seen).await?;
        together.extend(findings.into_iter().map(|what| (service.name(), what)));
    }
    store.close().await?;
    if found.iter().all(|(_, findings)| findings.records == 0) {
        return Err(Failure::usage("there is nothing to verify: the logs are empty"));
    }
    let violations = found.iter().map(|(_, findings)| findings.violations).sum::<u64>() + together.len() as u64;
    if arguments.json {
        let partitions: Vec<_> =
            found.iter().map(|(source, findings)| json!({"partition": source.to_string(), "findings": findings})).collect();
        let services: Vec<_> = together.iter().map(|(service, what)| json!({"service": service, "what": what})).collect();
        println!("{}", json!({"violations": violations, "partitions": partitions, "services": services}));
    } else {
        together.iter().for_each(|(service, what)| println!("{service:20} BROKEN: {what}"));
    }
    if violations == 0 && !arguments.json {
        println!("every promise is kept");
    }
    Ok(if violations == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// The readers of a service's database that have read what the logs asked for do not hold any more. Where there is no such database,
/// nothing was made of them.
async fn unfounded(
    store: &Store,
    service: &str,
    asked: &impl Fn(&&'static str) -> bool,
    seen: &mut HashMap<(PartitionId, Checkpoint), bool>,
) -> Result<Vec<String>, Failure> {
    let Ok(database) = store.database(service).await else { return Ok(Vec::new()) };
    let failed = |error: DatabaseError| Failure::failed(format!("the database of {service}: {error}"));
    let mut unfounded = Vec::new();
    for (reader, source, checkpoint) in database.standings().await.map_err(failed)? {
        let Some((_, log)) = store.logs.iter().find(|(service, _)| ***service == *source.service && asked(service)) else { continue };
        // Most readers stand at the same places.
        let place = (source.clone(), checkpoint);
        let holds = match seen.get(&place) {
            Some(holds) => *holds,
            None => is_anchored(&**log, source.partition, checkpoint).await.map_err(Failure::failed)?,
        };
        seen.insert(place, holds);
        if !holds {
            let (next, end) = (checkpoint.next, log.end(source.partition).await.map_err(Failure::failed)?);
            unfounded.push(format!(
                "{reader} has read {source} up to offset {next}, and that log, which ends at {end}, does not hold what was read: it has lost \
                 records; a node that runs makes {reader} anew by itself"
            ));
        }
    }
    Ok(unfounded)
}

async fn verify(log: &Arc<dyn Log>, source: &PartitionId, partitions: i32, codecs: &Codecs) -> Result<Findings, LogError> {
    let (end, mut next) = (log.end(source.partition).await?, 0);
    let mut verifier = Verifier::new(source.clone(), partitions);
    if end == 0 {
        return Ok(verifier.finish());
    }
    let mut cursor = log.read(source.partition, 0).await?;
    while next < end {
        for record in cursor.next().await?.into_iter().filter(|record| record.offset < end) {
            next = record.offset + 1;
            let decodable = decodable(source, &record.payload, codecs).await.map_err(|error| error.to_string());
            let claim = PartitionClaimed::decode(&record.payload, codecs.schemas());
            verifier.check(record, decodable, claim.ok().and_then(|claim| claim.partitions));
        }
    }
    Ok(verifier.finish())
}

/// Checks that the bytes are an event of the service; asks the registry for a schema that this build does not have.
async fn decodable(source: &PartitionId, payload: &[u8], codecs: &Codecs) -> Result<(), DecodeError> {
    let decode = || codecs.decode(&source.service, payload).map(drop);
    match decode() {
        Err(DecodeError::UnknownSchema(id)) => {
            if codecs.schemas().learn(id).await == Learned::NotNow {
                tracing::warn!(id, "a schema cannot be learned now");
            }
            decode()
        }
        decoded => decoded,
    }
}

fn say(source: &PartitionId, findings: &Findings, all: bool) {
    let Findings { records, runs, proofs, counted, commands, aggregates, uncounted, uncounted_records, violations, broken } = findings;
    println!(
        "{:20} {records:>8} records: {runs} runs, {proofs} proofs, {counted} events of {commands} commands and {aggregates} aggregates count",
        source.to_string()
    );
    for (reason, count) in uncounted {
        println!("  {count} do not count: {reason}");
    }
    for remark in uncounted_records.iter().filter(|_| all) {
        println!("    at {}: {}", remark.offset, remark.what);
    }
    if *violations > 0 {
        println!("  {violations} PROMISES ARE BROKEN");
        broken.iter().for_each(|remark| println!("    at {}: {}", remark.offset, remark.what));
    }
}
