//! What the command line takes.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{net::SocketAddr, path::PathBuf};

/// What `import --help` says beyond its arguments.
const IMPORT_HELP: &str = "\
The first line names the columns, in any order: InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice (GBP), CustomerID, Country.

An invoice becomes an order of its customer at the invoice's prices. An invoice that begins with C cancels: each of its lines becomes a refund
of the latest earlier lines of the same customer, product and price. Left out, counted and reported: charges (fewer than four digits in the
stock code), prices of 0 or less or with a fraction of a penny, quantities of 0 or less on a sale, lines without a customer, malformed lines,
cancellations of nothing that was imported, orders that the shop did not confirm, and invoices imported before with other lines.

`units` and `revenue` are net: the sums over the file's lines that are not in the report. A second run changes nothing, and one that was cut
off is simply run again.

Exit codes: 0 everything that can be imported is, though lines may have been skipped; 1 failed, run it again to go on; 2 wrong usage: the
arguments, the file, a column that is missing.";

/// An event-sourced commerce backend over Kafka.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage (arguments, files, a port in use), 4 a check found something: `topics check`, `replay`, `verify`."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run services: all of them in one process, or a part.
    Run(Box<RunArguments>),
    /// Bring a merchant's invoices (CSV) in through the HTTP API.
    #[command(after_long_help = IMPORT_HELP)]
    Import(ImportArguments),
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
    /// Say what happened to an aggregate, who did it, and what it was then.
    Audit(AuditArguments),
    /// What was put aside because it could not be taken.
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Run the simulated payment gateway.
    Gateway(GatewayArguments),
    /// Print a shell's completions.
    Completions { shell: clap_complete::Shell },
}

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
    /// Brokers, `host:port[,host:port]`. Without it, the embedded broker of this machine.
    #[arg(long, env = "DAYBOOK_KAFKA")]
    pub kafka: Option<String>,
    /// The port of the embedded broker on 127.0.0.1.
    #[arg(long, env = "DAYBOOK_BROKER_PORT", default_value_t = 9092)]
    pub broker_port: u16,
    /// Partitions of each log, fixed for life. Default: 1 on the embedded broker, else 4.
    #[arg(long, env = "DAYBOOK_PARTITIONS", value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub partitions: Option<i32>,
    /// Copies of each partition.
    #[arg(long, env = "DAYBOOK_REPLICATION", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=15))]
    pub replication: i32,
    /// Copies that must have a record before it is acknowledged.
    #[arg(long, env = "DAYBOOK_MIN_INSYNC", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=15))]
    pub min_insync: i32,
}

/// Where the log, its schemas and the databases are.
#[derive(Args, Clone)]
pub struct StoreArguments {
    #[command(flatten)]
    pub kafka: KafkaArguments,
    /// Where this machine keeps its data: the embedded broker's log, SQLite, the mailbox.
    #[arg(long, env = "DAYBOOK_DATA", default_value = "data")]
    pub data: PathBuf,
    /// PostgreSQL, `postgres://user:password@host:port`; each service uses the database daybook_<service>. Without it, SQLite.
    #[arg(long, env = "DAYBOOK_POSTGRES", hide_env_values = true)]
    pub postgres: Option<String>,
    /// A Confluent-compatible schema registry. Without it, the schema ids of this build.
    #[arg(long, env = "SCHEMA_REGISTRY_URL")]
    pub registry: Option<String>,
    /// The embedded broker's program. Default: beside this one.
    #[arg(long, env = "DAYBOOK_EMBEDDED_BROKER")]
    pub embedded_broker: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Take commands: own partitions, decide, append.
    Commands,
    /// Keep views and answer GETs.
    Views,
    /// React to events: the saga, its deadlines, the gateway, the mail.
    Reactors,
}

#[derive(Args, Clone)]
pub struct RunArguments {
    /// Which services; all when none is named. Repeat for several.
    #[arg(long = "service", env = "DAYBOOK_SERVICES", value_delimiter = ',', value_parser = ["users", "products", "orders", "payments", "notifications", "audit"])]
    pub services: Vec<String>,
    /// Which roles; all when none is named. Repeat for several.
    #[arg(long = "role", env = "DAYBOOK_ROLES", value_delimiter = ',')]
    pub roles: Vec<Role>,
    /// Where HTTP is served.
    #[arg(long, env = "DAYBOOK_HTTP", default_value = "127.0.0.1:8080")]
    pub http: SocketAddr,
    /// Where the other nodes reach this one, `host:port`; the port 0 takes a free one.
    #[arg(long, env = "DAYBOOK_NODE", default_value = "127.0.0.1:0")]
    pub node: String,
    /// This node's name, for people.
    #[arg(long, env = "DAYBOOK_NAME")]
    pub name: Option<String>,
    #[command(flatten)]
    pub store: StoreArguments,
    /// The payment gateway. Without it, a simulated one is started.
    #[arg(long, env = "DAYBOOK_GATEWAY_URL")]
    pub gateway_url: Option<String>,
    /// A mail server, `smtp://host:port`. Without it, messages become files in the data directory.
    #[arg(long, env = "DAYBOOK_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// The sender of the messages.
    #[arg(long, env = "DAYBOOK_MAIL_FROM", default_value = "Daybook <shop@daybook.example>")]
    pub mail_from: String,
    /// How many nodes follow each partition that another owns, so that they can take it over at once. Not on the embedded broker.
    #[arg(long, env = "DAYBOOK_STANDBYS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=9))]
    pub standbys: u8,
    /// How many aggregates of each partition are in memory; the others are looked up in the snapshots of the data directory.
    #[arg(long, env = "DAYBOOK_LIVE_AGGREGATES", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub live_aggregates: u64,
    /// Milliseconds within which requests should be answered: when they are answered later, fewer are taken at once, and the others
    /// hear 503 with Retry-After. More than an append takes on an idle log.
    #[arg(long, env = "DAYBOOK_ANSWER_WITHIN", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub answer_within: u64,
    /// Seconds that an order may take to be confirmed before it expires.
    #[arg(long, env = "DAYBOOK_ORDER_DEADLINE", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub order_deadline: u64,
    /// Log lines as JSON.
    #[arg(long, env = "DAYBOOK_LOG_JSON")]
    pub json: bool,
}

