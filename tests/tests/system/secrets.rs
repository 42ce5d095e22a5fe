//! Secrets: from files, and in nothing that a run prints.

use super::settings::{CANARY, TOOLS, WRONG, prints_no_secret, reader, said, tool};
use std::path::{Path, PathBuf};
use system_tests::process::{Daybook, free_port, required};

/// The settings that may hold a secret.
const SECRETS: [&str; 11] = [
    "DAYBOOK_POSTGRES",
    "DAYBOOK_KAFKA_PROPERTIES",
    "DAYBOOK_OTHER_KAFKA_PROPERTIES",
    "SCHEMA_REGISTRY_URL",
    "SCHEMA_REGISTRY_PASSWORD",
    "SCHEMA_REGISTRY_TOKEN",
    "DAYBOOK_GATEWAY_URL",
    "DAYBOOK_GATEWAY_TOKEN",
    "DAYBOOK_SMTP_URL",
    "DAYBOOK_URL",
    "DAYBOOK_TOKEN",
];

fn file(directory: &Path, name: &str, secret: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, format!("{secret}\n")).expect("it is written");
    path
}

#[test]
fn a_wrong_secret_in_a_file_is_refused_by_the_files_variable_and_not_shown() {
    if required("DAYBOOK_PROGRAM").is_none() {
        return;
    }
    let (directory, files) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    for variable in SECRETS {
        let (named, words) = (format!("{variable}_FILE"), reader(directory.path(), variable));
        let (_, values) = WRONG.iter().find(|(known, _)| *known == variable).expect("it is tried");
        for value in values.iter().filter(|value| value.contains(CANARY)) {
            let path = file(files.path(), "wrong", value).display().to_string();
            let output = tool(directory.path(), words, &[(&named, &path)]);
            let said = said(&output);
            assert_eq!(output.status.code(), Some(2), "{variable}: {said}");
            assert!(said.lines().count() == 1 && said.contains(&named) && !said.contains(CANARY), "{variable}: {said}");
        }
    }
}

#[test]
fn a_secret_that_is_given_twice_or_cannot_be_read_is_refused() {
    if required("DAYBOOK_PROGRAM").is_none() {
        return;
    }
    let (directory, files) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let there = file(files.path(), "there", CANARY).display().to_string();
    for variable in SECRETS {
        let (named, words) = (format!("{variable}_FILE"), reader(directory.path(), variable));
        for settings in [vec![(named.as_str(), "/nowhere/secret")], vec![(named.as_str(), there.as_str()), (variable, CANARY)]] {
            let output = tool(directory.path(), words, &settings);
            let said = said(&output);
            assert_eq!(output.status.code(), Some(2), "{variable}: {said}");
            let told = if settings.len() == 1 { "/nowhere/secret" } else { "both set" };
            assert!(said.lines().count() == 1 && said.contains(&named) && said.contains(told), "{variable}: {said}");
            assert!(!said.contains(CANARY), "{variable}: {said}");
        }
    }
}

#[test]
fn no_help_shows_a_secret_of_a_file_and_each_says_how_secrets_are_given() {
    if required("DAYBOOK_PROGRAM").is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(directory.path(), "secret", CANARY).display().to_string();
    for variable in SECRETS {
        let (named, words) = (format!("{variable}_FILE"), reader(directory.path(), variable));
        for asked in ["--help", "-h"] {
            let words: Vec<&str> = words.iter().take(2).copied().take_while(|word| !word.starts_with('-')).chain([asked]).collect();
            let help = said(&tool(directory.path(), &words, &[(&named, &path)]));
            assert!(help.contains("Usage") && !help.contains(CANARY), "{help}");
            assert!(help.contains(&named) && help.contains("everybody on this machine sees --"), "{variable}: {help}");
        }
    }
}

#[test]
fn an_argument_too_many_is_not_repeated() {
    if required("DAYBOOK_PROGRAM").is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    for words in [["run", "postgres://u:canary@h"], ["topics", "postgres://u:canary@h"], ["run", "--registri=http://u:canary@h"]] {
        let output = tool(directory.path(), &words, &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(!said(&output).contains(CANARY), "{}", said(&output));
    }
}

#[test]
fn what_cannot_be_reached_is_told_without_the_secret_in_the_file() {
    if required("DAYBOOK_PROGRAM").is_none() {
        return;
    }
    let (directory, files) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let (nowhere, port) = (format!("127.0.0.1:{}", free_port()), free_port().to_string());
    let http = format!("http://{nowhere}");
    let here = [("DAYBOOK_HTTP", "127.0.0.1:0"), ("DAYBOOK_BROKER_PORT", &*port), ("DAYBOOK_LOG", "trace"), ("DAYBOOK_MAIL", "folder")];
    let in_query = format!("postgres://u@{nowhere}?password=canary");
    let plain = "security.protocol=SASL_PLAINTEXT;sasl.mechanism=PLAIN;sasl.username=u;sasl.password=canary";
    for (words, variable, secret, others) in [
        (TOOLS[0], "DAYBOOK_POSTGRES", in_query.as_str(), vec![]),
        (TOOLS[0], "SCHEMA_REGISTRY_PASSWORD", CANARY, vec![("SCHEMA_REGISTRY_URL", http.as_str()), ("SCHEMA_REGISTRY_USER", "u")]),
        (TOOLS[0], "SCHEMA_REGISTRY_TOKEN", CANARY, vec![("SCHEMA_REGISTRY_URL", http.as_str())]),
        (TOOLS[0], "DAYBOOK_KAFKA_PROPERTIES", plain, vec![("DAYBOOK_KAFKA", nowhere.as_str())]),
        (TOOLS[4], "DAYBOOK_KAFKA_PROPERTIES", plain, vec![("DAYBOOK_KAFKA", nowhere.as_str())]),
    ] {
        let (named, path) = (format!("{variable}_FILE"), file(files.path(), variable, secret).display().to_string());
        let known = super::settings::shown(&super::settings::help(directory.path(), words, &[])).map(str::to_owned).collect::<Vec<_>>();
        let common = here.iter().filter(|(name, _)| known.iter().any(|shown| shown == name)).copied();
        let settings: Vec<(&str, &str)> = common.chain(others).chain([(named.as_str(), path.as_str())]).collect();
        let output = tool(directory.path(), words, &settings);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{variable}: {said}");
        assert!(!said.contains(CANARY) && !said.contains("dTpjYW5hcnk"), "{variable}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_secrets_in_files_prints_none_of_them() {
    let Some(program) = required("DAYBOOK_PROGRAM") else { return };
    let (directory, files) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let nowhere = format!("u:canary@127.0.0.1:{}", free_port());
    let secret = |name: &str, text: &str| file(files.path(), name, text).display().to_string();
    let gateway = secret("gateway", &format!("http://{nowhere}"));
    let (token, mail) = (secret("token", CANARY), secret("mail", &format!("smtp://{nowhere}")));
    let settings = [
        ("DAYBOOK_GATEWAY_URL_FILE", gateway.as_str()),
        ("DAYBOOK_GATEWAY_TOKEN_FILE", &token),
        ("DAYBOOK_SMTP_URL_FILE", &mail),
        ("DAYBOOK_LOG", "debug"),
        ("DAYBOOK_ORDER_DEADLINE", "2"),
    ];
    let daybook = Daybook::embedded_kept(&program, directory.path(), free_port(), &settings).await;
    let arguments = std::fs::read(format!("/proc/{}/cmdline", daybook.id())).expect("it runs");
    assert!(!String::from_utf8_lossy(&arguments).contains(CANARY));
    prints_no_secret(daybook, directory.path()).await;
}
