//! The arguments of the command line.

use crate::{
    RegistryArguments, System,
    api_arguments::ApiArguments,
    callers::CallerArguments,
    settings::{HostPort, brokers, host_port, kafka_properties, log_filter, name, postgres_url, whole, yes_or_no},
};
use clap::{Args, Subcommand, ValueEnum, builder::PossibleValuesParser};
use event_store::kafka::Properties;
use std::path::PathBuf;

/// The tools that every system has.
#[derive(Subcommand)]
pub enum Tools {
    /// Make the topics, or check that nobody made them dangerous.
    #[command(subcommand)]
    Topics(TopicsCommand),
    /// Show the log as people read it.
    Tail(TailArguments),
    /// Prove the views: make each anew from the log in a shadow table, and compare it with the live one, row by row.
    Replay(ReplayArguments),
    /// Make a view anew from the log beside the live one, compare, and put it in the live one's place.
    Rebuild(RebuildArguments),
    /// Prove the log: runs, groups, versions, command ids, schemas; say what does not count and why.
    Verify(VerifyArguments),
    /// Copy all logs to another cluster, or from one, each record to its own offset, and prove the copy.
    Copy(CopyArguments),
    /// Say what happened to an aggregate, who did it, and what it was then.
    Audit(AuditArguments),
    /// What was put aside because it could not be taken.
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Print a shell's completions.
    Completions {
        /// Whose.
        shell: clap_complete::Shell,
    },
}

/// A command line that takes the names of the system's services and aggregates as values.
pub(crate) fn with_names(command: clap::Command, system: &System) -> clap::Command {
    let named = |names: &[&'static str]| PossibleValuesParser::new(names.iter().copied());
    let (all, logs, aggregates) = (system.names(), system.logs(), system.aggregates());
    let lists = [
        ("run", "services", &all),
        ("replay", "services", &all),
        ("tail", "services", &logs),
        ("verify", "services", &logs),
        ("audit", "aggregate", &aggregates),
    ];
    lists.into_iter().fold(command, |command, (tool, argument, names)| {
        if command.find_subcommand(tool).is_none() {
            return command;
        }
        command.mut_subcommand(tool, |tool| tool.mut_arg(argument, |argument| argument.value_parser(named(names))))
    })
}

/// What is done to the topics.
#[derive(Subcommand)]
pub enum TopicsCommand {
    /// Make the topics that are missing.
    Create(TopicsArguments),
    /// Refuse compaction, finite retention, too few copies, unclean election, another number of partitions.
    Check(TopicsArguments),
}

/// Where the brokers are.
#[derive(Args, Clone)]
pub struct KafkaArguments {
    /// Brokers, `host:port[,host:port]`. Without it, this process keeps the log itself.
    #[arg(long, env = "DAYBOOK_KAFKA", value_parser = brokers)]
    pub kafka: Option<String>,
    /// Properties of librdkafka's for the brokers, `security.protocol=SASL_SSL;sasl.mechanism=SCRAM-SHA-512;...`, with semicolons or line
    /// breaks between them.
    #[arg(long, env = "DAYBOOK_KAFKA_PROPERTIES", hide_env_values = true, value_parser = kafka_properties)]
    pub kafka_properties: Option<Properties>,
    /// The port of the embedded log on 127.0.0.1.
    #[arg(long, env = "DAYBOOK_BROKER_PORT", default_value_t = 9092, value_parser = whole::<u16>("", 1..=65_535, 9092))]
    pub broker_port: u16,
    /// Partitions of each log, fixed for life. Default: 1 on the embedded log, else 4.
    #[arg(long, env = "DAYBOOK_PARTITIONS", value_parser = whole::<i32>("", 1..=10_000, 4))]
    pub partitions: Option<i32>,
    /// Copies of each partition.
    #[arg(long, env = "DAYBOOK_REPLICATION", default_value_t = 1, value_parser = whole::<i32>("", 1..=15, 3))]
    pub replication: i32,
    /// Copies that must have a record before it is acknowledged.
    #[arg(long, env = "DAYBOOK_MIN_INSYNC", default_value_t = 1, value_parser = whole::<i32>("", 1..=15, 2))]
    pub min_insync: i32,
}

/// Where the log, its schemas and the databases are.
#[derive(Args, Clone)]
pub struct StoreArguments {
    /// Where the brokers are.
    #[command(flatten)]
    pub kafka: KafkaArguments,
    /// Where this machine keeps its data: the embedded log, SQLite, what a service keeps in files.
    #[arg(long, env = "DAYBOOK_DATA", default_value = "data")]
    pub data: PathBuf,
    /// PostgreSQL, `postgres://user:password@host:port`; each service uses the database `daybook_<service>`. Without it, SQLite.
    #[arg(long, env = "DAYBOOK_POSTGRES", hide_env_values = true, value_parser = postgres_url)]
    pub postgres: Option<String>,
    /// What stands between this node and PostgreSQL, where sessions are not its own.
    #[arg(long, env = "DAYBOOK_POSTGRES_POOLER")]
    pub postgres_pooler: Option<Pooler>,
    /// The registry of schemas.
    #[command(flatten)]
    pub registry: RegistryArguments,
}

/// What lends the sessions of PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pooler {
    /// A pooler such as PgBouncer with `pool_mode=transaction`, which lends a session for one transaction.
    Transaction,
}