#[derive(Args)]
pub struct ImportArguments {
    /// A CSV file of invoices, plain or compressed with gzip (`.gz`).
    pub file: PathBuf,
    /// Where Daybook is.
    #[arg(long, env = "DAYBOOK_URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// End with one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
    /// Write each line that was not imported, with the reason, as JSON lines.
    #[arg(long)]
    pub report: Option<PathBuf>,
    /// How many requests are under way at once.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,
}

#[derive(Args)]
pub struct TopicsArguments {
    #[command(flatten)]
    pub kafka: KafkaArguments,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct TailArguments {
    /// Which services' logs; all when none is named.
    #[arg(value_parser = ["users", "products", "orders", "payments", "notifications"])]
    pub services: Vec<String>,
    #[command(flatten)]
    pub kafka: KafkaArguments,
    /// A schema registry, where the log was written with one.
    #[arg(long, env = "SCHEMA_REGISTRY_URL")]
    pub registry: Option<String>,
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

#[derive(Args)]
pub struct ReplayArguments {
    /// Whose views; all when none is named.
    #[arg(value_parser = ["users", "products", "orders", "payments", "notifications", "audit"])]
    pub services: Vec<String>,
    #[command(flatten)]
    pub store: StoreArguments,
    /// How many differing rows of a view are shown.
    #[arg(long, default_value_t = 10)]
    pub examples: usize,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct RebuildArguments {
    /// Which view: `orders`, `timeline`, ...
    pub view: String,
    #[command(flatten)]
    pub store: StoreArguments,
    /// Go on with what a rebuild that was cut off has done already, instead of beginning anew. Not after a change of the view's code.
    #[arg(long)]
    pub resume: bool,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct VerifyArguments {
    /// Which services' logs; all when none is named.
    #[arg(value_parser = ["users", "products", "orders", "payments", "notifications"])]
    pub services: Vec<String>,
    #[command(flatten)]
    pub store: StoreArguments,
    /// Show each record that does not count.
    #[arg(long)]
    pub all: bool,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct AuditArguments {
    /// What kind of aggregate.
    #[arg(value_parser = ["user", "product", "order", "payment", "notification"])]
    pub aggregate: String,
    /// Its id.
    pub id: uuid::Uuid,
    /// As it was then: an RFC 3339 time, or a position in its log such as orders/0/17.
    #[arg(long)]
    pub at: Option<String>,
    /// Where Daybook is.
    #[arg(long, env = "DAYBOOK_URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum DeadLettersCommand {
    /// Each aggregate that was put aside, by reader: how many records, since when, why.
    List(LettersArguments),
    /// The records of one aggregate that a reader has put aside, in order.
    Show(LetterArguments),
    /// Take them up after all, in order, up to the first that still cannot be taken.
    Redrive(LetterArguments),
    /// Give the first of them up for good. Those behind it stay; redrive them.
    Drop(LetterArguments),
}

#[derive(Args)]
pub struct LettersArguments {
    /// Where Daybook is.
    #[arg(long, env = "DAYBOOK_URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct LetterArguments {
    /// The service in whose database they are.
    pub database: String,
    /// The view that put them aside, or `reactors`.
    pub reader: String,
    /// The aggregate's id.
    pub aggregate: uuid::Uuid,
    #[command(flatten)]
    pub at: LettersArguments,
}

#[derive(Args)]
pub struct GatewayArguments {
    /// Where it listens.
    #[arg(long, env = "DAYBOOK_GATEWAY_HTTP", default_value = "127.0.0.1:9300")]
    pub http: SocketAddr,
    /// Where it keeps its books; in memory only without it.
    #[arg(long)]
    pub books: Option<PathBuf>,
    /// Milliseconds that `card-slow` takes.
    #[arg(long, default_value_t = 1000)]
    pub slow_millis: u64,
    /// End when standard input ends, so that it does not outlive the process that started it.
    #[arg(long)]
    pub exit_with_stdin: bool,
}
