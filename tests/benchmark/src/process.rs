//! Programs that serve, in processes of their own: Daybook, and the peer that answers without work.

use crate::{
    http::{Http, get},
    stage::Stage,
};
use anyhow::{Context, Result, bail};
use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The arguments of a node that only takes commands: in production the readers of the log have other processors.
pub const COMMANDS: [&str; 4] = ["--service", "users,reservations", "--role", "commands,reactors"];

/// A server that is killed when it is dropped.
pub struct Server {
    child: Child,
    /// Where it answers HTTP.
    pub address: SocketAddr,
    /// Where it answers other nodes.
    pub node: SocketAddr,
    data: TempDir,
}

fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Server {
    /// `daybook run` with these arguments, once it is ready.
    pub async fn daybook(stage: &Stage, arguments: &[&str]) -> Result<Self> {
        let (data, address, node) = (tempfile::tempdir()?, free()?, free()?);
        let mut command = Command::new(&stage.program);
        command.arg("run").args(arguments).env("DAYBOOK_DATA", data.path()).env("DAYBOOK_HTTP", address.to_string());
        command.env("DAYBOOK_NODE", node.to_string()).env("DAYBOOK_KAFKA", &stage.config.brokers).env("DAYBOOK_LOG", "error");
        Self::start(command, data, address, node, "/health/ready").await
    }

    /// This program as the peer: the same edge, whose owner answers at once; and beside it the least that axum can do.
    pub async fn nothing() -> Result<Self> {
        let (data, address) = (tempfile::tempdir()?, free()?);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--serve-nothing", &address.to_string()]);
        Self::start(command, data, address, address, "/health/live").await
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    async fn start(mut command: Command, data: TempDir, address: SocketAddr, node: SocketAddr, ready: &str) -> Result<Self> {
        let log = File::create(data.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("{command:?} does not start"))?;
        let mut server = Self { child, address, node, data };
        server.wait(ready).await?;
        Ok(server)
    }

    async fn wait(&mut self, ready: &str) -> Result<()> {
        let (began, http) = (Instant::now(), Http::new(self.address, 200, |_| String::new()));
        while http.ask(&get(ready)).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("a server ended with {status}: {}", std::fs::read_to_string(self.data.path().join("log"))?);
            }
            if began.elapsed() > Duration::from_secs(60) {
                bail!("a server is not ready within a minute: {}", std::fs::read_to_string(self.data.path().join("log"))?);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
