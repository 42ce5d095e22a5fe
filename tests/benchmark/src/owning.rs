//! An owner in a process of its own: how long it takes until it may write, and what it has in memory then.

use crate::{
    figure::Sample,
    load::Cores,
    ours::{Ours, host},
    usage::resident,
};
use anyhow::{Context, Result, ensure};
use event_store::{
    Log,
    kafka::{KafkaConfig, KafkaLog, KafkaProducer, Topics},
};
use serde::{Deserialize, Serialize};
use std::{
    io::Read,
    path::Path,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

/// The longest that an owner may take to read its log.
pub const LONG: Duration = Duration::from_secs(1_200);

/// What an owner's process says once it may write.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Owned {
    /// From its start until then; the connection to the broker was there before.
    micros: f64,
    /// The processors that it kept busy meanwhile.
    cores: f64,
    /// The records below its claim.
    pub records: i64,
    /// Its memory, in bytes.
    pub resident: u64,
}

impl Owned {
    /// The time alone.
    pub fn start(&self) -> Sample {
        Sample { rate: 0.0, p50: self.micros, p99: 0.0, cores: 0.0 }
    }

    /// The time, and the records that were read a second.
    pub fn replay(&self) -> Sample {
        Sample { rate: self.records as f64 * 1e6 / self.micros, cores: self.cores, ..self.start() }
    }
}

/// Has another process own a service's log, with its snapshots in this directory; then it stops as on a signal, and saves its snapshot.
pub async fn owned(service: &str, data: &Path) -> Result<Owned> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--own", service, "--data"]).arg(data).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("it has no output")?).read_line(&mut line).await?;
    drop(child.stdin.take());
    let status = child.wait().await?;
    ensure!(status.success(), "an owner ended with {status}");
    serde_json::from_str(&line).with_context(|| format!("an owner said {line:?}"))
}

/// The code of that process: owns the log until its standard input ends.
pub async fn own(service: &str, data: &Path) -> Result<()> {
    let config = KafkaConfig::new(&std::env::var("DAYBOOK_KAFKA").context("DAYBOOK_KAFKA is not set")?, "bench");
    let log = KafkaLog::new(KafkaProducer::new(&config)?, service, config.clone());
    let barrier = Topics::new(&config)?.barrier(service)?;
    log.end(0).await?;
    let (began, cores) = (Instant::now(), Cores::begin()?);
    let ours = Ours::start(Arc::new(host(Arc::new(log), 1, barrier, Some(data))), LONG).await?;
    let (micros, cores) = (began.elapsed().as_secs_f64() * 1e6, cores.busy()?);
    let records = ours.claim().context("nobody owns the log")?;
    println!("{}", serde_json::to_string(&Owned { micros, cores, records, resident: resident(std::process::id())? })?);
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    ours.stop().await;
    Ok(())
}
