//! A connection to the embedded log: whatever a peer sends, the server answers its requests in their order or closes the connection. It
//! panics nowhere, answers nothing from a frame on that is too large, and gives all memory back.
//!
//! The input is what the peer sends: frames, each behind its length. They meet a fresh log with a topic `orders` of two partitions.

use embedded_log::{NewTopic, Server, ServerSettings, Store, StoreSettings, TopicSettings};
use redb::backends::InMemoryBackend;
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    runtime::Runtime,
};

/// Small, so that inputs of a few thousand bytes reach each limit.
const SETTINGS: ServerSettings = ServerSettings {
    max_request_bytes: 1_024,
    max_other_request_bytes: 1_024,
    request_within: Duration::from_secs(60),
    idle_within: Duration::from_secs(600),
    max_pending_bytes: 3_000,
    max_answer_bytes: 2_048,
    max_connections: 1,
};
/// Fetch, JoinGroup and SyncGroup are answered when something happens, which here it may not: then the peer goes.
const WAITING: [i16; 3] = [1, 11, 14];
/// How long the peer stays for one of them.
const MOMENT: Duration = Duration::from_millis(3);
/// Any other request has its answer before, or the connection is closed.
const LONG: Duration = Duration::from_secs(20);
/// The number of the peer's last request, ApiVersions: behind its answer no other one follows.
const LAST: i32 = i32::MIN + 7;
const LAST_FRAME: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0x80, 0, 0, 7, 0xff, 0xff];

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime")
});

/// A frame: the number of its request and the number by which its answer is known.
#[derive(Clone, Copy, Debug)]
struct Sent {
    key: i16,
    correlation: i32,
}

/// What a peer sends: whole frames, and what follows the last one that is whole and not too large.
struct Input<'a> {
    frames: Vec<Sent>,
    whole: &'a [u8],
    rest: &'a [u8],
}

/// Answers whether a request had an answer.
pub fn check(bytes: &[u8]) -> bool {
    let input = Input::of(bytes);
    let answers = RUNTIME.block_on(exchange(&input));
    let answered: Vec<i32> = answered(&answers).expect("each answer is whole").into_iter().filter(|answer| *answer != LAST).collect();
    let mut asked = input.frames.iter();
    for correlation in &answered {
        assert!(asked.any(|sent| sent.correlation == *correlation), "{correlation} answers nothing that was sent: {:?}", input.frames);
    }
    !answered.is_empty()
}

/// Which requests a peer sends, by Kafka's numbers.
pub fn keys(bytes: &[u8]) -> BTreeSet<i16> {
    Input::of(bytes).frames.iter().map(|sent| sent.key).collect()
}

/// Which requests the server says that it offers, by Kafka's numbers.
pub fn offered() -> BTreeSet<i16> {
    let answers = RUNTIME.block_on(exchange(&Input::of(&[])));
    // A length, the number of the request, an error, how many there are; and for each its number, its first and its last version.
    let offers = answers.get(14..).expect("the last request is answered").chunks_exact(6);
    offers.map(|offer| i16::from_be_bytes([offer[0], offer[1]])).collect()
}

impl<'a> Input<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let (mut frames, mut rest) = (Vec::new(), bytes);
        while let Some((frame, behind)) = split(rest).filter(|(frame, _)| frame.len() <= SETTINGS.max_request_bytes) {
            let (key, correlation) = (frame.first_chunk(), frame.get(4..).and_then(<[u8]>::first_chunk));
            let Some(sent) = key.zip(correlation) else { break };
            frames.push(Sent { key: i16::from_be_bytes(*sent.0), correlation: i32::from_be_bytes(*sent.1) });
            rest = behind;
        }
        Self { frames, whole: &bytes[..bytes.len() - rest.len()], rest }
    }

    fn may_wait(&self) -> bool {
        self.frames.iter().any(|sent| WAITING.contains(&sent.key))
    }
}

/// The first frame without its length, and what follows.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(i32::from_be_bytes(*length)).ok()?)
}

/// The numbers of the answers; none if one is not whole.
fn answered(mut answers: &[u8]) -> Option<Vec<i32>> {
    let mut found = Vec::new();
    while !answers.is_empty() {
        let (frame, rest) = split(answers)?;
        found.push(i32::from_be_bytes(*frame.first_chunk()?));
        answers = rest;
    }
    Some(found)
}

/// All that the server answers.
async fn exchange(input: &Input<'_>) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(directory.path()).await;
    let (peer, other) = tokio::io::duplex(1 << 20);
    let (taken, answers) = tokio::join!(server.serve_peer(other), ask(peer, input));
    assert_eq!(taken, 0, "memory is still taken when the connection has ended");
    answers
}

/// A log that holds nothing of what was sent before.
async fn server(directory: &Path) -> Server {
    let settings = StoreSettings { storage: Some(Arc::new(InMemoryBackend::new())), cache_bytes: 1 << 20 };
    let store = Store::open_with(directory, settings).expect("a log");
    let orders = NewTopic { name: "orders".to_owned(), partitions: 2, settings: TopicSettings::new() };
    store.create_topic(orders).await.expect("the topic is made");
    Server::bind_with(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::new(store), SETTINGS).await.expect("a port")
}

/// Sends all, stays until everything has its answer, and ends the connection.
async fn ask(mut peer: DuplexStream, input: &Input<'_>) -> Vec<u8> {
    // The server may have closed the connection already.
    let _ = peer.write_all(&[input.whole, &LAST_FRAME, input.rest].concat()).await;
    let mut answers = Vec::new();
    let patience = if input.may_wait() { MOMENT } else { LONG };
    while answered(&answers).is_none_or(|answered| answered.last() != Some(&LAST)) {
        match tokio::time::timeout(patience, peer.read_buf(&mut answers)).await {
            Ok(Ok(read)) if read > 0 => {}
            Ok(_) => return answers,
            Err(_) if input.may_wait() => break,
            Err(_) => panic!("a request has no answer: {:?}", input.frames),
        }
    }
    let _ = peer.shutdown().await;
    let _ = peer.read_to_end(&mut answers).await;
    answers
}
