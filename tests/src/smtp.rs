//! A small mail server: it counts what it takes, by `Message-ID`, and refuses as it is told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A running mail server (RFC 5321, as much of it as a client needs).
#[derive(Clone)]
pub struct MailServer {
    /// `smtp://127.0.0.1:port`.
    pub url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    taken: HashMap<String, usize>,
    /// What is answered to a recipient whose address contains this.
    refused: Option<(&'static str, &'static str)>,
    /// How many recipients were refused.
    refusals: usize,
    /// What is answered to every sender.
    closed: Option<&'static str>,
}

impl MailServer {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("smtp://{}", listener.local_addr().expect("an address"));
        let server = Self { url, state: Arc::default() };
        let talking = server.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let server = talking.clone();
                tokio::spawn(async move { server.talk(connection).await });
            }
        });
        server
    }

    /// Answers recipients whose address contains `part` with `answer`.
    pub fn refuse(&self, part: &'static str, answer: &'static str) {
        self.state.lock().expect("not poisoned").refused = Some((part, answer));
    }

    /// How many recipients it has refused so far.
    pub fn refusals(&self) -> usize {
        self.state.lock().expect("not poisoned").refusals
    }

    /// Answers every sender with this; with none, lets everybody in again.
    pub fn close(&self, answer: Option<&'static str>) {
        self.state.lock().expect("not poisoned").closed = answer;
    }

    /// How often each message was taken, by its `Message-ID`.
    pub fn taken(&self) -> HashMap<String, usize> {
        self.state.lock().expect("not poisoned").taken.clone()
    }

    async fn talk(&self, connection: TcpStream) -> Option<()> {
        let mut connection = BufReader::new(connection);
        connection.write_all(b"220 test\r\n").await.ok()?;
        loop {
            let line = line(&mut connection).await?;
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            let answer = match verb.as_str() {
                "MAIL" => self.state.lock().expect("not poisoned").closed.unwrap_or("250 well"),
                "RCPT" => self.recipient(&line),
                "DATA" => {
                    connection.write_all(b"354 go on\r\n").await.ok()?;
                    self.message(&mut connection).await?;
                    "250 taken"
                }
                _ => "250 well",
            };
            connection.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        }
    }

    fn recipient(&self, line: &str) -> &'static str {
        let mut state = self.state.lock().expect("not poisoned");
        let Some((_, answer)) = state.refused.filter(|(part, _)| line.contains(part)) else { return "250 well" };
        state.refusals += 1;
        answer
    }

    async fn message(&self, connection: &mut BufReader<TcpStream>) -> Option<()> {
        let mut id = String::new();
        loop {
            let line = line(connection).await?;
            if let Some(found) = line.strip_prefix("Message-ID: ") {
                id = found.to_owned();
            }
            if line == "." {
                *self.state.lock().expect("not poisoned").taken.entry(id).or_default() += 1;
                return Some(());
            }
        }
    }
}

async fn line(connection: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    (connection.read_line(&mut line).await.ok()? > 0).then(|| line.trim_end().to_owned())
}
