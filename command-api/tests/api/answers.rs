//! The answers to commands that were decided.

use crate::{
    api, note,
    support::{
        answer::Answer,
        hosts::{Heard, PARTITIONS, routed},
    },
};
use command_api::edge::EdgeConfig;
use event_store::{MemoryLog, Position};
use serde_json::{Value, json};
use uuid::Uuid;

fn note() -> Value {
    json!({"text": "milk"})
}

#[tokio::test]
async fn what_is_made_has_a_place_a_version_and_a_position() {
    let (served, _) = api::open().await;
    let made = served.posted("/notes", &note(), 201).await;
    let id: Uuid = made.id().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(made.body, json!({"id": id.to_string(), "version": 1}));
    assert_eq!(made.header("location"), format!("/notes/{id}"));
    assert_eq!(made.header("etag"), "\"1\"");
    assert_eq!(made.header("content-type"), "application/json");
    let position: Position = made.header("daybook-position").parse().unwrap();
    assert_eq!((&*position.service, position.offset), ("notes", 1));

    let changed = served.posted(&format!("/notes/{id}/text"), &json!({"text": "milk and tea"}), 200).await;
    assert_eq!((changed.id(), changed.header("etag"), changed.header("location")), (made.id(), "\"2\"", ""));
    let burnt = served.posted(&format!("/notes/{id}/burning"), &json!({}), 200).await;
    assert_eq!(burnt.body["version"], 3);
}

#[tokio::test]
async fn a_repeat_with_the_same_key_hears_the_same() {
    let (served, _) = api::open().await;
    let write = || served.post("/notes", &note()).header("idempotency-key", "k-1").header("daybook-actor", "cook/7");
    let (first, again) = (Answer::of(write()).await.expecting(201), Answer::of(write()).await.expecting(201));
    assert_eq!(first.body, again.body);
    for name in ["location", "etag", "daybook-position"] {
        assert_eq!(first.header(name), again.header(name), "{name}");
    }
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!(first.id(), Uuid::new_v5(&Uuid::NAMESPACE_URL, b"cook/7 k-1").to_string());

    let other = json!({"text": "bread"});
    let reused = served.post("/notes", &other).header("idempotency-key", "k-1").header("daybook-actor", "cook/7");
    Answer::of(reused).await.expecting(422).is_problem("idempotency-key-reused", "", "");
    let stranger = served.post("/notes", &note()).header("idempotency-key", "k-1").header("daybook-actor", "cook/8");
    assert_ne!(Answer::of(stranger).await.expecting(201).id(), first.id());
}

#[tokio::test]
async fn a_version_that_was_seen_must_be_the_version_that_is() {
    let (served, _) = api::open().await;
    let path = format!("/notes/{}/text", served.posted("/notes", &note(), 201).await.id());
    let change = |seen: &'static str, text: &str| served.post(&path, &json!({"text": text})).header("if-match", seen);
    Answer::of(change("\"1\"", "One")).await.expecting(200);
    let conflict = Answer::of(change("\"1\"", "Two")).await.expecting(412);
    conflict.is_problem("version-conflict", "", "");
    assert_eq!(conflict.body["detail"], "expected version 1, the aggregate is at 2");
    assert_eq!(Answer::of(change("*", "Three")).await.expecting(200).header("etag"), "\"3\"");
}

#[tokio::test]
async fn a_rule_that_says_no_is_named_with_its_field() {
    let (served, _) = api::open().await;
    served.posted(&format!("/notes/{}/burning", Uuid::now_v7()), &json!({}), 404).await.is_problem("unknown-note", "", "");
    let written = served.posted("/notes", &note(), 201).await;
    let path = |what: &str| format!("/notes/{}/{what}", written.id());
    served.posted(&path("text"), &note(), 422).await.is_problem("same-text", "text", "already");
    served.posted(&path("burning"), &json!({}), 200).await;
    served.posted(&path("text"), &json!({"text": "tea"}), 422).await.is_problem("burnt-note", "", "");
    let nothing_left_to_do = served.posted(&path("burning"), &json!({}), 200).await;
    assert_eq!((nothing_left_to_do.header("etag"), nothing_left_to_do.header("idempotency-replayed")), ("\"2\"", ""));
}

/// The text headers of the last record that a log holds.
fn last_record(log: &MemoryLog) -> Vec<(String, String)> {
    let last = (0..PARTITIONS).filter_map(|partition| log.records(partition).into_iter().nth(1)).next_back().unwrap();
    last.headers.iter().map(|(name, value)| (name.to_owned(), String::from_utf8(value.to_vec()).unwrap())).collect()
}

#[tokio::test]
async fn who_asked_and_in_which_trace_is_in_the_log() {
    let (served, log) = api::open().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let post = served.post("/notes", &note()).header("daybook-actor", "cook/7").header("traceparent", trace);
    assert_eq!(Answer::of(post).await.expecting(201).header("traceparent"), trace);
    let headers = last_record(&log);
    for (name, value) in [("actor", "cook/7"), ("correlation-id", "4bf92f3577b34da6a3ce929d0e0e4736"), ("traceparent", trace)] {
        assert!(headers.contains(&(name.to_owned(), value.to_owned())), "{name} {value} in {headers:?}");
    }
}

#[tokio::test]
async fn a_trace_that_is_malformed_is_replaced_even_where_there_is_a_problem() {
    let (served, log) = api::open().await;
    for given in [
        "",
        "nonsense",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        let answer = Answer::of(served.post("/notes", &json!({})).header("traceparent", given)).await.expecting(400);
        let made: Vec<&str> = answer.header("traceparent").split('-').collect();
        assert!(matches!(made[..], ["00", trace, span, "01"] if trace.len() == 32 && span.len() == 16), "{made:?}");
        assert_ne!(answer.header("traceparent"), given);
    }
    let correlated = served.post("/notes", &note()).header("daybook-correlation", "import-12");
    Answer::of(correlated).await.expecting(201);
    assert!(last_record(&log).contains(&("correlation-id".into(), "import-12".into())));
}

#[tokio::test]
async fn what_nobody_owns_is_to_be_asked_again() {
    let notes = routed(note::host(&MemoryLog::new(PARTITIONS)), Heard(None));
    let served = api::serve(notes, EdgeConfig::default()).await;
    let answer = Answer::of(served.post("/notes", &note())).await.expecting(503);
    answer.is_problem("unavailable", "", "");
    assert_eq!(answer.header("retry-after"), "1");
    Answer::of(served.post("/letters", &json!({}))).await.expecting(404).is_problem("unknown-path", "", "");
}

#[tokio::test]
async fn a_key_names_what_the_request_means_however_its_path_is_spelled() {
    let (served, _) = api::open().await;
    let id = served.posted("/notes", &note(), 201).await.id().to_owned();
    let encoded = format!("%{:02x}{}", id.as_bytes()[0], &id[1..]);
    let change = |id: &str| served.post(&format!("/notes/{id}/text"), &json!({"text": "tea"})).header("idempotency-key", "k");
    let first = Answer::of(change(&id)).await.expecting(200);
    for spelled in [id.to_uppercase(), encoded] {
        let again = Answer::of(change(&spelled)).await.expecting(200);
        assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &first.body), "{spelled}");
    }
    let other = Answer::of(served.post(&format!("/notes/{id}/burning"), &json!({})).header("idempotency-key", "k")).await;
    assert_eq!(other.expecting(200).header("idempotency-replayed"), "", "another command under the same key");
}
