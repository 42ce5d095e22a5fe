//! Daybook as a process of its own, with ports and a data directory of its own.

use serde_json::Value;
use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// A program or address that `./test` sets. In a run by hand it may be missing: this then prints so, and the test skips the part.
pub fn required(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        assert!(std::env::var_os("DAYBOOK_TEST_ALL").is_none(), "{name} must be set");
        eprintln!("passed over: {name} is not set (./test sets it)");
    }
    value
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// The settings of real parts, which a test on the embedded log must not see.
const REAL_PARTS: [&str; 5] = ["DAYBOOK_KAFKA", "DAYBOOK_POSTGRES", "SCHEMA_REGISTRY_URL", "DAYBOOK_MAIL", "DAYBOOK_GATEWAY"];

/// Uses a tool of a system's program on the data of an embedded system.
pub fn tool(program: &str, directory: &Path, broker_port: u16, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    for name in REAL_PARTS {
        command.env_remove(name);
    }
    command.args(arguments).env("DAYBOOK_DATA", directory).env("DAYBOOK_BROKER_PORT", broker_port.to_string());
    command.output().expect("it runs")
}

/// A running `daybook run`. Dropping it kills it, as a crash would.
pub struct Daybook {
    child: Child,
    /// Where its API is.
    pub url: String,
}

impl Daybook {
    /// Starts it on the embedded log, and waits until it is ready.
    pub async fn embedded(directory: &Path, broker_port: u16) -> Option<Self> {
        Self::embedded_with(&required("DAYBOOK_PROGRAM")?, directory, broker_port, &[]).await
    }

    /// Starts another system's program on the embedded log, or this one's with further settings, and waits until it is ready.
    pub async fn embedded_with(program: &str, directory: &Path, broker_port: u16, settings: &[(&str, &str)]) -> Option<Self> {
        let port = broker_port.to_string();
        let mut all = vec![("DAYBOOK_BROKER_PORT", port.as_str())];
        all.extend(settings);
        Some(Self::spawn(program, directory, &[], &all, &REAL_PARTS).await)
    }

    /// Starts this program on the embedded log with further settings, which may say anything of real parts.
    pub async fn embedded_kept(program: &str, directory: &Path, broker_port: u16, settings: &[(&str, &str)]) -> Self {
        let port = broker_port.to_string();
        let unset: Vec<&str> = REAL_PARTS.into_iter().filter(|name| settings.iter().all(|(set, _)| set != name)).collect();
        Self::spawn(program, directory, &[], &[settings, &[("DAYBOOK_BROKER_PORT", port.as_str())]].concat(), &unset).await
    }

    /// Starts it with further arguments and settings.
    pub async fn start(directory: &Path, arguments: &[&str], settings: &[(&str, &str)], unset: &[&str]) -> Option<Self> {
        Some(Self::spawn(&required("DAYBOOK_PROGRAM")?, directory, arguments, settings, unset).await)
    }

    async fn spawn(program: &str, directory: &Path, arguments: &[&str], settings: &[(&str, &str)], unset: &[&str]) -> Self {
        let named = settings.iter().find(|(name, _)| *name == "DAYBOOK_HTTP");
        let http = named.map_or_else(|| format!("127.0.0.1:{}", free_port()), |(_, address)| (*address).to_owned());
        let mut command = Command::new(program);
        command.arg("run").args(arguments).env("DAYBOOK_HTTP", &http).env("DAYBOOK_DATA", directory).envs(settings.iter().copied());
        for name in unset {
            command.env_remove(name);
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(directory.join("daybook.log")).expect("a log file");
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log file")).stderr(log).spawn().expect("daybook starts");
        let daybook = Self { child, url: format!("http://{http}") };
        eventually("daybook is ready", async || Client::new(&daybook.url).get("/health/ready").await.filter(|(status, _)| *status == 200))
            .await;
        daybook
    }

    /// A client of its API.
    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// Its process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How many bytes of memory its process holds.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("kilobytes") * 1024
    }

    /// Its exit code, once it has ended by itself; inner none where a signal ended it.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        self.child.try_wait().expect("it can be asked").map(|status| status.code())
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.child.kill().expect("daybook can be killed");
        self.child.wait().expect("daybook ends");
    }

    /// Asks it to end, and says whether it did so in good order.
    pub fn terminate(mut self) -> bool {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        self.child.wait().expect("daybook ends").success()
    }
}

impl Drop for Daybook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The public API, as a test asks it.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Where it posts.
    pub url: String,
    reads: String,
}

impl Client {
    /// Asks one process.
    pub fn new(url: &str) -> Self {
        Self {
            http: {
                // An HTTP client needs rustls's provider chosen in the process.
                let _ = rustls::crypto::ring::default_provider().install_default();
                reqwest::Client::builder().timeout(Duration::from_secs(15)).build().expect("a client")
            },
            url: url.to_owned(),
            reads: url.to_owned(),
        }
    }

    /// The same, but GETs go to another process.
    pub fn reading_from(self, url: &str) -> Self {
        Self { reads: url.to_owned(), ..self }
    }

    /// The status and the body; none where nobody answers.
    pub async fn get(&self, path: &str) -> Option<(u16, Value)> {
        let response = self.http.get(format!("{}{path}", self.reads)).send().await.ok()?;
        Some((response.status().as_u16(), response.json().await.unwrap_or_default()))
    }

    /// A GET that waits for a position.
    pub async fn get_at_least(&self, path: &str, position: &str) -> (u16, Value) {
        let response = self.http.get(format!("{}{path}", self.reads)).header("Daybook-At-Least", position).send().await.expect("an answer");
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    /// The answer to a POST, whatever it is.
    pub async fn post(&self, path: &str, key: Option<&str>, body: Value) -> reqwest::Response {
        let mut request = self.http.post(format!("{}{path}", self.url)).json(&body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        request.send().await.expect("an answer")
    }

    /// Posts until it is answered other than 503, and expects success.
    pub async fn must(&self, path: &str, key: &str, body: Value) -> Value {
        eventually(path, async || {
            let request = self.http.post(format!("{}{path}", self.url)).header("Idempotency-Key", key).json(&body);
            let response = request.send().await.ok().filter(|response| response.status() != 503)?;
            let status = response.status();
            let answer: Value = response.json().await.ok()?;
            assert!(status.is_success(), "{path}: {status} {answer}");
            Some(answer)
        })
        .await
    }
}

/// Waits for something that must become true within a minute.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        if let Some(found) = probe().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not within a minute: {what}");
}
