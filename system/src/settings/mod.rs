//! Settings, read once at the start: every argument and its variable is parsed before anything is started or made.
//!
//! A variable that is set and blank is not set. A wrong value ends the program with exit code 2 and one line, which names the setting, says
//! what it must be, and shows the value unless it may hold a secret.

mod refusal;
mod unknown;
mod values;

pub use values::{HostPort, brokers, host_port, http_url, log_filter, name, postgres_url, whole, yes_or_no};

use crate::{Failure, System, cli::with_names, failure};
use clap::{ArgMatches, Command, Parser, error::ErrorKind};
use std::{process::ExitCode, sync::OnceLock};

/// The variables of this process that look like settings and are none, for the log of a node.
static UNKNOWN: OnceLock<Vec<String>> = OnceLock::new();

/// Parses the arguments and variables of a program, whose possible values include the names of the system's services and aggregates.
///
/// # Errors
/// The exit code of a program that has nothing more to do: it was used wrongly, or asked for its help.
pub fn parse<C: Parser>(system: &System) -> Result<C, ExitCode> {
    failure::report_defects();
    let declared = with_names(C::command(), system);
    let unknown = unknown::check(&declared).map_err(|wrong| Failure::usage(wrong).exit())?;
    UNKNOWN.get_or_init(|| unknown);
    let matches = matches(&declared, std::env::args_os().collect())?;
    combinations(&matches).map_err(|wrong| Failure::usage(wrong).exit())?;
    let mut matches = matches;
    C::from_arg_matches_mut(&mut matches).map_err(|error| print(&error))
}

/// Says in the log which variables look like settings and are none.
pub(crate) fn warn_of_unknown() {
    for variable in UNKNOWN.get().into_iter().flatten() {
        tracing::warn!(variable, "this variable is no setting, and is ignored");
    }
}

fn matches(declared: &Command, arguments: Vec<std::ffi::OsString>) -> Result<ArgMatches, ExitCode> {
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(wrong) = refusal::not_text(declared, &words) {
        return Err(Failure::usage(wrong).exit());
    }
    effective(declared.clone()).try_get_matches_from(arguments).map_err(|error| match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => Failure::usage(refusal::of(declared, &words, &error)).exit(),
        _ => print(&error),
    })
}

/// Help goes to standard output, a mistake to standard error.
fn print(error: &clap::Error) -> ExitCode {
    // Nobody is there to be told that the terminal is gone.
    let _ = error.print();
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The command line without the variables that are blank; its help shows no values of variables, some of which are secrets.
fn effective(command: Command) -> Command {
    let unless_blank = |argument: clap::Arg| {
        let blank = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.to_string_lossy().trim().is_empty());
        if blank { argument.env(None::<&'static str>) } else { argument.hide_env_values(true) }
    };
    command.mut_args(unless_blank).mut_subcommands(effective)
}

/// Refuses values that are right by themselves and wrong together.
fn combinations(matches: &ArgMatches) -> Result<(), String> {
    let Some((_, tool)) = matches.subcommand() else { return Ok(()) };
    let number = |id| tool.try_get_one::<i32>(id).ok().flatten();
    match (number("replication"), number("min_insync")) {
        (Some(copies), Some(least)) if least > copies => Err(format!(
            "DAYBOOK_MIN_INSYNC (--min-insync) must be at most DAYBOOK_REPLICATION (--replication), which is {copies}, such as {}; it is {least}",
            copies - (copies - 1).min(1)
        )),
        _ => combinations(tool),
    }
}
