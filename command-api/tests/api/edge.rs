//! The edge: limits, health, metrics, and a shutdown that answers the requests it accepted.

use crate::{
    api,
    held::{Broken, Held},
    support::{PATIENCE, answer::Answer, served::Served},
};
use command_api::edge::EdgeConfig;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

fn note() -> Value {
    json!({"text": "milk"})
}

async fn held(config: EdgeConfig) -> (Arc<Held>, Served) {
    let held = Arc::new(Held::default());
    (held.clone(), api::serve(held, config).await)
}

fn in_background(request: RequestBuilder) -> JoinHandle<Result<reqwest::Response, reqwest::Error>> {
    tokio::spawn(request.send())
}

#[tokio::test]
async fn more_than_it_can_take_is_told_so_at_once_and_health_still_answers() {
    let (held, served) = held(EdgeConfig { concurrency: 2, ..EdgeConfig::default() }).await;
    let taken = [in_background(served.post("/notes", &note())), in_background(served.post("/notes", &note()))];
    held.taken(2).await;
    let shed = Answer::of(served.post("/notes", &note())).await.expecting(503);
    shed.is_problem("unavailable", "", "");
    assert_eq!(shed.header("retry-after"), "1");
    assert_eq!(served.get("/health/live").await.status(), 200);
    held.let_go(3);
    for request in taken {
        assert_eq!(request.await.unwrap().unwrap().status(), 201);
    }
    Answer::of(served.post("/notes", &note())).await.expecting(201);
}

#[tokio::test]
async fn a_shutdown_takes_no_more_and_answers_what_it_took() {
    let (held, served) = held(EdgeConfig::default()).await;
    let taken = in_background(served.post("/notes", &note()));
    held.taken(1).await;
    served.shutdown.cancel();
    let refused = async { while TcpStream::connect(served.address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, refused).await.expect("the port is closed");
    assert!(!served.serving.is_finished());
    held.let_go(1);
    assert_eq!(Answer::read(taken.await.unwrap().unwrap()).await.expecting(201).header("etag"), "\"1\"");
    tokio::time::timeout(PATIENCE, served.serving).await.expect("serving ends").unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let (held, served) = held(EdgeConfig { drain: Duration::from_millis(50), ..EdgeConfig::default() }).await;
    let taken = in_background(served.post("/notes", &note()));
    held.taken(1).await;
    served.shutdown.cancel();
    tokio::time::timeout(PATIENCE, served.serving).await.expect("serving ends").unwrap().unwrap();
    assert!(taken.await.unwrap().is_err(), "the connection is cut");
}

#[tokio::test]
async fn an_answer_that_takes_too_long_says_what_to_do() {
    let (_held, served) = held(EdgeConfig { request_timeout: Duration::from_millis(50), ..EdgeConfig::default() }).await;
    let answer = Answer::of(served.post("/notes", &note())).await.expecting(504);
    answer.is_problem("outcome-unknown", "", "");
    assert_eq!(answer.header("retry-after"), "", "a proxy repeats what says so");
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(detail.contains("the outcome is unknown") && detail.contains("the same Idempotency-Key"), "{detail}");
}

/// Sends this text and no more, and reads until the server closes the connection.
pub async fn sent(served: &Served, text: &str) -> String {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .unwrap_or_else(|_| panic!("{text:?} still waits after {:?}", String::from_utf8_lossy(&answer)))
        .unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn who_sends_slowly_is_not_waited_for() {
    let limits = EdgeConfig { body_timeout: Duration::from_millis(50), header_timeout: Duration::from_millis(50), ..EdgeConfig::default() };
    let (_held, served) = held(limits).await;
    let slow_body = "POST /notes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let answer = sent(&served, slow_body).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("urn:daybook:problem:body-too-slow"), "{answer}");
    for (slow_head, told) in [("", false), ("P", true), ("PRI * HTTP/2.0\r\n", false), ("POST /notes HTTP/1.1\r\nhost:", true)] {
        let answer = sent(&served, slow_head).await;
        let says = answer.starts_with("HTTP/1.1 408") && answer.contains("urn:daybook:problem:head-too-slow");
        assert_eq!((says, answer.is_empty()), (told, !told), "{slow_head:?}: {answer}");
    }
    Answer::read(served.get("/health/live").await).await.expecting(200);
}

#[tokio::test]
async fn a_panic_is_a_problem_and_not_the_end() {
    let served = api::serve(Arc::new(Broken), EdgeConfig::default()).await;
    Answer::of(served.post("/notes", &note())).await.expecting(500).is_problem("internal", "", "");
    assert_eq!(served.get("/health/live").await.status(), 200);
}

#[tokio::test]
async fn readiness_names_what_it_waits_for() {
    let (served, _) = api::open().await;
    let ready = async || Answer::read(served.get("/health/ready").await).await;
    assert_eq!(ready().await.expecting(200).body, json!({"status": "ready", "waiting_for": []}));
    served.readiness.set("letters/commands", false);
    served.readiness.set("notes/commands", true);
    assert_eq!(ready().await.expecting(503).body, json!({"status": "starting", "waiting_for": ["letters/commands"]}));
    served.readiness.set("letters/commands", true);
    ready().await.expecting(200);
    served.readiness.explain("notes/views", Some("notes/0: no database".to_owned()));
    assert_eq!(ready().await.expecting(503).body, json!({"status": "failing", "waiting_for": ["notes/views: notes/0: no database"]}));
    served.readiness.explain("notes/views", None);
    served.readiness.note("view notes", Some("it is being built".to_owned()));
    let noted = json!({"status": "ready", "waiting_for": [], "notes": ["view notes: it is being built"]});
    assert_eq!(ready().await.expecting(200).body, noted, "what goes on keeps no requests away");
}

#[tokio::test]
async fn metrics_count_by_route_and_never_by_id_or_invented_method() {
    let (served, _) = api::open().await;
    let path = "/notes/0198c5a2-7b1e-7c3a-9d2f-3b5a1c2d4e6f/burning";
    served.posted(path, &json!({}), 404).await;
    let invented = reqwest::Method::from_bytes(b"INVENTED").unwrap();
    Answer::of(served.client.request(invented, served.url(path))).await.expecting(405);
    let metrics = served.get("/metrics").await.text().await.unwrap();
    let counted = r#"daybook_http_request_seconds_count{method="POST",route="/notes/{id}/burning",status="404"}"#;
    assert!(metrics.contains(counted), "{metrics}");
    assert!(metrics.contains(r#"method="other""#) && !metrics.contains("INVENTED") && !metrics.contains("0198c5a2"), "{metrics}");
}

#[tokio::test]
async fn the_documentation_and_the_schemas_are_there() {
    let (served, _) = api::open().await;
    let docs = served.get("/docs").await;
    assert_eq!(docs.status(), 200);
    assert!(docs.text().await.unwrap().to_lowercase().contains("swagger"));
    let index = Answer::read(served.get("/").await).await.expecting(200);
    for (name, path) in index.body.as_object().unwrap().iter().filter(|(name, _)| *name != "name") {
        assert_eq!(served.get(path.as_str().unwrap()).await.status(), 200, "{name}");
    }
    let missing = Answer::read(served.get("/subjects/nobody/versions").await).await.expecting(404);
    assert_eq!(missing.body["error_code"], 40401);
}
