//! Between nodes: a command reaches the owner in one hop, or in two when it has moved, and no more.

use crate::{
    note::{self, Note, NoteCommand, host, write},
    support::hosts::{Heard, own, routed, unshared},
    wire::{self, ExecuteReply, ExecuteRequest, execute_reply::Outcome, node_server},
};
use command_api::node::{NodeServer, Routed};
use event_sourcing::Aggregate;
use event_store::{
    Accepted, CommandError, CommandMeta, Directory, Execute, Host, Hosted, LocalOwner, MemoryLog, Owner, Refused, Unavailable,
};
use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};
use uuid::Uuid;

fn meta(command_id: Uuid, expected_version: Option<u64>) -> CommandMeta {
    CommandMeta { expected_version, ..note::meta(command_id) }
}

/// A node that serves these notes, and names the heard owner for a partition that it does not own.
pub async fn node<A: Aggregate>(notes: Arc<dyn LocalOwner<A>>, heard: Heard) -> (String, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let shutdown = CancellationToken::new();
    tokio::spawn(NodeServer::new(Arc::new(heard)).with("notes", notes).serve(listener, shutdown.clone()));
    (address, shutdown.drop_guard())
}

async fn owning_node(log: &MemoryLog) -> (String, DropGuard) {
    let notes = host(log);
    own(&notes).await;
    node(notes, Heard(None)).await
}

/// A router that owns nothing and forwards to `address`.
fn elsewhere(address: &str) -> Arc<dyn Execute<Note>> {
    routed(host(&MemoryLog::new(2)), Heard::at(address))
}

fn not_now(outcome: Result<Accepted, CommandError>) -> Unavailable {
    match outcome {
        Err(CommandError::Unavailable(unavailable)) if unavailable.retry_after_millis > 0 => unavailable,
        other => panic!("{other:?}"),
    }
}

/// The reason of an outcome that must be "not done, not now".
pub fn is_unavailable(outcome: Result<Accepted, CommandError>) -> String {
    let Unavailable { reason, in_doubt, .. } = not_now(outcome);
    assert!(!in_doubt, "{reason}");
    reason
}

#[tokio::test]
async fn a_forwarded_command_hears_what_the_owner_says() {
    let log = MemoryLog::new(2);
    let (address, _serving) = owning_node(&log).await;
    let notes = elsewhere(&address);
    let (id, command_id) = (Uuid::now_v7(), Uuid::now_v7());
    let accepted = notes.execute(id, write("milk"), meta(command_id, None)).await.unwrap();
    assert_eq!((accepted.version, accepted.events, accepted.repeated, &*accepted.position.service), (1, 1, false, "notes"));
    assert_eq!(log.records(accepted.position.partition).len(), 2, "a claim and the event");

    let again = notes.execute(id, write("milk"), meta(command_id, None)).await.unwrap();
    assert_eq!(again, Accepted { repeated: true, ..accepted });
    let reused = notes.execute(id, write("bread"), meta(command_id, None)).await;
    assert!(matches!(reused, Err(CommandError::KeyReused)), "{reused:?}");
    let conflict = notes.execute(id, NoteCommand::Burn, meta(Uuid::now_v7(), Some(7))).await;
    assert!(matches!(conflict, Err(CommandError::Conflict { expected: 7, actual: 1 })), "{conflict:?}");
}

#[tokio::test]
async fn of_many_that_are_forwarded_side_by_side_each_hears_its_own_answer() {
    let (address, _serving) = owning_node(&MemoryLog::new(2)).await;
    let notes = elsewhere(&address);
    let ask = |number: u64| {
        let notes = notes.clone();
        async move {
            let (id, expected) = (Uuid::now_v7(), (number % 2 == 1).then_some(number));
            (number, notes.execute(id, write("milk"), meta(Uuid::now_v7(), expected)).await)
        }
    };
    let mut places = HashSet::new();
    for (number, outcome) in futures::future::join_all((0..500).map(ask)).await {
        match outcome {
            Ok(Accepted { version: 1, position, .. }) if number % 2 == 0 => assert!(places.insert(position), "{number}"),
            Err(CommandError::Conflict { expected, actual: 0 }) => assert_eq!(expected, number),
            other => panic!("{number}: {other:?}"),
        }
    }
    assert_eq!(places.len(), 250);
}

