//! Peers that say nothing any more: neither an answer nor the end of the connection, as when a network is cut or a machine hangs.

use std::{io, net::SocketAddr};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, sink},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Stands between a client and a server, and can be cut off in the middle of a word.
pub struct SilentProxy {
    /// Where clients connect to.
    pub address: SocketAddr,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// How often the connections were silenced.
    times: u32,
    /// Whether those that come now are silent from the beginning.
    is_cut: bool,
    /// The connections are silenced once a client has said this, which the server still hears.
    word: Option<&'static str>,
}

impl SilentProxy {
    /// Begins to forward connections to `target` (`127.0.0.1:5432`).
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = watch::Sender::new(State::default());
        let (told, target) = (state.clone(), target.to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, target.clone(), told.clone()));
            }
        });
        Self { address, state }
    }

    /// All connections of this moment go silent for ever; what comes later is forwarded.
    pub fn silence(&self) {
        self.state.send_modify(State::silence);
    }

    /// The same, once a client has said this word: the server hears it, and its answer is lost.
    pub fn silence_after(&self, word: &'static str) {
        self.state.send_modify(|state| state.word = Some(word));
    }

    /// How often connections were silenced.
    pub fn times(&self) -> u32 {
        self.state.borrow().times
    }

    /// Waits until connections were silenced.
    pub async fn silenced(&self) {
        let silenced = self.state.subscribe().wait_for(|state| state.times > 0).await.is_ok();
        assert!(silenced, "the proxy is there");
    }

    /// As [`silence`](Self::silence), and what comes later is silent, too, until [`mend`](Self::mend).
    pub fn cut(&self) {
        self.state.send_modify(|state| {
            state.silence();
            state.is_cut = true;
        });
    }

    /// Connections that come from now on are forwarded again.
    pub fn mend(&self) {
        self.state.send_modify(|state| state.is_cut = false);
    }
}

impl State {
    fn silence(&mut self) {
        self.times += 1;
        self.word = None;
    }
}

/// Forwards until one side ends, or the connection goes silent: then both ends stay open, as behind a cut network.
async fn forward(mut client: TcpStream, target: String, told: watch::Sender<State>) {
    let (mut state, State { times, is_cut, .. }) = (told.subscribe(), *told.borrow());
    if is_cut {
        return silent(client).await;
    }
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    {
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.split(), server.split());
        tokio::select! {
            biased;
            _ = state.wait_for(|state| state.times != times) => {}
            _ = listen(&mut from_client, &mut to_server, &told) => return,
            _ = tokio::io::copy(&mut from_server, &mut to_client) => return,
        }
    }
    silent((client, server)).await;
}

/// Keeps both ends of a connection, and does nothing with them.
async fn silent<T>(_ends: T) {
    std::future::pending().await
}

/// Forwards what the client says, and silences the connections once it has said the word.
async fn listen(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin), told: &watch::Sender<State>) -> io::Result<()> {
    let mut heard = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut heard).await?;
        if length == 0 {
            return Ok(());
        }
        let said = &heard[..length];
        told.send_if_modified(|state| {
            let is_said = state.word.is_some_and(|word| said.windows(word.len()).any(|part| part == word.as_bytes()));
            is_said.then(|| state.silence()).is_some()
        });
        to.write_all(said).await?;
    }
}

/// A server that accepts connections, says `first` on each, reads what it is sent, and never says anything more.
pub async fn silent_peer(first: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                client.write_all(first.as_bytes()).await?;
                let (mut reader, _open) = client.split();
                tokio::io::copy(&mut reader, &mut sink()).await
            });
        }
    });
    address
}

/// A server that answers each of its client's lines with the next of `answers` (the first one unasked), and then says nothing any more.
pub async fn falls_silent_after(answers: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut client = BufReader::new(client);
                for answer in answers {
                    client.write_all(answer.as_bytes()).await?;
                    client.read_line(&mut String::new()).await?;
                }
                tokio::io::copy(&mut client, &mut sink()).await
            });
        }
    });
    address
}
