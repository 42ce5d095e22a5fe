//! `replay`: an owner that reads its log from the beginning, against a consumer that only reads it.

use crate::{
    bare::consumer,
    figure::{Aim, Figure, Measure, Pair, Sample, Set},
    load::{Cores, Span, closed_loop},
    ours::{Keeps, Ours},
    stage::Stage,
};
use anyhow::{Context, Result};
use codec::Schemas;
use domain::order::OrderEvent;
use event_store::{
    Log,
    kafka::{KafkaLog, topic_of},
};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::Consumer,
    message::{BorrowedMessage, Headers},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A log with so many orders in it, or a few more; its service's name.
pub async fn filled(stage: &Stage, orders: i64) -> Result<&'static str> {
    let service = stage.topic("replay").await?;
    let log: Arc<dyn Log> = Arc::new(KafkaLog::new(stage.producer()?, service, stage.config.clone()));
    let ours = Arc::new(Ours::own(log.clone(), stage.barrier(service)?, Keeps::Memory).await?);
    while log.end(0).await? <= orders {
        closed_loop(512, Span { warm: Duration::ZERO, counted: Duration::from_secs(1) }, &ours).await?;
    }
    ours.stop().await;
    Ok(service)
}

async fn ours(stage: &Stage, service: &str, keeps: Keeps) -> Result<Sample> {
    let log = Arc::new(KafkaLog::new(stage.producer()?, service, stage.config.clone()));
    let (began, cores) = (Instant::now(), Cores::begin()?);
    let ours = Ours::own(log, stage.barrier(service)?, keeps).await?;
    let (took, cores) = (began.elapsed(), cores.busy()?);
    let records = ours.claim().context("nobody owns the log")?;
    ours.stop().await;
    Ok(Sample { rate: records as f64 / took.as_secs_f64(), p50: 0.0, p99: 0.0, cores })
}

/// What a consumer does with a record.
type Look = fn(&BorrowedMessage<'_>, &Schemas) -> Result<()>;

/// Takes it, and looks at it no further.
fn ignore(_: &BorrowedMessage<'_>, _: &Schemas) -> Result<()> {
    Ok(())
}

/// Reads its headers as text, and decodes its event: the least that a reader must do to understand the record.
fn understand(record: &BorrowedMessage<'_>, schemas: &Schemas) -> Result<()> {
    let headers = record.headers().context("no headers")?;
    for header in headers.iter() {
        std::str::from_utf8(header.value.context("an empty header")?)?;
    }
    let is_event = headers.iter().any(|header| header.key == "group");
    if is_event {
        schemas.decode::<OrderEvent>(record.payload().context("an empty record")?)?;
    }
    Ok(())
}

/// Every record of the log.
async fn bare(stage: &Stage, service: &str, look: Look) -> Result<Sample> {
    let (brokers, topic) = (stage.config.brokers.clone(), topic_of(service));
    tokio::task::spawn_blocking(move || read_all(&brokers, &topic, look)).await?
}

fn read_all(brokers: &str, topic: &str, look: Look) -> Result<Sample> {
    let schemas = schemas::bundled();
    let (began, cores) = (Instant::now(), Cores::begin()?);
    let consumer = consumer(brokers)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&list)?;
    let (_, end) = consumer.fetch_watermarks(topic, 0, Duration::from_secs(10))?;
    let mut next = 0;
    while next < end {
        let record = consumer.poll(Duration::from_secs(10)).context("nothing comes any more")??;
        look(&record, &schemas)?;
        next = record.offset() + 1;
    }
    Ok(Sample { rate: end as f64 / began.elapsed().as_secs_f64(), p50: 0.0, p99: 0.0, cores: cores.busy()? })
}

/// `replay`.
pub async fn replay(stage: &Stage) -> Result<Set> {
    let (mut set, service) = (stage.set("replay"), filled(stage, if stage.short { 20_000 } else { 200_000 }).await?);
    let (against, understands) = ("a bare consumer of the same topic", "a bare consumer that reads headers and decodes events");
    set.figures = vec![
        Figure::new("a service's log: decode, run rule, fold", against, Measure::RatePerCore, Aim::AtLeast(0.6)),
        Figure::new("the same", understands, Measure::RatePerCore, Aim::None),
        Figure::new("the same, by the clock", against, Measure::Rate, Aim::None),
        Figure::new("the same, with snapshots saved meanwhile", against, Measure::Rate, Aim::None),
    ];
    bare(stage, service, ignore).await?;
    for _ in 0..stage.runs {
        let kept = ours(stage, service, Keeps::Memory).await?;
        let (ignores, understands) = (bare(stage, service, ignore).await?, bare(stage, service, understand).await?);
        let saved = ours(stage, service, Keeps::Snapshots).await?;
        let pairs = [(kept, ignores), (kept, understands), (kept, ignores), (saved, ignores)];
        for (figure, (ours, peer)) in set.figures.iter_mut().zip(pairs) {
            figure.runs.push(Pair { ours, peer });
        }
    }
    set.notes.push(
        "Events a second from the start of an owner to the moment at which it may write; the peer from its start to the last record".into(),
    );
    Ok(set)
}