/// A node of a release that knew only single calls, no streams.
#[derive(Default)]
struct Former {
    calls: AtomicU64,
    streams: Arc<AtomicU64>,
}

#[tonic::async_trait]
impl node_server::Node for Former {
    type ExecuteAllStream = futures::stream::Empty<Result<ExecuteReply, Status>>;

    async fn execute(&self, request: Request<ExecuteRequest>) -> Result<Response<ExecuteReply>, Status> {
        assert_eq!((&*request.get_ref().service, request.get_ref().command_version), ("notes", 1));
        let version = self.calls.fetch_add(1, Ordering::Relaxed);
        let accepted = wire::Accepted { version, service: "notes".into(), ..wire::Accepted::default() };
        Ok(Response::new(ExecuteReply { outcome: Some(Outcome::Accepted(accepted)), number: 0 }))
    }

    async fn execute_all(&self, _: Request<Streaming<ExecuteRequest>>) -> Result<Response<Self::ExecuteAllStream>, Status> {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Err(Status::unimplemented("what is a stream?"))
    }

    async fn who(&self, _: Request<wire::WhoRequest>) -> Result<Response<wire::WhoReply>, Status> {
        Err(Status::unimplemented("who?"))
    }
}

#[tokio::test]
async fn a_node_that_takes_no_stream_is_asked_call_by_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let former = Former::default();
    let streams = former.streams.clone();
    let server = Server::builder().add_service(node_server::NodeServer::new(former));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let notes = elsewhere(&address);
    for version in 0..3 {
        assert_eq!(notes.execute(Uuid::now_v7(), write("milk"), meta(Uuid::now_v7(), None)).await.unwrap().version, version);
    }
    assert_eq!(streams.load(Ordering::Relaxed), 3, "it may have been replaced by a node that does");
}