/// What a node does for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Take commands: own partitions, decide, append.
    Commands,
    /// Keep views and answer GETs.
    Views,
    /// React to events: commands, effects, deadlines.
    Reactors,
}

/// How a node is run.
#[derive(Args, Clone)]
pub struct RunArguments {
    /// Which services; all when none is named. Repeat for several.
    #[arg(long = "service", env = "DAYBOOK_SERVICES", value_delimiter = ',')]
    pub services: Vec<String>,
    /// Which roles; all when none is named. Repeat for several.
    #[arg(long = "role", env = "DAYBOOK_ROLES", value_delimiter = ',')]
    pub roles: Vec<Role>,
    /// Where HTTP is served.
    #[arg(long, env = "DAYBOOK_HTTP", default_value = "127.0.0.1:8080", value_parser = host_port)]
    pub http: HostPort,
    /// Where this node listens for other nodes, `host:port`; the port 0 takes a free one.
    #[arg(long, env = "DAYBOOK_NODE", default_value = "127.0.0.1:0", value_parser = host_port)]
    pub node: HostPort,
    /// Where the other nodes reach this one, `host:port`, if not where it listens; the port 0 stands for the one at which it listens.
    #[arg(long, env = "DAYBOOK_NODE_ADDRESS", value_parser = host_port)]
    pub node_address: Option<HostPort>,
    /// This node's name: no other node that lives may have it. Default: the host's name and a random part.
    #[arg(long, env = "DAYBOOK_NAME", value_parser = name)]
    pub name: Option<String>,
    /// Where its data is.
    #[command(flatten)]
    pub store: StoreArguments,
    /// Who may call it.
    #[command(flatten)]
    pub callers: CallerArguments,
    /// How many nodes follow each partition that another owns, so that they can take it over at once. Not on the embedded log.
    #[arg(long, env = "DAYBOOK_STANDBYS", default_value_t = 1, value_parser = whole::<u8>("", 0..=9, 1))]
    pub standbys: u8,
    /// How many aggregates of each partition are in memory; the others are looked up in the snapshots of the data directory.
    #[arg(long, env = "DAYBOOK_LIVE_AGGREGATES", default_value_t = 100_000, value_parser = whole::<u64>("", 1..=1_000_000_000, 100_000))]
    pub live_aggregates: u64,
    /// Milliseconds within which requests should be answered: when they are answered later, fewer are taken at once, and the others
    /// hear 503 with Retry-After. More than an append takes on an idle log.
    #[arg(long, env = "DAYBOOK_ANSWER_WITHIN", default_value_t = 100, value_parser = whole::<u64>("milliseconds", 1..=10_000, 100))]
    pub answer_within: u64,
    /// Milliseconds between two proofs that an owner appends to a partition with several copies, under a steady stream of strong reads,
    /// which wait that long at most and share them; refusals wait a quarter. 0 appends each as soon as it can, and lets the log grow.
    #[arg(long, env = "DAYBOOK_PROOF_EVERY", default_value_t = 200, value_parser = whole::<u64>("milliseconds", 0..=5_000, 200))]
    pub proof_every: u64,
    /// How often an effect (a request to a payment gateway, a mail) may fail by its own fault before it stands among the dead letters.
    #[arg(long, env = "DAYBOOK_EFFECT_ATTEMPTS", default_value_t = 10, value_parser = whole::<u32>("", 1..=1_000_000, 10))]
    pub effect_attempts: u32,
    /// Seconds for which an effect, or a command of a reactor, is tried in all before it stands among the dead letters.
    #[arg(long, env = "DAYBOOK_EFFECT_WITHIN", default_value_t = 86_400, value_parser = whole::<u64>("seconds", 1..=31_536_000, 86_400))]
    pub effect_within: u64,
    /// The longest pause between two attempts at an effect, in seconds.
    #[arg(long, env = "DAYBOOK_EFFECT_LONGEST_PAUSE", default_value_t = 60, value_parser = whole::<u64>("seconds", 1..=86_400, 60))]
    pub effect_longest_pause: u64,
    /// The longest that one attempt at an effect may take, in milliseconds.
    #[arg(long, env = "DAYBOOK_EFFECT_TIMEOUT", default_value_t = 2_000, value_parser = whole::<u64>("milliseconds", 1..=600_000, 2_000))]
    pub effect_timeout: u64,
    /// The most effects under way to one destination at once.
    #[arg(long, env = "DAYBOOK_EFFECT_CONCURRENCY", default_value_t = 32, value_parser = whole::<u16>("", 1..=4_096, 32))]
    pub effect_concurrency: u16,
    /// Which log lines are shown: a level, or levels of targets, `warn,event_store=debug`. Default: info of the system's own crates.
    #[arg(long, env = "DAYBOOK_LOG", value_parser = log_filter)]
    pub log: Option<String>,
    /// Log lines as JSON.
    #[arg(long, env = "DAYBOOK_LOG_JSON", value_parser = yes_or_no)]
    pub json: bool,
}

