//! A one-machine broker that speaks Kafka's protocol: the crate `tansu-broker` on libSQL, in a process of its own.
//!
//! It is a child process and not a library inside `daybook`, because libSQL and sqlx's SQLite cannot be linked into one
//! binary. It is a convenience for one machine: it makes no promise about durability or speed.

use anyhow::{Context, Result};
use clap::Parser;
use std::{io::Read, net::Ipv4Addr, path::PathBuf, process::ExitCode, time::Duration};
use tansu_broker::{broker::Broker, coordinator::group::administrator::Controller};
use tansu_storage::StorageContainer;
use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};
use url::Url;
use uuid::Uuid;

type Groups = Controller<StorageContainer>;

/// The broker's database, in the data directory: tansu takes the path relative to the working directory.
const DATABASE: &str = "broker.db";

/// Kafka's `retention.ms=-1` means for ever; this broker's maintenance, every ten minutes and at each start, would read it as
/// "older than -1 ms" and delete the whole log.
const KEEP_FOR_EVER: [&str; 2] = [
    "create trigger if not exists keep_for_ever_inserted after insert on topic_configuration \
     when new.name = 'retention.ms' and cast(new.value as integer) < 0 \
     begin update topic_configuration set value = '9223372036854775807' where id = new.id; end",
    "create trigger if not exists keep_for_ever_updated after update of value on topic_configuration \
     when new.name = 'retention.ms' and cast(new.value as integer) < 0 \
     begin update topic_configuration set value = '9223372036854775807' where id = new.id; end",
];

/// Without it a fetch scans every header of the log for every record: 20,000 records did not arrive in 30 s.
const HEADER_INDEX: &str = "create index if not exists header_of_record on header (topition, offset_id)";

/// A one-machine broker that speaks Kafka's protocol, on 127.0.0.1.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The port on 127.0.0.1.
    #[arg(long, default_value_t = 9092)]
    port: u16,
    /// Where the log is kept; made when it is not there.
    #[arg(long)]
    directory: PathBuf,
    /// End when standard input ends, so that no broker outlives the process that started it.
    #[arg(long)]
    exit_with_stdin: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if std::env::var_os("DAYBOOK_BROKER_LOG").is_some() {
        tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    }
    match serve(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embedded broker: {error:#}");
            ExitCode::from(2)
        }
    }
}

#[tokio::main]
async fn serve(arguments: &Arguments) -> Result<()> {
    let port = arguments.port;
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    drop(free.with_context(|| format!("port {port} on 127.0.0.1 cannot be had"))?);
    std::fs::create_dir_all(&arguments.directory).with_context(|| format!("{} cannot be made", arguments.directory.display()))?;
    std::env::set_current_dir(&arguments.directory).with_context(|| format!("{} cannot be entered", arguments.directory.display()))?;
    let listener: Url = format!("tcp://127.0.0.1:{port}").parse()?;
    let broker = Broker::<Groups, StorageContainer>::builder()
        .node_id(1)
        .cluster_id("daybook")
        .incarnation_id(Uuid::from_u128(1))
        .advertised_listener(listener.clone())
        .listener(listener)
        .storage(format!("sqlite://{DATABASE}").parse::<Url>()?)
        .silent(true)
        .build()
        .await
        .context("the broker's database cannot be opened")?;
    mend_schema().await.context("the broker's schema cannot be mended")?;
    if arguments.exit_with_stdin {
        std::thread::spawn(exit_with_stdin);
    }
    tokio::spawn(tell_when_ready(port));
    broker.main(Instant::now()).await.context("the broker failed")?;
    Ok(())
}

/// Adds to the broker's own tables what they lack, after it has made them.
async fn mend_schema() -> Result<()> {
    let connection = libsql::Builder::new_local(DATABASE).build().await?.connect()?;
    for statement in [HEADER_INDEX].into_iter().chain(KEEP_FOR_EVER) {
        connection.execute(statement, ()).await?;
    }
    Ok(())
}

async fn tell_when_ready(port: u16) {
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("embedded broker ready on 127.0.0.1:{port}");
}

fn exit_with_stdin() {
    let mut rest = [0; 256];
    while std::io::stdin().read(&mut rest).is_ok_and(|read| read > 0) {}
    std::process::exit(0);
}
