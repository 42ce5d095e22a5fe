//! On secured parts: Kafka with SASL_SSL, mutual TLS and ACLs, PostgreSQL with TLS and SCRAM. `stack/up --secure` starts them.

use super::{
    settings::{said, tool},
    shop::Shop,
};
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};
use system_tests::process::{Daybook, required};
use tempfile::TempDir;

/// The secured parts; they end with the test.
struct Secured {
    directory: TempDir,
    kafka: String,
    mtls: String,
}

fn stack(script: &str) -> Command {
    Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../stack").join(script))
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = stack("down").arg("--directory").arg(self.directory.path()).output();
    }
}

impl Secured {
    /// None where the parts of real brokers are not at hand.
    fn up() -> Option<Self> {
        required("DAYBOOK_KAFKA_TOOLS")?;
        required("DAYBOOK_PROGRAM")?;
        let around = std::env::var_os("DAYBOOK_STACK").map_or_else(std::env::temp_dir, PathBuf::from);
        let directory = tempfile::Builder::new().prefix("cluster.").tempdir_in(around).expect("a directory");
        let mut parts = Self { directory, kafka: String::new(), mtls: String::new() };
        let started = stack("up").args(["--secure", "--postgres", "--directory"]).arg(parts.directory.path()).output().expect("it runs");
        let said = String::from_utf8_lossy(&started.stdout).into_owned();
        assert!(started.status.success(), "{said}{}", String::from_utf8_lossy(&started.stderr));
        let named = |name: &str| said.split_whitespace().find_map(|word| word.strip_prefix(name)).expect("it says so").to_owned();
        (parts.kafka, parts.mtls) = (named("DAYBOOK_KAFKA="), named("DAYBOOK_STACK_MTLS="));
        Some(parts)
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("it is there").trim().to_owned()
    }

    /// `daybook topics check` by these properties.
    fn check(&self, here: &Path, kafka: &str, properties: &str) -> Output {
        tool(here, &["topics", "check"], &[("DAYBOOK_KAFKA", kafka), ("DAYBOOK_KAFKA_PROPERTIES", properties)])
    }

    /// `daybook run` by this address of PostgreSQL, which must be refused.
    fn run(&self, here: &Path, postgres: &str) -> Output {
        let port = system_tests::process::free_port().to_string();
        let settings = [("DAYBOOK_POSTGRES", postgres), ("DAYBOOK_BROKER_PORT", &port), ("DAYBOOK_HTTP", "127.0.0.1:0")];
        tool(here, &["run"], &settings)
    }
}

/// One line that says what was refused, and nothing of the secret.
fn refused(output: &Output, secret: &str, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("daybook: ")).collect();
    assert!(lines.len() == 1 && words.iter().any(|word| lines[0].contains(word)), "{words:?}: {said}");
    assert!(!said.contains(secret), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_go_every_way_on_secured_parts_which_let_nobody_else_in() {
    let Some(parts) = Secured::up() else { return };
    let here = tempfile::tempdir().expect("a directory");
    let (properties, postgres) = (parts.path("kafka.secret"), parts.path("postgres.secret"));
    let settings = [
        ("DAYBOOK_KAFKA", parts.kafka.as_str()),
        ("DAYBOOK_KAFKA_PROPERTIES_FILE", &properties),
        ("DAYBOOK_POSTGRES_FILE", &postgres),
        ("DAYBOOK_MAIL", "folder"),
        ("DAYBOOK_GATEWAY", "simulated"),
    ];
    let unset = ["DAYBOOK_POSTGRES", "DAYBOOK_POSTGRES_POOLER", "SCHEMA_REGISTRY_URL"];
    let daybook = Daybook::start(here.path(), &[], &settings, &unset).await.expect("the program is there");
    Shop::open(daybook.client(), "secured", 10).await.every_way_an_order_can_go().await;
    assert!(daybook.terminate());
    let (log, password) = (std::fs::read_to_string(here.path().join("daybook.log")).expect("a log"), parts.text("password"));
    assert!(!log.contains(&password), "the password is in the log");
    kafka_refuses(&parts, here.path(), &password);
    postgres_refuses(&parts, here.path(), &password);
}

fn kafka_refuses(parts: &Secured, here: &Path, password: &str) {
    let (scram, mtls) = (parts.text("kafka.secret"), parts.text("mtls.secret"));
    for codec in ["lz4", "zstd", "none"] {
        let right = parts.check(here, &parts.kafka, &format!("{scram}\ncompression.codec={codec}"));
        assert!(right.status.success(), "{}", said(&right));
    }
    let by_certificate = parts.check(here, &parts.mtls, &mtls);
    assert!(by_certificate.status.success(), "{}", said(&by_certificate));
    let foreign = |text: &str| text.replace("tls/ca.pem", "tls/foreign-ca.pem");
    let elsewhere = |address: &str| address.replace("localhost", "127.0.0.1");
    let without_certificate = mtls.lines().filter(|line| !line.contains("client")).collect::<Vec<_>>().join("\n");
    for (address, properties, words) in [
        (parts.kafka.clone(), foreign(&scram), &["certificate verify failed"][..]),
        (elsewhere(&parts.kafka), scram.clone(), &["verify failed", "mismatch"]),
        (parts.kafka.clone(), scram.replace(password, "wrong"), &["invalid credentials"]),
        (parts.kafka.clone(), "security.protocol=PLAINTEXT".to_owned(), &["security.protocol"]),
        (parts.mtls.clone(), without_certificate, &["certificate required", "do not let this client in", "do not answer"]),
        (parts.mtls.clone(), mtls.replace("tls/client", "tls/stranger"), &["do not let this client in", "do not answer"]),
    ] {
        refused(&parts.check(here, &address, &properties), password, words);
    }
}

fn postgres_refuses(parts: &Secured, here: &Path, password: &str) {
    let right = parts.text("postgres.secret");
    for (address, words) in [
        (right.replace("tls/ca.pem", "tls/foreign-ca.pem"), &["UnknownIssuer", "certificate"][..]),
        (right.replace("localhost", "127.0.0.1"), &["certificate not valid for name", "NotValidForName"]),
        (right.replace(password, "wrong"), &["password authentication failed"]),
        (right.replace("verify-full", "disable"), &["pg_hba.conf", "no encryption"]),
    ] {
        let data = tempfile::tempdir_in(here).expect("a directory");
        refused(&parts.run(data.path(), &address), password, words);
    }
}
