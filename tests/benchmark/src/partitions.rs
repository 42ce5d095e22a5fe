//! `partitions`: what more partitions cost the process that owns them, against one.

use crate::{
    figure::{Aim, Figure, Measure, Pair, Sample, Set},
    load::{Span, closed_loop},
    ours::Ours,
    process::{COMMANDS, Server},
    stage::{Stage, logs},
    usage::{Busy, mebibytes, resident, threads},
};
use anyhow::{Context, Result, ensure};
use event_store::kafka::{OWNERS_TOPIC, topic_of};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const COUNTS: [i32; 4] = [1, 4, 16, 64];
/// The longest that the brokers may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A broker that has just made many partitions is busy with them for a second or two.
const SETTLES: Duration = Duration::from_secs(2);

/// What is measured of each number of partitions.
const KINDS: [(&str, Measure); 4] = [
    ("512 clients", Measure::Rate),
    ("1 client", Measure::P50),
    ("all owned after a start on empty logs", Measure::P50),
    ("processor time of a second without commands", Measure::P50),
];

/// Appends, and the start before them.
async fn loaded(stage: &Stage, partitions: i32) -> Result<[Sample; 3]> {
    let began = Instant::now();
    let ours = Arc::new(Ours::on_partitions(stage, "partitions", partitions).await?);
    let start = Sample { rate: 0.0, p50: began.elapsed().as_secs_f64() * 1e6, p99: 0.0, cores: 0.0 };
    let span = Span { warm: stage.span().warm + SETTLES, ..stage.span() };
    let most = closed_loop(512, span, &ours).await?;
    let alone = closed_loop(1, stage.span(), &ours).await?;
    ours.stop().await;
    Ok([most, alone, start])
}

/// Deletes the topics of `daybook run`, since whoever made them may have chosen another number of partitions.
async fn delete_topics(stage: &Stage) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", &stage.config.brokers).create()?;
    let names: Vec<String> = logs().into_iter().map(topic_of).chain([OWNERS_TOPIC.to_owned()]).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    for deleted in admin.delete_topics(&names, &options).await? {
        let absent = |code| matches!(code, RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic);
        deleted.map(drop).or_else(|(topic, code)| if absent(code) { Ok(()) } else { Err(code).context(topic) })?;
    }
    let is_gone = || anyhow::Ok(admin.inner().fetch_metadata(None, TIMEOUT)?.topics().iter().all(|topic| !names.contains(&topic.name())));
    for _ in 0..100 {
        if is_gone()? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("the topics are not gone after 10 s")
}

/// What a process that owns so many partitions takes while nobody asks it anything: its processor time in microseconds a second, measured
/// several times; and its memory and threads, in words.
async fn idle(stage: &Stage, partitions: i32) -> Result<(Vec<Sample>, String)> {
    delete_topics(stage).await?;
    stage.services(partitions).await?;
    let server = Server::daybook(stage, &[&COMMANDS[..], &["--partitions", &partitions.to_string()]].concat()).await?;
    let (settling, window) = if stage.short { (2, 3) } else { (10, 10) };
    tokio::time::sleep(Duration::from_secs(settling)).await;
    let mut samples = Vec::new();
    for _ in 0..stage.runs {
        let (began, used) = (Instant::now(), Busy::of(server.pid())?);
        tokio::time::sleep(Duration::from_secs(window)).await;
        let used = Busy::of(server.pid())?.since(&used);
        samples.push(Sample { rate: 0.0, p50: used.as_secs_f64() * 1e6 / began.elapsed().as_secs_f64(), p99: 0.0, cores: 0.0 });
    }
    let took = format!("{partitions} idle: {} resident, {} threads", mebibytes(resident(server.pid())?), threads(server.pid())?);
    Ok((samples, took))
}

/// The figures of each kind and number of partitions, without runs yet: those of a kind side by side.
fn figures() -> Vec<Figure> {
    let cell = |(kind, measure): (&str, Measure), count: &i32| {
        let what = format!("{kind}, {count} partitions");
        Figure::new(what, "the same with 1 partition", measure, Aim::None)
    };
    KINDS.into_iter().flat_map(|kind| COUNTS[1..].iter().map(move |count| cell(kind, count))).collect()
}

/// `partitions`.
pub async fn measure(stage: &Stage) -> Result<Set> {
    let mut set = stage.set("partitions");
    let (others, mut figures) = (COUNTS.len() - 1, figures());
    for _ in 0..stage.runs {
        let one = loaded(stage, COUNTS[0]).await?;
        for (index, count) in COUNTS[1..].iter().enumerate() {
            let many = loaded(stage, *count).await?;
            for kind in 0..one.len() {
                figures[kind * others + index].runs.push(Pair { ours: many[kind], peer: one[kind] });
            }
        }
    }
    let mut idling = Vec::new();
    for count in COUNTS {
        let (samples, took) = idle(stage, count).await?;
        idling.push(samples);
        set.notes.push(took);
    }
    delete_topics(stage).await?;
    let (one, many) = idling.split_first().context("nothing was idle")?;
    for (figure, many) in figures[3 * others..].iter_mut().zip(many) {
        ensure!(many.len() == one.len(), "not as many samples");
        figure.runs.extend(many.iter().zip(one).map(|(ours, peer)| Pair { ours: *ours, peer: *peer }));
    }
    set.figures = figures;
    set.notes.push(
        "In process but for the idle ones, which are `daybook run --service users --role commands`; their milliseconds are processor time of all its threads in a second".into(),
    );
    Ok(set)
}