/// Which topics.
#[derive(Args)]
pub struct TopicsArguments {
    /// Where the brokers are.
    #[command(flatten)]
    pub kafka: KafkaArguments,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// What of the log is shown.
#[derive(Args)]
pub struct TailArguments {
    /// Which services' logs; all when none is named.
    pub services: Vec<String>,
    /// Where the brokers are.
    #[command(flatten)]
    pub kafka: KafkaArguments,
    /// The registry of schemas, where the log was written with one.
    #[command(flatten)]
    pub registry: RegistryArguments,
    /// Only events of this aggregate (a UUID).
    #[arg(long)]
    pub aggregate: Option<uuid::Uuid>,
    /// End at the log's present end instead of following.
    #[arg(long)]
    pub no_follow: bool,
    /// Show also what does not count: claims, and records that the run rule leaves out.
    #[arg(long)]
    pub all: bool,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Which views are proved.
#[derive(Args)]
pub struct ReplayArguments {
    /// Whose views; all when none is named.
    pub services: Vec<String>,
    /// Where its data is.
    #[command(flatten)]
    pub store: StoreArguments,
    /// How many differing rows of a view are shown.
    #[arg(long, default_value_t = 10)]
    pub examples: usize,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Which view is made anew.
#[derive(Args)]
pub struct RebuildArguments {
    /// Which view: `orders`, `timeline`, ...
    pub view: String,
    /// Where its data is.
    #[command(flatten)]
    pub store: StoreArguments,
    /// Go on with what a rebuild that was cut off has done already, instead of beginning anew. Not after a change of the view's code.
    #[arg(long)]
    pub resume: bool,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Which logs are proved.
#[derive(Args)]
pub struct VerifyArguments {
    /// Which services' logs; all when none is named.
    pub services: Vec<String>,
    /// Where its data is.
    #[command(flatten)]
    pub store: StoreArguments,
    /// Show each record that does not count.
    #[arg(long)]
    pub all: bool,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// From where to where.
#[derive(Args)]
pub struct CopyArguments {
    /// Brokers to copy to, `host:port[,host:port]`; from `--kafka`, or from the embedded log.
    #[arg(long, value_name = "BROKERS", value_parser = brokers, conflicts_with = "from", required_unless_present = "from")]
    pub to: Option<String>,
    /// Brokers to copy from; to `--kafka`, or to the embedded log.
    #[arg(long, value_name = "BROKERS", value_parser = brokers)]
    pub from: Option<String>,
    /// Properties of librdkafka's for the brokers of `--to` or `--from`, as `--kafka-properties` are for those of `--kafka`.
    #[arg(long, env = "DAYBOOK_OTHER_KAFKA_PROPERTIES", hide_env_values = true, value_parser = kafka_properties)]
    pub other_properties: Option<Properties>,
    /// The other side. `--replication` and `--min-insync` are for the topics that are made.
    #[command(flatten)]
    pub store: StoreArguments,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Which aggregate, and when.
#[derive(Args)]
pub struct AuditArguments {
    /// What kind of aggregate.
    #[arg(index = 1)]
    pub aggregate: String,
    /// Its id.
    #[arg(index = 2)]
    pub id: uuid::Uuid,
    /// As it was then: an RFC 3339 time, or a position in its log such as orders/0/17.
    #[arg(long)]
    pub at: Option<String>,
    /// Where Daybook is.
    #[command(flatten)]
    pub api: ApiArguments,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// What is done with dead letters.
#[derive(Subcommand)]
pub enum DeadLettersCommand {
    /// Each aggregate with letters, by reader: how many, since when, and why the first is one.
    List(LettersArguments),
    /// The letters of one aggregate in order: records that a reader could not take, commands and effects that were given up.
    Show(LetterArguments),
    /// Take them up again, in order, up to the first that still cannot be taken.
    Redrive(LetterArguments),
    /// Give one letter up for good. Those behind it stay; redrive them. Name the letter: a repeat then drops no other.
    Drop(DropArguments),
}

/// A letter, by its id.
#[derive(Args)]
pub struct DropArguments {
    /// Whose letters.
    #[command(flatten)]
    pub of: LetterArguments,
    /// The letter's id, as `show` and `list` name it; the first of the aggregate's letters, if it is left out.
    pub letter: Option<String>,
}

/// Where, and how it is said.
#[derive(Args)]
pub struct LettersArguments {
    /// Where Daybook is.
    #[command(flatten)]
    pub api: ApiArguments,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Whose letters.
#[derive(Args)]
pub struct LetterArguments {
    /// The service in whose database they are.
    pub database: String,
    /// Who put them aside: a view, a reactor, or `reactors` for records that no reactor could read.
    pub reader: String,
    /// The aggregate's id.
    pub aggregate: uuid::Uuid,
    /// Where, and how it is said.
    #[command(flatten)]
    pub at: LettersArguments,
}
