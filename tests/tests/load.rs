//! Overload: the system answers in time the requests that it takes, tells the others to come again, and recovers by itself.
//!
//! A test binary of its own, since it needs the machine to itself.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use system_tests::process::{Daybook, free_port};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::MissedTickBehavior,
};

/// How many clients measure what the system can do: many, since commands that wait share a sync of the disk.
const MANY: usize = 256;
/// How many it serves without effort.
const FEW: usize = 32;
const FINDING_OUT: Duration = Duration::from_secs(4);
const OVERLOAD: Duration = Duration::from_secs(8);
/// The overload, as a multiple of what the system can do.
const PAUSE: Duration = Duration::from_millis(100);
const TIMES: f64 = 2.0;
/// How many MiB of memory the overload may cost. The log's cache is 64 of them.
const MOST_GROWN: u64 = 192;
/// Requests are sent in batches this far apart.
const TICK: Duration = Duration::from_millis(5);

/// How many products were listed, or were to be.
static LISTED: AtomicU64 = AtomicU64::new(0);

/// An answer and how long it took.
struct Answered {
    status: u16,
    retry_after: bool,
    took: Duration,
}

/// A connection that is used again, with as little work as possible for each request, since the client shares the machine with the server.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, buffer: vec![0; 16 * 1024] }
    }

    /// Lists a product with a stock-keeping unit of its own.
    async fn post(&mut self) -> Answered {
        let number = LISTED.fetch_add(1, Ordering::Relaxed);
        let body = format!(r#"{{"sku":"tea-{number}","name":"Tea","price":{{"amount":250,"currency":"EUR"}}}}"#);
        let head = "POST /products HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length";
        let begun = Instant::now();
        self.stream.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes()).await.expect("it is sent");
        let answer = self.answer().await;
        let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("not HTTP: {answer}"));
        Answered { status, retry_after: answer.contains("\r\nretry-after: "), took: begun.elapsed() }
    }

    /// The whole answer, in small letters.
    async fn answer(&mut self) -> String {
        let mut size = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[size..]).await.expect("an answer");
            assert!(read > 0, "the connection was cut");
            size += read;
            let text = String::from_utf8_lossy(&self.buffer[..size]).to_lowercase();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
                if body.len() >= length.expect("a length") {
                    return text;
                }
            }
        }
    }
}

/// How long the answers of a status took, in order.
fn took(answers: &[Answered], status: u16) -> Vec<Duration> {
    let mut took: Vec<_> = answers.iter().filter(|answer| answer.status == status).map(|answer| answer.took).collect();
    took.sort();
    took
}

fn at(took: &[Duration], part: f64) -> Duration {
    took[((took.len() - 1) as f64 * part) as usize]
}

/// Each client asks again when it is answered; one that is sent away pauses first, else those would take the processors from the others.
async fn closed_loop(address: &str, count: usize) -> Vec<Answered> {
    let until = Instant::now() + FINDING_OUT;
    let mut clients = JoinSet::new();
    for _ in 0..count {
        let mut connection = Connection::open(address).await;
        clients.spawn(async move {
            let mut answers = Vec::new();
            while Instant::now() < until {
                let answer = connection.post().await;
                if answer.retry_after {
                    tokio::time::sleep(PAUSE).await;
                }
                answers.push(answer);
            }
            answers
        });
    }
    clients.join_all().await.into_iter().flatten().collect()
}

/// Sends so many requests a second, whether earlier ones are answered or not.
async fn open_loop(address: &str, per_second: f64) -> Vec<Answered> {
    let idle: Arc<Mutex<Vec<Connection>>> = Arc::default();
    let (mut ticks, begun) = (tokio::time::interval(TICK), Instant::now());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut sent, mut asked) = (0.0, JoinSet::new());
    while begun.elapsed() < OVERLOAD {
        ticks.tick().await;
        let due = begun.elapsed().as_secs_f64() * per_second;
        while sent < due {
            sent += 1.0;
            let (address, idle) = (address.to_owned(), idle.clone());
            asked.spawn(async move {
                let free = idle.lock().expect("nobody panics").pop();
                let mut connection = match free {
                    Some(connection) => connection,
                    None => Connection::open(&address).await,
                };
                let answer = connection.post().await;
                idle.lock().expect("nobody panics").push(connection);
                answer
            });
        }
    }
    asked.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn past_what_it_can_do_it_sheds_and_what_it_takes_is_answered_in_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(daybook) = Daybook::embedded(directory.path(), free_port()).await else { return };
    let address = daybook.url.trim_start_matches("http://");
    closed_loop(address, MANY).await;
    let able = took(&closed_loop(address, MANY).await, 201);
    let capacity = able.len() as f64 / FINDING_OUT.as_secs_f64();
    println!("{MANY} clients: {capacity:.0}/s, p50 {:?}, p99 {:?}", at(&able, 0.5), at(&able, 0.99));

    let before = daybook.memory();
    let begun = Instant::now();
    let answers = open_loop(address, TIMES * capacity).await;
    let (taken, shed, offered) = (took(&answers, 201), took(&answers, 503), answers.len() as f64 / begun.elapsed().as_secs_f64());
    let grown = daybook.memory().saturating_sub(before) >> 20;
    println!("offered {offered:.0}/s: {} taken, p50 {:?}, p99 {:?}", taken.len(), at(&taken, 0.5), at(&taken, 0.99));
    assert_eq!(taken.len() + shed.len(), answers.len(), "201 or 503");
    assert!(answers.iter().all(|answer| answer.status == 201 || answer.retry_after), "each 503 says when to come again");
    assert!(shed.len() > answers.len() / 3, "{} of {} were shed", shed.len(), answers.len());
    println!("{} shed, p50 {:?}, p99 {:?}; {grown} MiB more", shed.len(), at(&shed, 0.5), at(&shed, 0.99));
    assert!(at(&taken, 0.5) < Duration::from_millis(300) && at(&taken, 0.99) < Duration::from_secs(1));
    assert!(grown < MOST_GROWN, "memory grew by {grown} MiB");

    let calm = closed_loop(address, FEW).await;
    let (again, late) = (took(&calm, 201), took(&calm, 503).len());
    println!("afterwards: {} taken, p50 {:?}, {late} shed", again.len(), at(&again, 0.5));
    assert!(late * 100 < again.len(), "it recovers: {late} were shed of {}", again.len());
}
