//! Settings: blank, wrong and mistyped ones, and the secrets among them.

use super::shop::Shop;
use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Output},
};
use system_tests::process::{Daybook, eventually, free_port, required};

/// In a value it stands for a password.
pub const CANARY: &str = "canary";

/// Each variable, and values that it must refuse.
pub const WRONG: [(&str, &[&str]); 48] = [
    ("DAYBOOK_HTTP", &["8080", "127.0.0.1", "127.0.0.1:http", "http://127.0.0.1:8080", "127.0.0.1:80800", "[::1:8080", "no such host:1"]),
    ("DAYBOOK_GATEWAY_HTTP", &["9300", "127.0.0.1:x"]),
    ("DAYBOOK_NODE", &["9191", "node:", "node:-1"]),
    ("DAYBOOK_NODE_ADDRESS", &["9191", "node:", "node:-1"]),
    ("DAYBOOK_NAME", &["a node", "n\u{e4}he", "a/b", "\n"]),
    ("DAYBOOK_SERVICES", &["order", "orders;users", "orders,,users"]),
    ("DAYBOOK_ROLES", &["view", "views,"]),
    ("DAYBOOK_KAFKA", &["kafka", "kafka:port", "PLAINTEXT://kafka:9092", "kafka:9092,", "u:canary@kafka:9092"]),
    ("DAYBOOK_BROKER_PORT", &["0", "65536", "x", "127.0.0.1:9092"]),
    ("DAYBOOK_PARTITIONS", &["0", "-1", "10001", "4.0", "four"]),
    ("DAYBOOK_REPLICATION", &["0", "16", "x"]),
    ("DAYBOOK_MIN_INSYNC", &["0", "16", "2"]),
    ("DAYBOOK_DATA", &["/proc/nowhere/data", "/etc/passwd", "/etc/passwd/data"]),
    (
        "DAYBOOK_POSTGRES",
        &["u:canary@h", "postgre://u:canary@h", "postgres://u:canary@h:x", "postgres://u:canary@h/db", "postgres://u@h?pass=canary"],
    ),
    ("SCHEMA_REGISTRY_URL", &["localhost:8081", "http://", "htp://u:canary@h", "http://u:canary@h:x", "http://u:canary@h?x"]),
    ("DAYBOOK_KAFKA_PROPERTIES", &["acks=1", "sasl.pasword=canary", "/canary", "security.protocol=canary", "canary", "client.id=canary"]),
    ("DAYBOOK_OTHER_KAFKA_PROPERTIES", &["linger.ms=5", "sasl.pasword=canary", "a=1;=canary"]),
    ("DAYBOOK_POSTGRES_POOLER", &["session", "pgbouncer"]),
    ("SCHEMA_REGISTRY_USER", &["a user"]),
    ("SCHEMA_REGISTRY_PASSWORD", &["canary\u{7}"]),
    ("SCHEMA_REGISTRY_TOKEN", &["a canary", "can\u{e4}ry canary"]),
    ("SCHEMA_REGISTRY_CA", &["/nowhere/ca.pem", "/proc"]),
    ("DAYBOOK_GATEWAY_TOKEN", &["a canary"]),
    ("DAYBOOK_GATEWAY_URL", &["localhost:9300", "http//u:canary@h", "https://u:canary@", "ftp://u:canary@h"]),
    ("DAYBOOK_SMTP_URL", &["localhost:25", "smtp//u:canary@h", "smtp://u:canary@h:x", "http://u:canary@h", "smtp://u:canary@h?tls=canary"]),
    ("DAYBOOK_URL", &["localhost:8080", "http//u:canary@h", "http://u:canary@h:x"]),
    ("DAYBOOK_OIDC_ISSUER", &["id.example.com", "http://id.example.com", "https://u:canary@id.example.com", "ftp://id.example.com"]),
    ("DAYBOOK_OIDC_AUDIENCE", &["a shop", "sch\u{f6}n"]),
    ("DAYBOOK_OIDC_ROLES", &["roles,", "a..b"]),
    ("DAYBOOK_OIDC_LEEWAY", &["301", "-1", "30s"]),
    ("DAYBOOK_PUBLIC_URL", &["shop.example.com", "ftp://shop.example.com"]),
    ("DAYBOOK_SECURE", &["maybe", "2"]),
    ("DAYBOOK_ISSUER_PORT", &["65536", "x"]),
    ("DAYBOOK_OPEN", &["yes", "true"]),
    ("DAYBOOK_TOKEN", &["a canary", "can\u{e4}ry canary"]),
    ("DAYBOOK_GATEWAY", &["simulate", "none"]),
    ("DAYBOOK_MAIL", &["post", "smtp"]),
    ("DAYBOOK_MAIL_FROM", &["not an address", "a@", "<>"]),
    ("DAYBOOK_ORDER_DEADLINE", &["0", "15m", "-1"]),
    ("DAYBOOK_STANDBYS", &["10", "-1", "one"]),
    ("DAYBOOK_LIVE_AGGREGATES", &["0", "many"]),
    ("DAYBOOK_ANSWER_WITHIN", &["0", "10001", "100ms"]),
    ("DAYBOOK_PROOF_EVERY", &["-1", "5001", "200ms"]),
    ("DAYBOOK_EFFECT_ATTEMPTS", &["0", "x"]),
    ("DAYBOOK_EFFECT_WITHIN", &["0", "1d"]),
    ("DAYBOOK_EFFECT_TIMEOUT", &["0", "2s"]),
    ("DAYBOOK_LOG", &["inof", "warn,debg", "event_store=loud"]),
    ("DAYBOOK_LOG_JSON", &["maybe", "2"]),
];

