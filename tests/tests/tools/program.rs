//! Programs of others, run to their end or beside the test.

use super::log::Log;
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};
use system_tests::process::{eventually, required};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

/// How long a tool may take: a JVM's start on a busy machine is long.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a tool has said, and whether it was content.
#[derive(Debug)]
pub struct Said {
    pub out: String,
    pub error: String,
    pub succeeded: bool,
}

impl Said {
    /// What it has printed; it must have been content.
    pub fn done(self) -> String {
        assert!(self.succeeded, "{self:?}");
        self.out
    }

    /// The lines that it has printed, in the order of the alphabet.
    pub fn sorted(self) -> Vec<String> {
        let mut lines: Vec<String> = self.done().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Both of its outputs; it must not have been content.
    pub fn refused(self) -> String {
        assert!(!self.succeeded, "{self:?}");
        self.out + &self.error
    }

    /// The words of the line that begins with these.
    pub fn row(&self, begin: &[&str]) -> Vec<String> {
        let words = self.out.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        words
            .into_iter()
            .find(|words| words.len() >= begin.len() && words[..begin.len()] == *begin)
            .unwrap_or_else(|| panic!("{begin:?} in {self:?}"))
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { out: text(&output.stdout), error: text(&output.stderr), succeeded: output.status.success() }
    }
}

/// Runs a program to its end, which reads the input.
pub async fn run(mut command: Command, input: &str) -> Said {
    command.kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("it reads");
    // A program that ends early does not read it all.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    ended.unwrap_or_else(|_| panic!("it does not end: {command:?}")).expect("it ends").into()
}

/// A program that runs beside the test.
pub struct Beside {
    child: Child,
    said: PathBuf,
}

impl Beside {
    /// Starts it; both of its outputs go to a file of that name.
    pub fn start(mut command: Command, directory: &Path, name: &str) -> Self {
        let said = directory.join(name);
        let file = File::create(&said).expect("a file");
        command.kill_on_drop(true).stdin(Stdio::null()).stdout(file.try_clone().expect("a file")).stderr(file);
        Self { child: command.spawn().expect("it starts"), said }
    }

    /// What it has said until now, in whole lines.
    pub fn said(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.said).expect("it is text");
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    }

    /// Waits until it has said what is looked for.
    pub async fn until<T>(&self, what: &str, found: impl Fn(Vec<String>) -> Option<T>) -> T {
        eventually(what, async || found(self.said())).await
    }

    /// Asks it to end, and waits until it has.
    pub async fn end(mut self) -> Vec<String> {
        let id = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.expect("kill runs").success());
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends in time").expect("it ends");
        self.said()
    }
}

/// kcat, as Debian has it.
pub struct Kcat;

impl Kcat {
    /// None where it is not installed; `./test` installs it.
    pub fn installed() -> Option<Self> {
        if std::process::Command::new("kcat").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok() {
            return Some(Self);
        }
        assert!(std::env::var_os("DAYBOOK_TEST_ALL").is_none(), "kcat must be installed");
        eprintln!("passed over: kcat is not installed (./test installs it)");
        None
    }

    /// kcat on a log, with arguments that have no spaces in them.
    pub fn on(&self, log: &Log, arguments: &str) -> Command {
        let mut command = Command::new("kcat");
        command.args(["-b", &log.address]).args(arguments.split_whitespace());
        command
    }

    pub async fn run(&self, log: &Log, arguments: &str) -> Said {
        run(self.on(log, arguments), "").await
    }
}

/// Apache Kafka's own tools.
pub struct Kafka {
    jars: String,
}

impl Kafka {
    /// None where nobody says where their jars are; `stack/up` does.
    pub fn named() -> Option<Self> {
        Some(Self { jars: required("DAYBOOK_KAFKA_TOOLS")? })
    }

    /// A JVM with the jars on its class path. Nothing here runs for long enough to be compiled twice.
    pub fn java(&self) -> Command {
        let mut command = Command::new("java");
        command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp", &format!("{}/*", self.jars)]);
        // Errors only, on standard error; log4j itself takes as long to begin as the rest of a tool.
        command.arg("-Dlog4j2.loggerContextFactory=org.apache.logging.log4j.simple.SimpleLoggerContextFactory");
        command
    }

    /// A tool on a log, with arguments that have no spaces in them.
    pub fn on(&self, log: &Log, tool: &str, arguments: &str) -> Command {
        let mut command = self.java();
        command.args([tool, "--bootstrap-server", &log.address]).args(arguments.split_whitespace());
        command
    }

    pub async fn run(&self, log: &Log, tool: &str, arguments: &str) -> Said {
        run(self.on(log, tool, arguments), "").await
    }
}

pub const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
pub const CONFIGS: &str = "kafka.admin.ConfigCommand";
pub const PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
pub const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
pub const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
pub const OFFSETS: &str = "org.apache.kafka.tools.GetOffsetShell";
pub const PERFORMANCE: &str = "org.apache.kafka.tools.ProducerPerformance";
pub const CLUSTER: &str = "org.apache.kafka.tools.ClusterTool";
pub const DELETE_RECORDS: &str = "org.apache.kafka.tools.DeleteRecordsCommand";
