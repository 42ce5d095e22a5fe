//! A whole program for a system.

use crate::{
    Children, Failure, RunArguments, System, Tools, ask,
    cli::{self, TopicsCommand},
    copy, replay, run, settings, tail, topics, verify,
};
use clap::{CommandFactory, Parser, Subcommand};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

/// The exit codes of the tools, for `--help`.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage (arguments, files, a port in use), 4 a check found something: `topics check`, `replay`, `verify`, `copy`.";

/// A system on Daybook's engine.
#[derive(Parser)]
#[command(version, about = "A system on Daybook's engine", after_help = EXIT_CODES)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run services: all of them in one process, or a part.
    Run(Box<RunArguments>),
    #[command(flatten)]
    Tools(Box<Tools>),
}

impl Tools {
    /// Runs a tool.
    ///
    /// # Errors
    /// It was used wrongly, or failed.
    pub async fn call<C: CommandFactory>(self, system: &System) -> Result<ExitCode, Failure> {
        match self {
            Self::Topics(TopicsCommand::Create(arguments)) => topics::create(system, arguments).await,
            Self::Topics(TopicsCommand::Check(arguments)) => topics::check(system, arguments).await,
            Self::Tail(arguments) => tail::run(system, arguments).await,
            Self::Replay(arguments) => replay::replay(system, arguments).await,
            Self::Rebuild(arguments) => replay::rebuild(system, arguments).await,
            Self::Verify(arguments) => verify::run(system, arguments).await,
            Self::Copy(arguments) => copy::run(system, arguments).await,
            Self::Audit(arguments) => ask::audit(arguments).await,
            Self::DeadLetters(command) => ask::dead_letters(command).await,
            Self::Completions { shell } => {
                let mut command = cli::with_names(C::command(), system);
                clap_complete::generate(shell, &mut command, system.name(), &mut std::io::stdout());
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// The whole program of a system: `run` and the tools. Call it from `main`.
pub fn main(system: &System) -> ExitCode {
    let program: Program = match settings::parse(system) {
        Ok(program) => program,
        Err(code) => return code,
    };
    block_on(async {
        match program.command {
            Command::Run(arguments) => run(system, &arguments, Children::default()).await,
            Command::Tools(tools) => {
                // A reader that closes the pipe early (`| head`) ends the command silently, as it does with other tools.
                sigpipe::reset();
                tools.call::<Program>(system).await
            }
        }
    })
}

/// Runs a program's work and answers its exit code; prints a failure.
pub fn block_on(work: impl Future<Output = Result<ExitCode, Failure>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::failed(format!("the runtime cannot be started: {error}")).exit(),
    };
    // The hook has said what happened; a panic must not leave with an exit code of its own.
    match catch_unwind(AssertUnwindSafe(|| runtime.block_on(work))) {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => failure.exit(),
        Err(_panic) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_with_the_exit_code_of_a_failure() {
        let code = block_on(async { panic!("a defect") });
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
    }
}
