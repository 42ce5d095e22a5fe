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
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage (arguments, files, a port in use), 4 `topics check` found violations."
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
    /// Where this machine keeps its data: the embedded broker's log, SQLite, the mailbox.
    #[arg(long, env = "DAYBOOK_DATA", default_value = "data")]
    pub data: PathBuf,
    #[command(flatten)]
    pub kafka: KafkaArguments,
    /// PostgreSQL, `postgres://user:password@host:port`; each service uses the database daybook_<service>. Without it, SQLite.
    #[arg(long, env = "DAYBOOK_POSTGRES", hide_env_values = true)]
    pub postgres: Option<String>,
    /// A Confluent-compatible schema registry. Without it, the schema ids of this build.
    #[arg(long, env = "SCHEMA_REGISTRY_URL")]
    pub registry: Option<String>,
    /// The payment gateway. Without it, a simulated one is started.
    #[arg(long, env = "DAYBOOK_GATEWAY_URL")]
    pub gateway_url: Option<String>,
    /// A mail server, `smtp://host:port`. Without it, messages become files in the data directory.
    #[arg(long, env = "DAYBOOK_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// The sender of the messages.
    #[arg(long, env = "DAYBOOK_MAIL_FROM", default_value = "Daybook <shop@daybook.example>")]
    pub mail_from: String,
    /// Seconds that an order may take to be confirmed before it expires.
    #[arg(long, env = "DAYBOOK_ORDER_DEADLINE", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub order_deadline: u64,
    /// The embedded broker's program. Default: beside this one.
    #[arg(long, env = "DAYBOOK_EMBEDDED_BROKER")]
    pub embedded_broker: Option<PathBuf>,
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
