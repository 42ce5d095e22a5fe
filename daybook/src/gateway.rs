//! `daybook gateway`: the simulated payment gateway as a process of its own.

use clap::Args;
use shop::simulated_gateway::{SimulatedGatewayConfig, serve};
use std::{
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use system::{Children, Failure, HostPort, host_port, until_signal, whole};
use tokio::{net::TcpListener, process::Command};

/// How the simulated gateway is run.
#[derive(Args)]
pub struct GatewayArguments {
    /// Where it listens.
    #[arg(long, env = "DAYBOOK_GATEWAY_HTTP", default_value = "127.0.0.1:9300", value_parser = host_port)]
    http: HostPort,
    /// Where it keeps its books; in memory only without it.
    #[arg(long)]
    books: Option<PathBuf>,
    /// Milliseconds that `card-slow` takes.
    #[arg(long, default_value_t = 1000, value_parser = whole::<u64>("milliseconds", 0..=600_000, 1_000))]
    slow_millis: u64,
    /// End when standard input ends, so that it does not outlive the process that started it.
    #[arg(long)]
    exit_with_stdin: bool,
}

/// Serves until a signal.
pub async fn run(arguments: GatewayArguments) -> Result<ExitCode, Failure> {
    let in_use = |error| Failure::in_use("the gateway", &arguments.http, &error, "DAYBOOK_GATEWAY_HTTP");
    let listener = TcpListener::bind(arguments.http.pair()).await.map_err(in_use)?;
    let address = listener.local_addr().map_err(Failure::failed)?;
    println!("simulated payment gateway on http://{address}");
    if arguments.exit_with_stdin {
        std::thread::spawn(exit_with_stdin);
    }
    let config = SimulatedGatewayConfig { slow: Duration::from_millis(arguments.slow_millis), books: arguments.books };
    serve(listener, config, until_signal()).await.map_err(Failure::failed)?;
    Ok(ExitCode::SUCCESS)
}

fn exit_with_stdin() {
    let mut rest = [0; 256];
    while std::io::stdin().read(&mut rest).is_ok_and(|read| read > 0) {}
    std::process::exit(0);
}

/// Starts a simulated gateway on a free port beside a node, with its books in the data directory; answers its URL.
pub async fn start(children: &mut Children, data: &Path) -> Result<String, Failure> {
    std::fs::create_dir_all(data).map_err(|error| Failure::usage(format!("{}: {error}", data.display())))?;
    let program = std::env::current_exe().map_err(Failure::failed)?;
    let mut command = Command::new(&program);
    command.args(["gateway", "--exit-with-stdin", "--http", "127.0.0.1:0", "--books"]).arg(data.join("gateway.jsonl"));
    let line = children.start(command, &program).await?;
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned);
    url.ok_or_else(|| Failure::failed(format!("the gateway said {line:?}")))
}
