//! The binary: run, import, topics, tail, replay, rebuild, verify, audit, dead-letters, gateway.

mod ask;
mod cli;
mod config;
mod failure;
mod gateway;
mod import;
mod replay;
mod run;
mod store;
mod tail;
mod topics;
mod verify;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command, TopicsCommand};
use std::process::ExitCode;

/// A record is made by one thread and freed by another, which the system's allocator pays dearly for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if !matches!(cli.command, Command::Run(_) | Command::Gateway(_)) {
        // A reader that has seen enough (`| head`) ends the command without a word, as it does with other tools.
        sigpipe::reset();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::Failure::failed(format!("the runtime cannot be started: {error}")).exit(),
    };
    match runtime.block_on(dispatch(cli)) {
        Ok(code) => code,
        Err(failure) => failure.exit(),
    }
}

async fn dispatch(cli: Cli) -> Result<ExitCode, failure::Failure> {
    match cli.command {
        Command::Run(arguments) => run::run(arguments).await,
        Command::Gateway(arguments) => gateway::run(arguments).await,
        Command::Import(arguments) => import::run(arguments).await,
        Command::Topics(TopicsCommand::Create(arguments)) => topics::create(arguments).await,
        Command::Topics(TopicsCommand::Check(arguments)) => topics::check(arguments).await,
        Command::Tail(arguments) => tail::run(arguments).await,
        Command::Replay(arguments) => replay::replay(arguments).await,
        Command::Rebuild(arguments) => replay::rebuild(arguments).await,
        Command::Verify(arguments) => verify::run(arguments).await,
        Command::Audit(arguments) => ask::audit(arguments).await,
        Command::DeadLetters(command) => ask::dead_letters(command).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "daybook", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}