#[tokio::test]
async fn a_refusal_travels_whole() {
    let (address, _serving) = owning_node(&MemoryLog::new(2)).await;
    let burn = NoteCommand::Burn;
    match elsewhere(&address).execute(Uuid::now_v7(), burn, meta(Uuid::now_v7(), None)).await {
        Err(CommandError::Refused(Refused { code, message, not_found: true, .. })) => {
            assert_eq!(code, "unknown-note");
            assert!(!message.is_empty());
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_command_follows_an_owner_that_has_moved_once_and_not_twice() {
    let (owner, _serving) = owning_node(&MemoryLog::new(2)).await;
    let (former, _serving_too) = node(host(&MemoryLog::new(2)), Heard::at(&owner)).await;
    let moved_once = elsewhere(&former).execute(Uuid::now_v7(), write("milk"), meta(Uuid::now_v7(), None)).await;
    assert_eq!(moved_once.unwrap().version, 1);
    let (earlier, _serving_as_well) = node(host(&MemoryLog::new(2)), Heard::at(&former)).await;
    let moved_twice = elsewhere(&earlier).execute(Uuid::now_v7(), write("milk"), meta(Uuid::now_v7(), None)).await;
    assert_eq!(is_unavailable(moved_twice), "the partition is changing hands");
}

#[tokio::test]
async fn nodes_that_point_at_each_other_are_not_asked_for_ever() {
    let (a, _a) = node(host(&MemoryLog::new(2)), Heard(None)).await;
    let (b, _b) = node(host(&MemoryLog::new(2)), Heard::at(&a)).await;
    let begun = Instant::now();
    is_unavailable(elsewhere(&b).execute(Uuid::now_v7(), write("milk"), meta(Uuid::now_v7(), None)).await);
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn an_owner_that_is_gone_or_silent_is_waited_for_within_a_bound() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for (address, perhaps_sent) in [(gone, false), (silent.local_addr().unwrap().to_string(), true), ("not an address".to_owned(), false)] {
        let begun = Instant::now();
        let outcome = elsewhere(&address).execute(Uuid::now_v7(), write("milk"), meta(Uuid::now_v7(), None)).await;
        assert_eq!(not_now(outcome).in_doubt, perhaps_sent, "{address}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{address}");
    }
}

/// A node that takes a command, perhaps does it, and dies before it answers.
struct Dying(CancellationToken);

#[tonic::async_trait]
impl node_server::Node for Dying {
    type ExecuteAllStream = futures::stream::BoxStream<'static, Result<ExecuteReply, Status>>;

    async fn execute(&self, _: Request<ExecuteRequest>) -> Result<Response<ExecuteReply>, Status> {
        Err(Status::unimplemented("the test speaks in streams"))
    }

    async fn execute_all(&self, requests: Request<Streaming<ExecuteRequest>>) -> Result<Response<Self::ExecuteAllStream>, Status> {
        let (mut requests, dies) = (requests.into_inner(), self.0.clone());
        let taken = futures::stream::once(async move {
            requests.message().await?;
            dies.cancel();
            std::future::pending().await
        });
        Ok(Response::new(Box::pin(taken)))
    }

    async fn who(&self, _: Request<wire::WhoRequest>) -> Result<Response<wire::WhoReply>, Status> {
        Err(Status::unimplemented("who?"))
    }
}

#[tokio::test]
async fn what_an_owner_had_taken_before_it_died_is_in_doubt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, dies) = (listener.local_addr().unwrap().to_string(), CancellationToken::new());
    let service = node_server::NodeServer::new(Dying(dies.clone()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = listener.into_std().unwrap();
    runtime.spawn(async move {
        let incoming = TcpIncoming::from(TcpListener::from_std(listener).unwrap());
        Server::builder().add_service(service).serve_with_incoming(incoming).await
    });
    let killed = async {
        dies.cancelled().await;
        runtime.shutdown_background();
    };
    let notes = elsewhere(&address);
    let (outcome, ()) = tokio::join!(notes.execute(Uuid::now_v7(), write("milk"), meta(Uuid::now_v7(), None)), killed);
    let Unavailable { in_doubt, reason, .. } = not_now(outcome);
    assert!(in_doubt, "{reason}");
}

#[tokio::test]
async fn an_owner_that_comes_back_at_its_address_is_found_again() {
    let log = MemoryLog::new(2);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let notes = elsewhere(&address);
    drop(listener);
    is_unavailable(notes.execute(Uuid::now_v7(), write("milk"), meta(Uuid::now_v7(), None)).await);
    let owner = host(&log);
    own(&owner).await;
    let listener = TcpListener::bind(&address).await.unwrap();
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(
        NodeServer::new(Arc::new(Heard(None))).with("notes", owner as Arc<dyn LocalOwner<Note>>).serve(listener, shutdown.clone()),
    );
    assert_eq!(notes.execute(Uuid::now_v7(), write("milk"), meta(Uuid::now_v7(), None)).await.unwrap().version, 1);
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), serving).await.expect("it stops").unwrap().unwrap();
}

/// A host that may take over this log's partitions from their owners.
fn standing_by(log: &MemoryLog) -> Arc<Host<Note>> {
    let host = unshared(log, &note::schemas());
    Arc::new(host.standing_by(Arc::new(log.clone())))
}

/// An address where nobody listens.
async fn gone() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_command_whose_owner_is_gone_is_done_by_who_takes_over_with_all_that_was_acknowledged_before() {
    let log = MemoryLog::new(2);
    let dead = host(&log);
    own(&dead).await;
    let (id, command_id) = (Uuid::now_v7(), Uuid::now_v7());
    let first = dead.try_execute(id, write("milk"), meta(command_id, None)).await.unwrap().unwrap();
    let survivor = standing_by(&log);
    survivor.stand_by(&[0, 1].into());
    let notes: Arc<dyn Execute<Note>> = routed(survivor.clone(), Heard::at(&gone().await));
    let begun = Instant::now();
    let again = notes.execute(id, write("milk"), meta(command_id, None)).await.unwrap();
    assert_eq!(again, Accepted { repeated: true, ..first }, "it is remembered from the log");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(notes.read(id).await.unwrap().version, 1);
    assert_eq!(survivor.claims().len(), 1, "only the partition that was asked for");
}

#[tokio::test]
async fn another_node_is_asked_to_take_over_where_this_one_may_not() {
    let log = MemoryLog::new(2);
    let survivor = standing_by(&log);
    let (address, _serving) = node(survivor.clone(), Heard(None)).await;
    let heard = Two { gone: gone().await, survivor: address };
    let notes: Arc<dyn Execute<Note>> =
        Arc::new(Routed::new("notes", "router", host(&log) as Arc<dyn LocalOwner<Note>>, Arc::new(heard), Duration::from_secs(5)));
    assert_eq!(notes.execute(Uuid::now_v7(), write("milk"), meta(Uuid::now_v7(), None)).await.unwrap().version, 1);
    assert_eq!(survivor.claims().len(), 1);
}

/// A directory that names an owner that is gone, and another node.
struct Two {
    gone: String,
    survivor: String,
}

impl Directory for Two {
    fn owner(&self, _: &str, _: i32) -> Option<Owner> {
        Some(Owner { node: "dead".into(), address: self.gone.clone(), run: 0 })
    }

    fn nodes(&self) -> BTreeMap<String, String> {
        [("dead".to_owned(), self.gone.clone()), ("survivor".to_owned(), self.survivor.clone())].into()
    }
}

#[tokio::test]
async fn who_took_over_steps_down_when_somebody_else_claims_and_who_was_placed_does_not() {
    let log = MemoryLog::new(2);
    let interim = standing_by(&log);
    let id = Uuid::now_v7();
    assert!(interim.take_over(id).await);
    assert!(interim.take_over(id).await, "it writes already");
    let placed = host(&log);
    own(&placed).await;
    let refused = interim.try_execute(id, write("milk"), meta(Uuid::now_v7(), None)).await.expect("it does not know yet");
    not_now(refused);
    let stepped_down = async {
        while !interim.claims().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), stepped_down).await.expect("it owns nothing any more");
    assert!(!interim.take_over(id).await, "not again so soon");
    let done = placed.try_execute(id, write("milk"), meta(Uuid::now_v7(), None)).await.unwrap();
    assert_eq!(done.unwrap().version, 1, "what the other flushed does not count");
}

#[tokio::test]
async fn who_is_to_confirm_that_it_owns_a_partition_claims_it_anew_where_somebody_else_had_it_meanwhile() {
    let log = MemoryLog::new(2);
    let (first, second) = (host(&log), host(&log));
    own(&first).await;
    own(&second).await;
    second.stop(0).await;
    second.stop(1).await;
    let run = |partition| first.claims().into_iter().find(|(known, _)| *known == partition).and_then(|(_, run)| run);
    let (old, untouched) = (run(0).expect("it believes so"), run(1));
    let mut changes = first.changes();
    first.confirm(0);
    let claims_anew = async {
        while run(0).is_none_or(|run| run <= old) {
            changes.changed().await.expect("it lives");
        }
    };
    tokio::time::timeout(Duration::from_secs(5), claims_anew).await.expect("it claims anew");
    assert_eq!(run(1), untouched, "of the other nobody asked");
    first.confirm(0);
    first.confirm(7);
}
