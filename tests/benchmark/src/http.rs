//! A light HTTP/1.1 client, so that its own cost hardly counts in the figures.

use crate::load::Call;
use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How long a connection is kept for the next request.
const KEPT: Duration = Duration::from_secs(10);

/// Requests to one server, each on a connection that stays.
pub struct Http {
    address: SocketAddr,
    idle: Mutex<Vec<(TcpStream, Instant)>>,
    request: Box<dyn Fn(u64) -> String + Send + Sync>,
    status: u16,
}

impl Http {
    /// Sends what `request` makes of a number, and expects this status.
    pub fn new(address: SocketAddr, status: u16, request: impl Fn(u64) -> String + Send + Sync + 'static) -> Self {
        Self { address, idle: Mutex::default(), request: Box::new(request), status }
    }

    /// The body of the answer to a request.
    pub async fn ask(&self, request: &str) -> Result<Vec<u8>> {
        // Daybook closes a connection that was idle for 30 s.
        let idle = self.idle.lock().pop().filter(|(_, since)| since.elapsed() < KEPT);
        let mut stream = match idle {
            Some((stream, _)) => stream,
            None => TcpStream::connect(self.address).await?,
        };
        stream.set_nodelay(true)?;
        stream.write_all(request.as_bytes()).await?;
        let (status, body) = answer(&mut stream).await?;
        ensure!(status == self.status, "{status} instead of {}: {}", self.status, String::from_utf8_lossy(&body));
        self.idle.lock().push((stream, Instant::now()));
        Ok(body)
    }
}

impl Http {
    /// As [`ask`](Self::ask), but tries again for ten seconds: the group may move partitions once more after a node has started.
    pub async fn ask_patiently(&self, request: &str) -> Result<Vec<u8>> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            match self.ask(request).await {
                Err(_) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(100)).await,
                settled => return settled,
            }
        }
    }
}

impl Call for Http {
    async fn call(&self, number: u64) -> Result<()> {
        self.ask(&(self.request)(number)).await.map(drop)
    }
}

/// A GET of a path.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: daybook\r\n\r\n")
}

/// A POST of JSON to a path, under a key.
pub fn post(path: &str, key: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: daybook\r\ncontent-type: application/json\r\nidempotency-key: {key}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

async fn answer(stream: &mut TcpStream) -> Result<(u16, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        ensure!(stream.read_buf(&mut bytes).await? > 0, "the server closed the connection");
        if let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let (status, length) = head_of(std::str::from_utf8(&bytes[..head])?)?;
            while bytes.len() < head + 4 + length {
                ensure!(stream.read_buf(&mut bytes).await? > 0, "the server closed the connection");
            }
            return Ok((status, bytes.split_off(head + 4)));
        }
    }
}

/// The status and the body's length.
fn head_of(head: &str) -> Result<(u16, usize)> {
    let status = head.get(9..12).context("no status")?.parse()?;
    let length = |line: &str| {
        line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, value)| value.trim().to_owned())
    };
    let length = head.lines().find_map(length).context("no content-length")?.parse()?;
    Ok((status, length))
}