/// The others are numbers like these.
const ALSO: [&str; 2] = ["DAYBOOK_EFFECT_LONGEST_PAUSE", "DAYBOOK_EFFECT_CONCURRENCY"];

/// The subcommands that read settings, with the arguments that they need.
pub const TOOLS: [&[&str]; 13] = [
    &["run"],
    &["gateway"],
    &["import", "/dev/null"],
    &["topics", "create"],
    &["topics", "check"],
    &["tail"],
    &["replay"],
    &["rebuild", "orders"],
    &["verify"],
    &["copy", "--to", "127.0.0.1:1"],
    &["audit", "order", "00000000-0000-0000-0000-000000000001"],
    &["dead-letters", "list"],
    &["dead-letters", "show", "orders", "orders", "00000000-0000-0000-0000-000000000001"],
];

/// A tool with these settings alone, in an empty directory.
pub fn tool(directory: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(required("DAYBOOK_PROGRAM").expect("it was there before"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DAYBOOK_") || name.starts_with("SCHEMA_REGISTRY_")) {
        command.env_remove(name);
    }
    command.args(arguments).envs(settings.iter().copied()).current_dir(directory).output().expect("it runs")
}

pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The words of a tool without its arguments' names and values.
fn bare<'a>(words: &[&'a str]) -> Vec<&'a str> {
    words.iter().take(2).copied().take_while(|word| !word.starts_with('-')).collect()
}

pub fn help(directory: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> String {
    said(&tool(directory, &[&bare(arguments)[..], &["--help"]].concat(), settings))
}

/// The variables that a help text shows: `[env: DAYBOOK_HTTP]`.
pub fn shown(help: &str) -> impl Iterator<Item = &str> {
    help.split("[env: ").skip(1).filter_map(|rest| rest.split([']', '=']).next())
}

/// The first tool that reads a variable.
pub fn reader(directory: &Path, variable: &str) -> &'static [&'static str] {
    TOOLS.into_iter().find(|words| shown(&help(directory, words, &[])).any(|shown| shown == variable)).expect("a tool reads it")
}

#[test]
fn a_wrong_setting_is_refused_in_one_line_before_anything_is_made() {
    if required("DAYBOOK_PROGRAM").is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    for (variable, values) in WRONG {
        let words = reader(directory.path(), variable);
        for value in values.iter().filter(|value| !value.trim().is_empty()) {
            let output = tool(directory.path(), words, &[(variable, value)]);
            let said = said(&output);
            assert_eq!(output.status.code(), Some(2), "{variable}={value}: {said}");
            assert!(said.lines().count() == 1 && said.starts_with("daybook: ") && said.contains(variable), "{variable}={value}: {said}");
            assert!(said.contains("such as") || said.contains("choose another"), "it has an example: {said}");
            assert!(!said.contains(CANARY), "{variable}: {said}");
            assert!(directory.path().read_dir().expect("it is there").next().is_none(), "{variable}={value} made something");
        }
    }
}

