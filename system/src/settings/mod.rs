//! Settings, read once at the start: every argument and its variable is parsed before anything is started or made.
//!
//! A variable that is set and blank is not set. A wrong value ends the program with exit code 2 and one line, which names the setting, says
//! what it must be, and shows the value unless it may hold a secret. What may hold one may stand in a file as well (`NAME_FILE`).

mod refusal;
mod secrets;
mod unknown;
mod values;
mod words;

pub use values::{HostPort, brokers, host_port, http_url, log_filter, name, postgres_url, whole, yes_or_no};
pub use words::{kafka_properties, readable, secret, visible};

use crate::{Failure, Pooler, System, cli::with_names, failure};
use clap::{ArgMatches, Command, Parser, error::ErrorKind};
use event_store::kafka::Properties;
use secrets::Secrets;
use std::{path::PathBuf, process::ExitCode, sync::OnceLock};

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
    let secrets = secrets::read(declared, &words).map_err(|wrong| Failure::usage(wrong).exit())?;
    effective(declared.clone(), &secrets).try_get_matches_from(arguments).map_err(|error| match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => Failure::usage(refusal::of(declared, &words, &error)).exit(),
        ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand if refusal::may_hold_a_secret(&error) => {
            Failure::usage("there is an argument too many; it is not repeated here, since it may hold a password: see --help").exit()
        }
        _ => print(&error),
    })
}

/// Help goes to standard output, a mistake to standard error.
fn print(error: &clap::Error) -> ExitCode {
    // Nobody is there to be told that the terminal is gone.
    let _ = error.print();
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The command line without the variables that are blank, and with the secrets that stand in files; its help shows no values of variables.
fn effective(command: Command, secrets: &Secrets) -> Command {
    let unless_blank = |argument: clap::Arg| {
        let argument = secrets::taken(argument, secrets);
        let blank = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.to_string_lossy().trim().is_empty());
        if blank { argument.env(None::<&'static str>) } else { argument.hide_env_values(true) }
    };
    command.mut_args(unless_blank).mut_subcommands(|command| effective(command, secrets))
}

fn has<T: Clone + Send + Sync + 'static>(tool: &ArgMatches, id: &str) -> bool {
    tool.try_get_one::<T>(id).is_ok_and(|value| value.is_some())
}

/// Whether the address is none for a pooler.
fn takes_no_pooler(tool: &ArgMatches) -> bool {
    let address = tool.try_get_one::<String>("postgres").ok().flatten();
    address.is_none_or(|address| address.split_once('?').is_some_and(|(_, query)| query.contains("options")))
}

/// Refuses what does not make one way into the registry.
fn registry(tool: &ArgMatches) -> Result<(), String> {
    let named = |id| has::<String>(tool, id);
    let [url, user, password, token] = ["registry", "registry_user", "registry_password", "registry_token"].map(named);
    let has_user = tool.try_get_one::<String>("registry").ok().flatten().is_some_and(|url| url.contains('@'));
    if (user || password || token || has::<PathBuf>(tool, "registry_ca")) && !url {
        return Err("SCHEMA_REGISTRY_URL (--registry) is missing, such as https://registry:8081: its user, password, token or CA is there"
            .to_owned());
    }
    if user != password {
        return Err("SCHEMA_REGISTRY_USER (--registry-user) and SCHEMA_REGISTRY_PASSWORD (--registry-password) belong together: set both"
            .to_owned());
    }
    if [has_user, user, token].into_iter().filter(|way| *way).count() > 1 {
        return Err(
            "SCHEMA_REGISTRY_TOKEN, SCHEMA_REGISTRY_USER and a user in SCHEMA_REGISTRY_URL exclude each other: keep one of them".to_owned()
        );
    }
    Ok(())
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
        _ if has::<Pooler>(tool, "postgres_pooler") && takes_no_pooler(tool) => {
            Err("DAYBOOK_POSTGRES_POOLER (--postgres-pooler) needs DAYBOOK_POSTGRES (--postgres) without options behind its ?: a pooler takes none, set \
                 them for the role, such as ALTER ROLE daybook SET jit = off".to_owned())
        }
        _ if has::<Properties>(tool, "kafka_properties") && !has::<String>(tool, "kafka") => Err(
            "DAYBOOK_KAFKA_PROPERTIES (--kafka-properties) are for brokers: name them with DAYBOOK_KAFKA (--kafka), such as kafka-1:9092"
                .to_owned(),
        ),
        _ => registry(tool).and_then(|()| combinations(tool)),
    }
}
