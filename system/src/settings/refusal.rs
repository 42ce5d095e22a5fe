//! Says in one line which setting is wrong, and what it must be.

use super::secrets::{file_variable, is_from_file};
use clap::{
    Arg, Command,
    error::{ContextKind, ContextValue},
};
use std::error::Error;

/// A longer value is cut off where it is shown.
const SHOWN: usize = 60;

/// The line for a value that clap refused. `words` is the command line.
pub(super) fn of(declared: &Command, words: &[String], error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let (shown, value) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue));
    let flag = shown.split_whitespace().next().unwrap_or_default();
    let argument =
        flag.strip_prefix("--").and_then(|long| used(declared, words).get_arguments().find(|known| known.get_long() == Some(long)));
    let named = argument.map_or_else(|| shown.clone(), |argument| names(argument, words));
    let must = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) if !valid.is_empty() => format!("must be one of {}, such as {}", valid.join(", "), valid[0]),
        _ => match error.source() {
            Some(parser) => parser.to_string(),
            None => return format!("{named} needs a value"),
        },
    };
    // A secret is named in the parser's own words only.
    let secret = argument.is_some_and(Arg::is_hide_env_values_set) || value.contains('@');
    if secret { format!("{named} {must}") } else { format!("{named} {must}; it is {}", quoted(&value)) }
}

/// Whether an argument that clap does not know looks like a secret: a password stands in front of an @.
pub(super) fn may_hold_a_secret(error: &clap::Error) -> bool {
    [ContextKind::InvalidArg, ContextKind::InvalidSubcommand]
        .into_iter()
        .any(|kind| matches!(error.get(kind), Some(ContextValue::String(text)) if text.contains(['@', '='])))
}

/// The line for the first variable whose value is no text.
pub(super) fn not_text(declared: &Command, words: &[String]) -> Option<String> {
    let is_text = |argument: &&Arg| argument.get_env().and_then(std::env::var_os).is_none_or(|value| value.into_string().is_ok());
    let wrong = used(declared, words).get_arguments().find(|argument| !is_text(argument))?;
    Some(format!("{} must be text in UTF-8", names(wrong, words)))
}

/// The subcommand that the command line names.
pub(super) fn used<'a>(command: &'a Command, words: &[String]) -> &'a Command {
    words.iter().skip(1).fold(command, |command, word| command.find_subcommand(word).unwrap_or(command))
}

/// Both names of an argument; the one that was used comes first.
fn names(argument: &Arg, words: &[String]) -> String {
    let flag = argument.get_long().map_or_else(|| argument.get_id().to_string(), |long| format!("--{long}"));
    let Some(variable) = argument.get_env().map(|name| name.to_string_lossy().into_owned()) else { return flag };
    let variable = file_variable(argument).filter(|_| is_from_file(argument)).unwrap_or(variable);
    let given = words.iter().any(|word| *word == flag || word.strip_prefix(&flag).is_some_and(|rest| rest.starts_with('=')));
    if given { format!("{flag} ({variable})") } else { format!("{variable} ({flag})") }
}

fn quoted(value: &str) -> String {
    let cut: String = value.chars().take(SHOWN).collect();
    let more = if cut.len() < value.len() { "..." } else { "" };
    format!("{cut:?}{more}")
}