#[test]
fn every_variable_of_every_tool_is_tried_with_a_wrong_value() {
    if required("DAYBOOK_PROGRAM").is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let tried: BTreeSet<&str> = WRONG.iter().map(|(variable, _)| *variable).chain(ALSO).collect();
    let helps: Vec<String> = TOOLS.iter().map(|words| help(directory.path(), words, &[])).collect();
    let all: BTreeSet<&str> = helps.iter().flat_map(|help| shown(help)).collect();
    assert_eq!(all, tried);
    for variable in ALSO {
        let output = tool(directory.path(), reader(directory.path(), variable), &[(variable, "0")]);
        assert!(output.status.code() == Some(2) && said(&output).contains(variable), "{}", said(&output));
    }
}

#[test]
fn settings_that_are_wrong_together_are_refused() {
    if required("DAYBOOK_PROGRAM").is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (kafka, smtp) = (("DAYBOOK_KAFKA", "127.0.0.1:1"), ("DAYBOOK_SMTP_URL", "smtp://127.0.0.1:1"));
    for (settings, named) in [
        (vec![("DAYBOOK_REPLICATION", "3"), ("DAYBOOK_MIN_INSYNC", "4")], vec!["DAYBOOK_REPLICATION", "DAYBOOK_MIN_INSYNC"]),
        (vec![kafka], vec!["DAYBOOK_KAFKA", "DAYBOOK_SMTP_URL", "DAYBOOK_MAIL=folder"]),
        (vec![("DAYBOOK_MAIL", "folder"), smtp], vec!["DAYBOOK_MAIL", "DAYBOOK_SMTP_URL"]),
        (vec![kafka, smtp, ("DAYBOOK_NODE", "0.0.0.0:0")], vec!["DAYBOOK_NODE", "0.0.0.0:0", "DAYBOOK_NODE_ADDRESS"]),
        (vec![("DAYBOOK_KAFKA_PROPERTIES", "compression.codec=lz4")], vec!["DAYBOOK_KAFKA_PROPERTIES", "DAYBOOK_KAFKA (--kafka)"]),
        (vec![("DAYBOOK_POSTGRES_POOLER", "transaction")], vec!["DAYBOOK_POSTGRES_POOLER", "DAYBOOK_POSTGRES (--postgres)"]),
        (
            vec![("DAYBOOK_POSTGRES_POOLER", "transaction"), ("DAYBOOK_POSTGRES", "postgres://a@b?options=-c%20jit%3Don")],
            vec!["DAYBOOK_POSTGRES_POOLER", "ALTER ROLE"],
        ),
        (vec![("SCHEMA_REGISTRY_TOKEN", "abc")], vec!["SCHEMA_REGISTRY_URL"]),
        (vec![("SCHEMA_REGISTRY_URL", "http://a"), ("SCHEMA_REGISTRY_USER", "a")], vec!["SCHEMA_REGISTRY_PASSWORD"]),
        (vec![("SCHEMA_REGISTRY_URL", "http://a:b@c"), ("SCHEMA_REGISTRY_TOKEN", "a")], vec!["SCHEMA_REGISTRY_TOKEN", "exclude"]),
        (vec![("DAYBOOK_GATEWAY_TOKEN", "a")], vec!["DAYBOOK_GATEWAY_TOKEN", "DAYBOOK_GATEWAY_URL"]),
        (vec![kafka, smtp, ("DAYBOOK_NODE_ADDRESS", "0.0.0.0:0")], vec!["DAYBOOK_NODE_ADDRESS", "0.0.0.0:0"]),
    ] {
        let output = tool(directory.path(), TOOLS[0], &settings);
        let said = said(&output);
        assert!(output.status.code() == Some(2) && said.lines().count() == 1, "{settings:?}: {said}");
        assert!(named.iter().all(|name| said.contains(name)), "{settings:?}: {said}");
    }
    assert!(directory.path().read_dir().expect("it is there").next().is_none(), "nothing is made");
}

