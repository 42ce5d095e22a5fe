//! `daybook copy`: moves all logs from one cluster to another, each record to its own offset.

use crate::{
    FOUND, Failure, System,
    cli::CopyArguments,
    embedded::{self, Missing},
    exclusive::Exclusive,
    replay::records_bar,
};
use event_store::{
    PartitionId,
    kafka::{CopyError, KafkaConfig, PartitionCopy, Profile, TopicPlan, Topics},
};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::{collections::BTreeMap, process::ExitCode, sync::Arc};

/// Copies what the target lacks of each log, and proves the copy; exit code 4 when the target holds another log.
pub(crate) async fn run(system: &System, arguments: CopyArguments) -> Result<ExitCode, Failure> {
    let missing = if arguments.from.is_some() { Missing::Made } else { Missing::Refused };
    let log = embedded::for_tool(system, &arguments.store, "copy", missing).await?;
    let data = &arguments.store.data;
    let alone = || Exclusive::take(&data.join("copy.lock"), &format!("the logs of {}", data.display()), "copy");
    let _held = arguments.store.kafka.is_embedded().then(alone).transpose()?;
    let copied = copy_all(system, &arguments).await;
    if let Some(log) = log {
        log.stop().await?;
    }
    copied
}

async fn copy_all(system: &System, arguments: &CopyArguments) -> Result<ExitCode, Failure> {
    let (from, to) = sides(arguments).await?;
    let partitions = Topics::new(&from).and_then(|topics| topics.partitions(&system.logs())).map_err(Failure::failed)?;
    if partitions.is_empty() {
        return Err(Failure::usage(format!("{} holds no log of {}", from.brokers, system.title())));
    }
    let partitions: BTreeMap<_, _> = partitions.into_iter().collect();
    make_topics(&to, arguments, &partitions).await?;
    let copies: Vec<_> = each(&partitions).map(|partition| Arc::new(PartitionCopy::new(partition, from.clone(), to.clone()))).collect();
    match each_in_turn(copies, arguments.json).await? {
        Ok(records) if arguments.json => println!("{}", json!({"equal": true, "partitions": records})),
        Ok(_) => println!("{} is a copy of {}: each record stands at its own offset", to.brokers, from.brokers),
        Err(error) => return end_with(arguments.json, error),
    }
    Ok(ExitCode::SUCCESS)
}

/// Copies the partitions one after another, once all of them were looked at. Returns how many records each has.
async fn each_in_turn(copies: Vec<Arc<PartitionCopy>>, json: bool) -> Result<Result<Vec<Value>, CopyError>, Failure> {
    let all = copies.clone();
    if let Err(refused) = blocking(move || check_all(&all)).await? {
        return Ok(Err(refused));
    }
    let mut records = Vec::new();
    for copy in copies {
        let partition = copy.partition().to_string();
        match blocking(move || copy_one(&copy)).await? {
            Ok(count) if json => records.push(json!({"partition": partition, "records": count})),
            Ok(count) => println!("{partition:20} {count:>12} records, equal"),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(records))
}

/// Refuses a target that holds another log, before anything is written to it.
fn check_all(copies: &[Arc<PartitionCopy>]) -> Result<(), CopyError> {
    copies.iter().try_for_each(|copy| {
        let (end, _) = copy.ends()?;
        copy.check(end).map(drop)
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CopyError> + Send + 'static,
) -> Result<Result<T, CopyError>, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(Failure::failed)
}

/// A cluster that does not answer is a failure; anything else was found.
fn end_with(as_json: bool, error: CopyError) -> Result<ExitCode, Failure> {
    match error {
        CopyError::Log(error) => return Err(Failure::failed(format!("{error}; run it again, and it goes on where it stopped"))),
        found if as_json => println!("{}", json!({"equal": false, "why": found.to_string()})),
        found => println!("{found}"),
    }
    Ok(ExitCode::from(FOUND))
}

/// Where the logs are copied from, and where to.
async fn sides(arguments: &CopyArguments) -> Result<(KafkaConfig, KafkaConfig), Failure> {
    let ours = arguments.store.kafka.config("daybook-copy");
    let properties = arguments.other_properties.clone().unwrap_or_default();
    let other = |brokers: &str| KafkaConfig { properties, ..KafkaConfig::new(brokers, "daybook-copy") };
    let (from, to) = match (&arguments.to, &arguments.from) {
        (Some(to), _) => (ours, other(to)),
        (None, Some(from)) => (other(from), ours),
        (None, None) => return Err(Failure::usage("name the other cluster: --to BROKERS, or --from BROKERS")),
    };
    if cluster_of(&from).await? == cluster_of(&to).await? {
        return Err(Failure::usage(format!("{} and {} are one cluster", from.brokers, to.brokers)));
    }
    Ok((from, to))
}

async fn cluster_of(config: &KafkaConfig) -> Result<String, Failure> {
    Topics::connect(config).await.and_then(|topics| topics.cluster_id()).map_err(Failure::failed)
}

/// Makes the topics that the target lacks, with as many partitions as the source has; refuses a target whose topics are not as they must be.
async fn make_topics(to: &KafkaConfig, arguments: &CopyArguments, partitions: &BTreeMap<&'static str, i32>) -> Result<(), Failure> {
    let topics = Topics::new(to).map_err(Failure::failed)?;
    let profile = Profile { replication: arguments.store.kafka.replication, min_insync: arguments.store.kafka.min_insync };
    for (service, partitions) in partitions {
        let plan = TopicPlan { services: vec![*service], partitions: *partitions, profile };
        topics.create(&plan).await.map_err(Failure::failed)?;
        if let Some(wrong) = topics.check(&plan).await.map_err(Failure::failed)?.first() {
            let (topic, setting) = (&wrong.topic, &wrong.setting);
            return Err(Failure::usage(format!("{topic} on {}: {setting} is {}, must be {}", to.brokers, wrong.is, wrong.must)));
        }
    }
    Ok(())
}

fn each(partitions: &BTreeMap<&'static str, i32>) -> impl Iterator<Item = PartitionId> {
    partitions
        .iter()
        .flat_map(|(service, count)| (0..*count).map(|partition| PartitionId { service: (*service).into(), partition }))
        .collect::<Vec<_>>()
        .into_iter()
}

/// Copies one partition up to the source's present end, and compares both. Returns how many records there are.
fn copy_one(copy: &PartitionCopy) -> Result<i64, CopyError> {
    let (end, begin) = copy.ends()?;
    let lacking = bar(copy, "copied", end - begin);
    copy.copy(end, &|records| lacking.inc(records))?;
    lacking.finish_and_clear();
    let compared = bar(copy, "compared", end);
    copy.compare(0, end, &|records| compared.inc(records))?;
    compared.finish_and_clear();
    Ok(end)
}

fn bar(copy: &PartitionCopy, what: &str, records: i64) -> ProgressBar {
    records_bar(&format!("{} {what}", copy.partition()), u64::try_from(records).unwrap_or(0))
}
