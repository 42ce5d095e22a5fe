//! Variables that look like settings and are none.

use super::secrets::file_variable;
use clap::Command;
use std::collections::BTreeSet;

const PREFIX: &str = "DAYBOOK_";
/// The one variable that is no argument: it exists in builds with the feature of this name only.
const SABOTAGE: &str = "DAYBOOK_SABOTAGE";
/// The variables of the scripts and tests beside the program, which a developer's shell hands on to it.
const OF_SCRIPTS: [&str; 9] = [
    "DAYBOOK_BENCH_PARTS",
    "DAYBOOK_CACHE",
    "DAYBOOK_KAFKA_JAVA",
    "DAYBOOK_KAFKA_TOOLS",
    "DAYBOOK_PROGRAM",
    "DAYBOOK_STACK",
    "DAYBOOK_STACK_MTLS",
    "DAYBOOK_STACK_POOLER",
    "DAYBOOK_TEST_ALL",
];

/// The variables of this process that begin as our settings do, and are none; blank ones are not set. One that a setting's name was
/// probably meant by is refused: a node with a mistyped `DAYBOOK_KAFKA` would begin a log of its own.
pub(super) fn check(declared: &Command) -> Result<Vec<String>, String> {
    let text = |word: std::ffi::OsString| word.to_string_lossy().into_owned();
    unknown(&known(declared), std::env::vars_os().map(|(name, value)| (text(name), text(value))))
}

/// The variables of all arguments of all subcommands.
fn known(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|argument| Some(argument.get_env()?.to_string_lossy().into_owned()));
    let files = command.get_arguments().filter_map(file_variable);
    let all = own.chain(files).chain(command.get_subcommands().flat_map(known));
    all.chain([SABOTAGE.to_owned()]).chain(OF_SCRIPTS.map(str::to_owned)).collect()
}

fn unknown(known: &BTreeSet<String>, set: impl Iterator<Item = (String, String)>) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    let is_ours = |name: &str| name.to_ascii_uppercase().starts_with(PREFIX) && !known.contains(name);
    let set = set.filter(|(name, value)| is_ours(name) && !value.trim().is_empty() && !is_of_kubernetes(name, value));
    for (name, _) in set {
        match meant(known, &name) {
            Some(meant) => return Err(format!("{name} is no setting; did you mean {meant}?")),
            None => unknown.push(name),
        }
    }
    unknown.sort();
    Ok(unknown)
}

/// Kubernetes sets such variables in every container, for each service of the namespace: `DAYBOOK_SERVICE_HOST`, `DAYBOOK_PORT_80_TCP_ADDR`.
fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let is_number = |word: &str| word.starts_with(|letter: char| letter.is_ascii_digit());
    let of_a_port = name.split_once("_PORT_").is_some_and(|(_, rest)| is_number(rest));
    let of_a_service = name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT");
    of_a_service || of_a_port || name.ends_with("_PORT") && value.contains("://")
}

/// The setting whose name is nearest, where it is near enough for a slip of the finger.
fn meant<'a>(known: &'a BTreeSet<String>, name: &str) -> Option<&'a str> {
    let near = |known: &&String| {
        let (own, other) = (known.trim_start_matches(PREFIX), name.to_ascii_uppercase());
        strsim::osa_distance(own, other.trim_start_matches(PREFIX)) <= (own.len() / 3).clamp(1, 2)
    };
    known.iter().find(near).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(set: &[&str]) -> Result<Vec<String>, String> {
        let known = ["DAYBOOK_KAFKA", "DAYBOOK_LOG", "DAYBOOK_HTTP", "DAYBOOK_POSTGRES"].map(str::to_owned).into();
        unknown(&known, set.iter().map(|name| ((*name).to_owned(), "tcp://10.0.0.1:80".to_owned())))
    }

    #[test]
    fn a_slip_of_the_finger_is_refused_with_what_was_meant() {
        for (slip, meant) in [
            ("DAYBOOK_KAFAK", "DAYBOOK_KAFKA"),
            ("DAYBOOK_POSTGRESS", "DAYBOOK_POSTGRES"),
            ("DAYBOOK_POSTGRE", "DAYBOOK_POSTGRES"),
            ("DAYBOOK_LOGS", "DAYBOOK_LOG"),
            ("daybook_http", "DAYBOOK_HTTP"),
        ] {
            let said = check(&[slip]).expect_err(slip);
            assert!(said.contains(slip) && said.contains(meant), "{said}");
        }
    }

    #[test]
    fn what_is_like_no_setting_is_named_and_what_others_set_is_not() {
        let others = [
            "PATH",
            "DAYBOOK",
            "DAYBOOK_KAFKA",
            "DAYBOOK_SERVICE_HOST",
            "DAYBOOK_PORT",
            "DAYBOOK_PORT_8080_TCP_ADDR",
            "DAYBOOK_API_SERVICE_PORT_HTTP",
        ];
        assert_eq!(check(&others), Ok(Vec::new()));
        assert_eq!(check(&["DAYBOOK_TELEMETRY", "DAYBOOK_BANNER"]), Ok(vec!["DAYBOOK_BANNER".to_owned(), "DAYBOOK_TELEMETRY".to_owned()]));
    }
}