#[test]
fn a_tool_refuses_what_a_node_refuses() {
    if required("DAYBOOK_PROGRAM").is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    for words in TOOLS {
        let help = help(directory.path(), words, &[]);
        for variable in shown(&help) {
            let Some((_, values)) = WRONG.iter().find(|(known, _)| *known == variable) else { continue };
            if variable == "DAYBOOK_DATA" {
                continue;
            }
            let output = tool(directory.path(), words, &[(variable, values[0])]);
            assert!(output.status.code() == Some(2) && said(&output).contains(variable), "{words:?} {variable}: {}", said(&output));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blank_is_not_set() {
    let Some(program) = required("DAYBOOK_PROGRAM") else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let blank = WRONG.iter().map(|(variable, _)| *variable).chain(ALSO).filter(|variable| {
        // These keep the test apart from others.
        !["DAYBOOK_HTTP", "DAYBOOK_BROKER_PORT", "DAYBOOK_DATA"].contains(variable)
    });
    let mut settings: Vec<(&str, &str)> = blank.map(|variable| (variable, "")).collect();
    settings.push(("DAYBOOK_NAME", "  "));
    let daybook = Daybook::embedded_kept(&program, directory.path(), free_port(), &settings).await;
    assert!(daybook.terminate(), "it ran as if none were set");
}

#[test]
fn a_mistyped_variable_is_named() {
    if required("DAYBOOK_PROGRAM").is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    for words in TOOLS {
        let output = tool(directory.path(), words, &[("DAYBOOK_KAFAK", "kafka:9092")]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.lines().count() == 1 && said.contains("DAYBOOK_KAFAK") && said.contains("mean DAYBOOK_KAFKA"), "{said}");
    }
}

#[test]
fn no_help_shows_a_secret() {
    if required("DAYBOOK_PROGRAM").is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let secrets: Vec<(&str, &str)> = ["DAYBOOK_POSTGRES", "SCHEMA_REGISTRY_URL", "DAYBOOK_GATEWAY_URL", "DAYBOOK_SMTP_URL", "DAYBOOK_URL"]
        .into_iter()
        .map(|name| (name, "http://u:canary@h"))
        .collect();
    for words in TOOLS {
        for asked in ["--help", "-h"] {
            let help = said(&tool(directory.path(), &[&bare(words)[..], &[asked]].concat(), &secrets));
            assert!(help.contains("Usage") && !help.contains(CANARY), "{help}");
        }
    }
}

#[test]
fn what_cannot_be_reached_is_named_without_its_password() {
    if required("DAYBOOK_PROGRAM").is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (nowhere, port) = (format!("u:canary@127.0.0.1:{}", free_port()), free_port().to_string());
    let (postgres, http) = (format!("postgres://{nowhere}"), format!("http://{nowhere}"));
    let here = [("DAYBOOK_HTTP", "127.0.0.1:0"), ("DAYBOOK_BROKER_PORT", &port), ("DAYBOOK_LOG", "debug")];
    for (words, secret) in [
        (TOOLS[0], ("DAYBOOK_POSTGRES", &postgres)),
        (TOOLS[0], ("SCHEMA_REGISTRY_URL", &http)),
        (TOOLS[2], ("DAYBOOK_URL", &http)),
        (TOOLS[10], ("DAYBOOK_URL", &http)),
        (TOOLS[11], ("DAYBOOK_URL", &http)),
    ] {
        let output = tool(directory.path(), words, &[&here[..], &[(secret.0, secret.1)]].concat());
        let said = said(&output);
        assert!(!output.status.success() && !said.contains(CANARY), "{words:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_line_holds_a_secret() {
    let Some(program) = required("DAYBOOK_PROGRAM") else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let nowhere = format!("u:canary@127.0.0.1:{}", free_port());
    let (gateway, mail) = (format!("http://{nowhere}"), format!("smtp://{nowhere}"));
    let settings =
        [("DAYBOOK_GATEWAY_URL", gateway.as_str()), ("DAYBOOK_SMTP_URL", &mail), ("DAYBOOK_LOG", "debug"), ("DAYBOOK_ORDER_DEADLINE", "2")];
    let daybook = Daybook::embedded_kept(&program, directory.path(), free_port(), &settings).await;
    prints_no_secret(daybook, directory.path()).await;
}

/// An order is tried with a gateway and a mail server that are not there, and no line of the log has a secret in it.
pub async fn prints_no_secret(daybook: Daybook, directory: &Path) {
    let shop = Shop::open(daybook.client(), "secret", 10).await;
    let order = shop.order("secret", 1, "card").await;
    shop.ended(&order, "expired").await;
    let log = || std::fs::read_to_string(directory.join("daybook.log")).expect("a log");
    eventually("the mail was tried", async || log().contains("mail server").then_some(())).await;
    drop(daybook);
    // "dTpjYW5hcnk=" is u:canary as a header carries it.
    let secret = log().lines().find(|line| line.contains(CANARY) || line.contains("dTpjYW5hcnk")).map(str::to_owned);
    assert_eq!(secret, None);
}
