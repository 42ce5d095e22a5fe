//! A crowd at the edge: who sends, waits or reads slowly takes no place of those whose requests are whole.

use crate::{api, edge::sent, held::Held, support::answer::Answer, support::served::Served};
use command_api::edge::EdgeConfig;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const HEAD: &str = "POST /notes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n";
/// Longer than a test takes.
const LONG: Duration = Duration::from_secs(60);

/// Opens so many connections and sends this on each.
async fn crowd(served: &Served, count: usize, text: &str) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    streams
}

async fn all_are_answered(served: &Served) {
    for _ in 0..100 {
        served.posted("/notes", &json!({"text": "milk"}), 201).await;
    }
}

async fn answer_to(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    timeout(LONG, stream.read_to_string(&mut answer)).await.expect("it is told at once").unwrap();
    answer
}

async fn serving(config: EdgeConfig) -> Served {
    let held = Arc::new(Held::default());
    held.let_go(1000);
    api::serve(held, config).await
}

#[tokio::test]
async fn three_hundred_who_send_slowly_hold_nobody_up() {
    for text in [HEAD, &format!("{HEAD}{{"), "POST /notes HTTP/1.1\r\nhost:"] {
        let served = serving(EdgeConfig { body_timeout: LONG, request_timeout: LONG, ..EdgeConfig::default() }).await;
        let _crowd = crowd(&served, 300, text).await;
        all_are_answered(&served).await;
    }
}

#[tokio::test]
async fn a_crowd_takes_its_share_of_the_bodies_and_the_rest_is_told_at_once() {
    let served = serving(EdgeConfig { body_timeout: LONG, request_timeout: LONG, bodies: 9, ..EdgeConfig::default() }).await;
    let _crowd = crowd(&served, 8, HEAD).await;
    let refused = async {
        loop {
            let one_more = crowd(&served, 1, HEAD).await.remove(0);
            let mut answer = [0; 12];
            let mut one_more = one_more;
            if timeout(Duration::from_millis(200), one_more.read_exact(&mut answer)).await.is_ok() {
                return answer_to(one_more).await;
            }
        }
    };
    let rest = timeout(LONG, refused).await.expect("the pool is full");
    assert!(rest.starts_with(" Service Unavailable") && rest.contains("retry-after: 1"), "{rest}");
    all_are_answered(&served).await;
}

#[tokio::test]
async fn a_body_takes_more_places_the_more_of_it_is_held() {
    let served = serving(EdgeConfig { body_timeout: LONG, request_timeout: LONG, bodies: 4, ..EdgeConfig::default() }).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(HEAD.replace("100", "1000000").as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let sending = tokio::spawn(async move { writer.write_all(&vec![b' '; 999_999]).await });
    let mut answer = vec![0; 12];
    timeout(LONG, reader.read_exact(&mut answer)).await.expect("it is told").unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), "HTTP/1.1 503");
    sending.abort();
}

#[tokio::test]
async fn connections_beyond_the_most_are_told_so() {
    let served = serving(EdgeConfig { connections: 9, ..EdgeConfig::default() }).await;
    let mut open = crowd(&served, 8, "").await;
    let refused = answer_to(crowd(&served, 1, "").await.remove(0)).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1"), "{refused}");
    open.pop();
    let served_again = async { while served.client.get(served.url("/health/live")).send().await.is_err() {} };
    timeout(LONG, served_again).await.expect("there is a place again");
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_says_nothing() {
    let served = serving(EdgeConfig { header_timeout: Duration::from_millis(100), ..EdgeConfig::default() }).await;
    let answer = sent(&served, "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("HTTP/1.1 408"), "{answer}");
    let mut stream = crowd(&served, 1, "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await.remove(0);
    assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
    stream.write_all(b"GET /health").await.unwrap();
    let slow_second = answer_to(stream).await;
    assert!(slow_second.starts_with("HTTP/1.1 408"), "{slow_second}");
}

#[tokio::test]
async fn who_does_not_read_answers_is_cut_off() {
    let served = serving(EdgeConfig { answer_timeout: Duration::from_millis(200), ..EdgeConfig::default() }).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let asks = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    let writes = async { while stream.write_all(asks.as_bytes()).await.is_ok() {} };
    timeout(LONG, writes).await.expect("the connection is cut");
    Answer::read(served.get("/health/live").await).await.expecting(200);
}

#[tokio::test]
async fn a_long_answer_to_who_reads_is_whole() {
    let served = serving(EdgeConfig::default()).await;
    let request = "GET /openapi.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let stream = crowd(&served, 1, request).await.remove(0);
    let answer = answer_to(stream).await;
    assert!(answer.trim_end().ends_with('}'), "{}", answer.len());
}

/// The bytes of an HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What a client says first; it lets the server send so many bytes of each answer.
fn greeting(window: u32) -> Vec<u8> {
    let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &settings)].concat()
}

/// A request's head: a POST (whose body is still to come) or a GET of a path, by HPACK's static table.
fn head(stream: u32, posts: bool, path: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let (method, ends) = if posts { (0x83, 0) } else { (0x82, 1) };
    let json = [&[0x0f, 0x10][..], &text("application/json")].concat();
    let fields = [&[method, 0x86, 0x04][..], &text(path), &[0x01], &text("x"), if posts { &json } else { &[] }].concat();
    frame(1, 4 | ends, stream, &fields)
}

/// The kinds of the frames that come until the connection ends.
async fn frames_until_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut kinds = Vec::new();
    let reads = async {
        let mut start = [0; 9];
        while stream.read_exact(&mut start).await.is_ok() {
            kinds.push(start[3]);
            let mut payload = vec![0; usize::from(start[1]) << 8 | usize::from(start[2])];
            if stream.read_exact(&mut payload).await.is_err() {
                break;
            }
        }
    };
    timeout(LONG, reads).await.expect("the connection ends");
    kinds
}

const GO_AWAY: u8 = 7;

#[tokio::test]
async fn streams_without_bodies_hold_nobody_up() {
    let served = serving(EdgeConfig { body_timeout: LONG, request_timeout: LONG, ..EdgeConfig::default() }).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let heads = (0..256).flat_map(|n| head(2 * n + 1, true, "/notes")).collect();
        stream.write_all(&[greeting(65_535), heads].concat()).await.unwrap();
        open.push(stream);
    }
    all_are_answered(&served).await;
}

#[tokio::test]
async fn an_idle_connection_of_many_streams_is_told_to_go_away() {
    let served = serving(EdgeConfig { header_timeout: Duration::from_millis(100), ..EdgeConfig::default() }).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(&[greeting(65_535), head(1, false, "/health/live")].concat()).await.unwrap();
    assert!(frames_until_end(&mut stream).await.contains(&GO_AWAY));
}

#[tokio::test]
async fn a_stream_whose_answer_nobody_reads_is_cut_off() {
    let limits =
        EdgeConfig { header_timeout: Duration::from_millis(100), answer_timeout: Duration::from_millis(300), ..EdgeConfig::default() };
    let served = serving(limits).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(&[greeting(0), head(1, false, "/openapi.json")].concat()).await.unwrap();
    frames_until_end(&mut stream).await;
}
