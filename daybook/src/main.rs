//! The binary: the shop, with its import and its simulated payment gateway, and the tools that every system has.

mod gateway;

use clap::{Parser, Subcommand};
use shop::{
    Settings,
    import::{self, ImportArguments},
};
use std::process::ExitCode;
use system::{Children, Failure, RunArguments, Tools};

/// One thread makes a record and another frees it, which is slow with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An event-sourced commerce backend over Kafka.
#[derive(Parser)]
#[command(
    name = "daybook",
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage (arguments, files, a port in use), 4 a check found something: `topics check`, `replay`, `verify`, `copy`."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run services: all of them in one process, or a part.
    Run(Box<RunShop>),
    /// Bring a merchant's invoices (CSV) in through the HTTP API.
    #[command(after_long_help = import::HELP)]
    Import(ImportArguments),
    /// Run the simulated payment gateway.
    Gateway(gateway::GatewayArguments),
    #[command(flatten)]
    Tools(Box<Tools>),
}

#[derive(clap::Args)]
struct RunShop {
    #[command(flatten)]
    node: RunArguments,
    #[command(flatten)]
    shop: Settings,
}

fn main() -> ExitCode {
    let cli: Cli = match system::parse(&shop::system(&Settings::default())) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    if !matches!(cli.command, Command::Run(_) | Command::Gateway(_)) {
        // A reader that closes the pipe early (`| head`) ends the command silently, as it does with other tools.
        sigpipe::reset();
    }
    system::block_on(dispatch(cli.command))
}

async fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Run(arguments) => run(*arguments).await,
        Command::Import(arguments) => import::run(arguments).await,
        Command::Gateway(arguments) => gateway::run(arguments).await,
        Command::Tools(tools) => tools.call::<Cli>(&shop::system(&Settings::default())).await,
    }
}

/// Runs a node of the shop; starts a simulated gateway beside it where one is wanted.
async fn run(RunShop { node, mut shop }: RunShop) -> Result<ExitCode, Failure> {
    let mut children = Children::default();
    shop.check(&node)?;
    system::check(&shop::system(&shop), &node)?;
    if shop.simulates_gateway(&node) {
        shop.gateway_url = Some(gateway::start(&mut children, &node.store.data).await?);
    }
    system::run(&shop::system(&shop), &node, children).await
}
