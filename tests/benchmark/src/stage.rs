//! Where the figures are taken: the brokers, the databases, how long and how often.

use crate::{figure::Set, load::Span};
use anyhow::{Context, Result, bail};
use event_store::{
    Barrier,
    kafka::{KafkaConfig, KafkaProducer, Profile, TopicPlan, Topics, topic_of},
};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// Below this number of busy processors, only the idle brokers are at work.
const QUIET: f64 = 0.4;

/// The parts that are there, and how long each cell is loaded.
pub struct Stage {
    /// The brokers.
    pub config: KafkaConfig,
    /// Copies of each partition.
    pub copies: i32,
    /// PostgreSQL, without a database's name.
    pub postgres: Option<String>,
    /// Daybook's program.
    pub program: PathBuf,
    /// The machine and the versions, as they were before anything was measured.
    pub conditions: String,
    /// How often each pair is measured.
    pub runs: usize,
    /// A smaller, quicker measurement.
    pub short: bool,
}

impl Stage {
    /// From the environment, which `./bench` makes.
    pub fn from_environment(copies: i32, runs: usize, short: bool) -> Result<Self> {
        Ok(Self { conditions: conditions()?, copies, runs, short, ..Self::of_a_peer()? })
    }

    /// The same parts, for a process that is measured against: it measures nothing.
    pub fn of_a_peer() -> Result<Self> {
        let kafka = std::env::var("DAYBOOK_KAFKA").context("DAYBOOK_KAFKA is not set: ./bench sets it")?;
        let postgres = std::env::var("DAYBOOK_POSTGRES").ok();
        let program = std::env::var_os("DAYBOOK_PROGRAM").unwrap_or_else(|| "daybook".into()).into();
        let (config, conditions) = (KafkaConfig::new(&kafka, "bench"), String::new());
        Ok(Self { config, copies: 1, postgres, program, conditions, runs: 0, short: true })
    }

    /// How long a cell is loaded.
    pub fn span(&self) -> Span {
        let (warm, counted) = if self.short { (300, 700) } else { (1_000, 3_000) };
        Span { warm: Duration::from_millis(warm), counted: Duration::from_millis(counted) }
    }

    /// How long a setting is tried before the runs.
    pub fn trial(&self) -> Span {
        let span = self.span();
        Span { warm: span.warm / 2, counted: span.counted / 2 }
    }

    /// A new topic of one partition, safe as a service's log; answers its service's name.
    pub async fn topic(&self, what: &str) -> Result<&'static str> {
        self.topic_of(what, 1).await
    }

    /// Makes the missing topics of `daybook run` with so many partitions, and waits until the broker knows them all: a node that makes them
    /// and asks at once may be told that there are none.
    pub async fn services(&self, partitions: i32) -> Result<()> {
        let profile = Profile { replication: self.copies, min_insync: if self.copies > 1 { 2 } else { 1 } };
        let topics = Topics::new(&self.config)?;
        let services = logs();
        topics.create(&TopicPlan { services: services.clone(), partitions, profile }).await?;
        for _ in 0..100 {
            if topics.partitions(&services)?.len() == services.len() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("the topics are not there after 10 s")
    }

    /// A new topic of so many partitions, safe as a service's log; answers its service's name.
    pub async fn topic_of(&self, what: &str, partitions: i32) -> Result<&'static str> {
        let name: &'static str = Box::leak(format!("bench-{what}-{}", uuid::Uuid::new_v4().simple()).into_boxed_str());
        let profile = Profile { replication: self.copies, min_insync: if self.copies > 1 { 2 } else { 1 } };
        Topics::new(&self.config)?.create(&TopicPlan { services: vec![name], partitions, profile }).await?;
        Ok(name)
    }

    /// The folder in which the first broker keeps a service's one partition; none where `./bench` has not said where the brokers are.
    pub fn folder(&self, service: &str) -> Option<PathBuf> {
        let stack = std::env::var_os("DAYBOOK_STACK")?;
        Some(PathBuf::from(stack).join("kafka-1").join(format!("{}-0", topic_of(service))))
    }

    /// The barrier by which an owner of this log proves that it still is one.
    pub fn barrier(&self, service: &str) -> Result<Barrier> {
        Ok(Topics::new(&self.config)?.barrier(service)?)
    }

    /// A producer as a process of Daybook has one.
    pub fn producer(&self) -> Result<KafkaProducer> {
        Ok(KafkaProducer::new(&self.config)?)
    }

    /// A set without figures yet, with where it is taken.
    pub fn set(&self, name: &str) -> Set {
        let taken = jiff::Timestamp::now().to_string().chars().take(10).collect();
        Set { name: name.into(), taken, conditions: self.conditions.clone(), notes: Vec::new(), figures: Vec::new() }
    }
}

/// The services of `daybook run` that have a log.
pub fn logs() -> Vec<&'static str> {
    shop::system(&shop::Settings::default()).logs()
}

/// The time for which the machine's processors were idle since it was started, in ticks of 10 ms.
fn idle() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let all = stat.lines().next().context("/proc/stat is empty")?;
    // Fields 4 and 5 of the first line of proc_stat(5): idle, and idle while a disk works.
    Ok(all.split_ascii_whitespace().skip(4).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum())
}

/// How many processors others keep busy, while this process does nothing.
fn busy(processors: usize) -> Result<f64> {
    let (began, before) = (Instant::now(), idle()?);
    std::thread::sleep(Duration::from_secs(3));
    Ok((processors as f64 - (idle()? - before) / 100.0 / began.elapsed().as_secs_f64()).max(0.0))
}

/// The machine and the versions; and whether others were at work, which makes figures provisional.
fn conditions() -> Result<String> {
    let processors = std::thread::available_parallelism()?.get();
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("processor");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let parts = std::env::var("DAYBOOK_BENCH_PARTS").unwrap_or_default();
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    let busy = busy(processors)?;
    let quiet = if busy < QUIET { "quiet" } else { "**provisional**, other work ran" };
    Ok(format!(
        "{processors} processors ({model}) for everything; {parts}, librdkafka {librdkafka}; {quiet} ({busy:.1} processors busy before)"
    ))
}
