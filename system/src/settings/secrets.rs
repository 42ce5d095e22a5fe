//! Secrets from files: each setting that may hold a secret is read from the file that `NAME_FILE` names, where that is set.
//!
//! A variable is seen by whoever may look at the process or the container's description, and an argument by everybody on the machine; what
//! deploys a service hands secrets over as files.

use super::refusal::used;
use clap::{Arg, Command};
use std::{collections::HashMap, ffi::OsString};

/// What a variable's name ends with that names a file.
const FILE: &str = "_FILE";

/// The contents of the files, by the variable in whose place they stand.
pub(super) type Secrets = HashMap<String, &'static str>;

/// The variable that names the file of this setting's secret; none where the setting holds no secret.
pub(super) fn file_variable(argument: &Arg) -> Option<String> {
    let variable = argument.get_env().filter(|_| argument.is_hide_env_values_set())?;
    Some(format!("{}{FILE}", variable.to_string_lossy()))
}

/// Whether a variable is set, and not blank.
fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.to_string_lossy().trim().is_empty())
}

/// True where this setting's value comes from a file.
pub(super) fn is_from_file(argument: &Arg) -> bool {
    file_variable(argument).is_some_and(|file| set(&file).is_some())
}

/// Reads the secrets of the subcommand that the command line names.
///
/// # Errors
/// A variable is given twice, or its file cannot be read. The error repeats no content.
pub(super) fn read(declared: &Command, words: &[String]) -> Result<Secrets, String> {
    let mut secrets = Secrets::new();
    for argument in used(declared, words).get_arguments() {
        let (Some(variable), Some(file)) = (argument.get_env(), file_variable(argument)) else { continue };
        let variable = variable.to_string_lossy().into_owned();
        let Some(path) = set(&file) else { continue };
        if set(&variable).is_some() {
            return Err(format!("{variable} and {file} are both set: unset one of them"));
        }
        let content = content(&path).map_err(|why| {
            format!("{file} must be the path of a file that holds the secret, such as /run/secrets/name; {} {why}", path.display())
        })?;
        secrets.insert(variable, content.leak());
    }
    Ok(secrets)
}

/// The text of a file without the line break at its end.
fn content(path: &OsString) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| "is not text in UTF-8".to_owned())?;
    let text = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.trim().is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// An argument that takes its secret from the file, where there is one. Its help says how a secret is given.
pub(super) fn taken(argument: Arg, secrets: &Secrets) -> Arg {
    let Some(file) = file_variable(&argument) else { return argument };
    let flag = argument.get_long().unwrap_or_default();
    let how = format!("A secret: put it into the variable, or into a file that {file} names; everybody on this machine sees --{flag}");
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let help = format!("{}. {how}", help.trim_end_matches('.'));
    let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let argument = if argument.get_long_help().is_some() { argument.long_help(help.clone()) } else { argument };
    let argument = argument.help(help);
    match secrets.get(&variable) {
        Some(secret) => argument.env(None::<&'static str>).default_value(*secret).hide_default_value(true),
        None => argument,
    }
}

#[cfg(test)]
mod tests {
    use super::content;

    #[test]
    fn one_line_break_at_the_end_is_cut_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        let read = |text: &[u8]| {
            std::fs::write(&path, text).expect("it is written");
            content(&path.clone().into_os_string())
        };
        assert_eq!(read(b"a b \n").as_deref(), Ok("a b "));
        assert_eq!(read(b"a\r\n").as_deref(), Ok("a"));
        assert_eq!(read(b"a\nb\n\n").as_deref(), Ok("a\nb\n"));
        assert!(read(b" \n").is_err() && read(b"").is_err() && read(b"\xff").is_err());
        assert!(content(&directory.path().into()).is_err(), "a directory");
    }
}
