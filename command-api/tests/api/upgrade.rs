//! During an upgrade, nodes of two builds work side by side: the earlier build does not do a command that it cannot read whole, and the
//! later build recognises a command that is sent to it again.

use crate::{
    api,
    nodes::{is_unavailable, node},
    note::{self, Note, NoteEvent, NoteWritten, meta, write, write_in},
    note_v1,
    support::{
        answer::Answer,
        hosts::{Heard, PARTITIONS, own, routed},
    },
    wire::{self, ExecuteRequest, execute_reply::Outcome, node_client::NodeClient},
};
use command_api::edge::EdgeConfig;
use event_store::{Accepted, CommandError, Execute, LocalOwner, MemoryLog};
use serde_json::json;
use std::sync::Arc;
use tokio_util::sync::DropGuard;
use uuid::Uuid;

fn log() -> MemoryLog {
    MemoryLog::new(PARTITIONS)
}

/// A node of the build before that owns all notes of this log.
async fn former_node(log: &MemoryLog) -> (String, DropGuard) {
    let notes = note_v1::host(log);
    own(&notes).await;
    node::<note_v1::Note>(notes, Heard(None)).await
}

/// A node of today's build that owns all notes of this log.
async fn upgraded_node(log: &MemoryLog) -> (String, DropGuard) {
    let notes = note::host(log);
    own(&notes).await;
    node::<Note>(notes, Heard(None)).await
}

/// A router of today's build that has heard of an owner at this address.
fn router(address: &str) -> Arc<dyn Execute<Note>> {
    routed::<Note>(note::host(&log()), Heard::at(address))
}

/// All events of the log, as today's build reads them.
fn events(log: &MemoryLog) -> Vec<NoteEvent> {
    let schemas = note::schemas();
    let records = (0..PARTITIONS).flat_map(|partition| log.records(partition));
    records.filter_map(|record| schemas.decode(&record.payload).ok()).collect()
}

fn written(text: &str, colour: Option<&str>) -> NoteEvent {
    NoteEvent::Written(NoteWritten { text: text.into(), colour: colour.map(str::to_owned) })
}

#[tokio::test]
async fn a_command_that_says_nothing_new_is_done_by_an_owner_that_is_not_upgraded() {
    let log = log();
    let (address, _serving) = former_node(&log).await;
    let (id, command_id) = (Uuid::now_v7(), Uuid::now_v7());
    let done = router(&address).execute(id, write("milk"), meta(command_id)).await.unwrap();
    assert_eq!((done.version, events(&log)), (1, vec![written("milk", None)]));
    let again = router(&address).execute(id, write("milk"), meta(command_id)).await.unwrap();
    assert_eq!(again, Accepted { repeated: true, ..done });
}

#[tokio::test]
async fn a_command_that_the_owner_cannot_read_whole_is_not_done_until_it_is_upgraded() {
    let log = log();
    let (address, _serving) = former_node(&log).await;
    let (notes, id, command_id) = (router(&address), Uuid::now_v7(), Uuid::now_v7());
    let reason = is_unavailable(notes.execute(id, write_in("red", "milk"), meta(command_id)).await);
    assert!(reason.contains("up to version 1") && reason.contains("of version 2") && reason.ends_with("upgrade it"), "{reason}");
    assert_eq!(notes.read(id).await.unwrap().version, 0);
    assert_eq!(events(&log), [], "no part of it was done");
    let (upgraded, _serving_too) = upgraded_node(&log).await;
    let done = router(&upgraded).execute(id, write_in("red", "milk"), meta(command_id)).await.unwrap();
    assert_eq!((done.version, done.repeated), (1, false));
    assert_eq!(events(&log), [written("milk", Some("red"))], "all of it was done, once");
}

#[tokio::test]
async fn the_caller_of_a_command_that_the_owner_cannot_read_whole_hears_503() {
    let (address, _serving) = former_node(&log()).await;
    let served = api::serve(router(&address), EdgeConfig::default()).await;
    let answer = served.posted("/notes", &json!({"text": "milk", "colour": "red"}), 503).await;
    answer.is_problem("unavailable", "", "");
    assert!(answer.body["detail"].as_str().unwrap().ends_with("upgrade it"), "{answer:?}");
    assert_eq!(answer.header("retry-after"), "1");
    Answer::of(served.post("/notes", &json!({"text": "milk"}))).await.expecting(201);
}

#[tokio::test]
async fn an_upgraded_owner_reads_what_a_router_that_is_not_upgraded_sends() {
    let log = log();
    let (address, _serving) = upgraded_node(&log).await;
    let notes = routed::<note_v1::Note>(note_v1::host(&MemoryLog::new(PARTITIONS)), Heard::at(&address));
    let (id, command_id) = (Uuid::now_v7(), Uuid::now_v7());
    let done = notes.execute(id, note_v1::write("milk"), meta(command_id)).await.unwrap();
    assert_eq!((done.version, events(&log)), (1, vec![written("milk", None)]));
    let again = router(&address).execute(id, write("milk"), meta(command_id)).await.unwrap();
    assert_eq!(again, Accepted { repeated: true, ..done });
}

/// Asks a node, as a router does that states this command version.
async fn stated(address: &str, command_version: u32) -> Outcome {
    let request = ExecuteRequest {
        service: "notes".into(),
        aggregate_id: Uuid::now_v7().to_string(),
        command_json: json!({"Write": {"text": "milk", "colour": "red"}}).to_string().into(),
        command_id: Uuid::now_v7().to_string(),
        command_version,
        ..ExecuteRequest::default()
    };
    let mut node = NodeClient::connect(format!("http://{address}")).await.unwrap();
    node.execute(request).await.unwrap().into_inner().outcome.expect("a node says what became of it")
}

#[tokio::test]
async fn the_version_that_a_router_states_is_what_decides() {
    let ((former, _former), (upgraded, _upgraded)) = (former_node(&log()).await, upgraded_node(&log()).await);
    let done = |outcome: &Outcome| matches!(outcome, Outcome::Accepted(wire::Accepted { version: 1, .. }));
    for (address, version) in [(&former, 0), (&former, 1), (&upgraded, 0), (&upgraded, 1), (&upgraded, 2)] {
        let outcome = stated(address, version).await;
        assert!(done(&outcome), "{version}: {outcome:?}");
    }
    for (address, version) in [(&former, 2), (&former, u32::MAX), (&upgraded, 3)] {
        let outcome = stated(address, version).await;
        assert!(matches!(outcome, Outcome::Unavailable(_)), "{version}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_retry_across_an_upgrade_is_the_same_command() {
    let log = log();
    let (id, command_id) = (Uuid::now_v7(), Uuid::now_v7());
    let former = note_v1::host(&log);
    own(&former).await;
    let first = former.try_execute(id, note_v1::write("milk"), meta(command_id)).await.unwrap().unwrap();
    let upgraded = note::host(&log);
    own(&upgraded).await;
    let again = async |command| upgraded.try_execute(id, command, meta(command_id)).await.unwrap();
    assert_eq!(again(write("milk")).await.unwrap(), Accepted { repeated: true, ..first });
    for other in [write_in("red", "milk"), write("bread")] {
        let reused = again(other).await;
        assert!(matches!(reused, Err(CommandError::KeyReused)), "{reused:?}");
    }
    assert_eq!(upgraded.try_read(id).await.unwrap().unwrap().version, 1, "it is done once");
}
