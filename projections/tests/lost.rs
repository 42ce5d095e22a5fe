//! A log loses its last records while views of it stand at different places, or while one is being built: none keeps what was made of them.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/library.rs"]
#[allow(dead_code)]
mod library;
mod support;

use event_sourcing::{Cause, Timestamp};
use event_store::{
    Append, BatchError, BatchHandler, CommandError, CommandMeta, Cursor, Host, Hosted, LocalOwner, Log, LogError, MemoryLog, NodeName,
    NotQueued, PartitionId, RawRecord, Replay, Tag, WriterConfig, is_anchored,
};
use library::{Addresses, Member, MemberCommand, MemberRow, Members, Stories, StoryRow, codecs};
use projections::{BuildingParts, Database, Filter, Order, Query, Table, ViewRunner, erased};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use support::Fresh;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

fn source() -> PartitionId {
    PartitionId { service: "members".into(), partition: 0 }
}

/// A log with so many members, each of whom has two events behind the claim.
async fn written(members: std::ops::Range<u128>) -> MemoryLog {
    let log = MemoryLog::new(1);
    let node = NodeName { owner: "a".into(), address: "127.0.0.1:0".into() };
    let host = Host::<Member>::new(Arc::new(log.clone()), 1, codecs().schemas().clone(), node, WriterConfig::default());
    host.start(0);
    for id in members {
        ask(&host, id, MemberCommand::Join { email: format!("u{id}@example.com"), name: format!("U{id}") }).await;
        ask(&host, id, MemberCommand::Rename { name: format!("V{id}") }).await;
    }
    log
}

async fn ask(host: &Host<Member>, id: u128, command: MemberCommand) {
    let cause = Cause { actor: "ada".into(), correlation_id: "c".into(), causation_id: None, traceparent: None };
    let meta = CommandMeta { command_id: Uuid::now_v7(), time: Timestamp(1), expected_version: None, only_of: None, cause };
    loop {
        match host.try_execute(Uuid::from_u128(id), command.clone(), meta.clone()).await.unwrap() {
            Ok(_) => return,
            Err(CommandError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(2)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Puts records at a log's end.
fn append(log: &MemoryLog, records: &[RawRecord]) {
    let (acks, _heard) = tokio::sync::mpsc::unbounded_channel();
    for RawRecord { key, payload, headers, .. } in records.iter().cloned() {
        let record = Append { key: String::from_utf8(key.to_vec()).unwrap(), payload: payload.to_vec(), headers };
        log.append(0, record, Tag { epoch: 1, at: 0 }, &acks).unwrap();
    }
}

/// A log that has lost its records from an offset on and got those of another one at the same offsets, in the same run.
fn rewritten(log: &MemoryLog, from: usize, by: &MemoryLog) -> MemoryLog {
    let new = MemoryLog::new(1);
    append(&new, &log.records(0)[..from]);
    append(&new, &by.records(0)[from..]);
    new
}

async fn names(database: &Database) -> Vec<String> {
    let query = Query { filters: Vec::<Filter>::new(), by: &["member_id"], order: Order::Rising, after: None, limit: 1000 };
    database.select::<MemberRow>(&query).await.unwrap().into_iter().map(|row| row.name).collect()
}

/// Reads up to an offset, as a lane would.
async fn read(views: &ViewRunner, log: &MemoryLog, until: i64) -> Result<(), BatchError> {
    let (log, from): (Arc<dyn Log>, _) = (Arc::new(log.clone()), views.start(&source()).await.unwrap());
    let Some(mut replay) = Replay::open(&log, source(), from, until).await.unwrap() else { return Ok(()) };
    while let Some(batch) = replay.next().await.unwrap() {
        views.apply(&batch).await?;
    }
    Ok(())
}

fn parts(log: Arc<dyn Log>) -> BuildingParts {
    BuildingParts {
        logs: [("members", log)].into(),
        partitions: [("members", 1)].into(),
        stop: CancellationToken::new(),
        tell: Arc::new(|_, _| {}),
    }
}

async fn until_built(database: &Database, table: &str) {
    tokio::time::timeout(Duration::from_secs(30), async {
        while database.building(table).is_some() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("it is built in time");
}

async fn runner(database: &Database, views: Vec<projections::ErasedView>) -> Arc<ViewRunner> {
    Arc::new(ViewRunner::new("members", database.clone(), views, codecs()).await.unwrap())
}

/// As in the torture with seed 2: the one view was built up to the log's end, the others had not read so far yet, and then the log lost its
/// last records and got others.
#[tokio::test]
async fn readers_do_not_carry_a_view_that_stands_further_on_past_what_it_has_read_and_the_log_has_lost() {
    let (old, other) = (written(0..10).await, written(100..112).await);
    let new = rewritten(&old, 15, &other);
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner(&database, vec![erased::<Members>(), erased::<Addresses>()]).await;
        read(&views, &old, 15).await.unwrap();
        read(&*runner(&database, vec![erased::<Members>()]).await, &old, 21).await.unwrap();
        assert_eq!(names(&database).await.len(), 10, "{}: one view stands further on", fresh.kind);
        assert_eq!(views.start(&source()).await.unwrap().next, 15, "{}: the other does not", fresh.kind);
        let passed = read(&views, &new, 25).await;
        assert!(matches!(passed, Err(BatchError::Moved(_))), "{}: {passed:?}", fresh.kind);
        let mut held = Vec::new();
        for place in views.further(&source()).await.unwrap() {
            held.push((place.next, is_anchored(&new, 0, place).await.unwrap()));
        }
        held.sort_unstable();
        assert_eq!(held, [(15, true), (21, false)], "{}: their reader finds out why", fresh.kind);
    }
}

#[tokio::test]
async fn readers_do_not_carry_a_view_on_that_stands_where_they_do_and_has_read_another_record() {
    let (old, other) = (written(0..10).await, written(100..112).await);
    let new = rewritten(&old, 15, &other);
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner(&database, vec![erased::<Members>(), erased::<Addresses>()]).await;
        read(&*runner(&database, vec![erased::<Members>()]).await, &old, 21).await.unwrap();
        read(&*runner(&database, vec![erased::<Addresses>()]).await, &new, 21).await.unwrap();
        let (log, from): (Arc<dyn Log>, _) = (Arc::new(new.clone()), views.further(&source()).await.unwrap());
        let mut refused = 0;
        for from in from {
            let Ok(Some(mut replay)) = Replay::open(&log, source(), from, 25).await else { continue };
            let batch = replay.next().await.unwrap().unwrap();
            assert!(matches!(views.apply(&batch).await, Err(BatchError::Moved(_))), "{}", fresh.kind);
            refused += 1;
        }
        assert_eq!(refused, 1, "{}: one of the two has read what the log holds", fresh.kind);
    }
}

async fn what_is_folded_of(log: &MemoryLog, fresh: &Fresh) -> Vec<String> {
    let database = fresh.open().await;
    let views = runner(&database, vec![erased::<Members>()]).await;
    read(&views, log, log.end(0).await.unwrap()).await.unwrap();
    names(&database).await
}

/// The log loses its last records after all of it was folded into the shadow, and before the shadow has taken the view's place.
#[tokio::test]
async fn a_building_whose_log_loses_what_was_folded_begins_again() {
    let (old, other) = (written(0..10).await, written(100..112).await);
    for from in [15, 21] {
        let new = if from == 15 { rewritten(&old, from, &other) } else { shortened(&old) };
        for (fresh, whole) in support::fresh().iter().zip(support::fresh()) {
            let database = fresh.open().await;
            let views = runner(&database, vec![erased::<Members>()]).await;
            read(&views, &old, 21).await.unwrap();
            let log = Arc::new(Cut { old: old.clone(), new: new.clone(), reads: AtomicU64::new(0) });
            views.start_building(parts(log.clone()));
            views.rewritten(&source(), &new).await.unwrap();
            let due = what_is_folded_of(&new, &whole).await;
            tokio::time::timeout(Duration::from_secs(20), async {
                while names(&database).await != due {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            })
            .await
            .unwrap_or_else(|_| panic!("{}: lost rows stay", fresh.kind));
            until_built(&database, "members").await;
            assert!(log.reads.load(Ordering::Relaxed) > 1, "{}: it was read again", fresh.kind);
        }
    }
}

/// A log that has lost its last records and got none.
fn shortened(log: &MemoryLog) -> MemoryLog {
    let new = MemoryLog::new(1);
    append(&new, &log.records(0)[..15]);
    new
}

/// A log that loses its tail once it has been read from its beginning.
struct Cut {
    old: MemoryLog,
    new: MemoryLog,
    reads: AtomicU64,
}

impl Cut {
    fn now(&self) -> &MemoryLog {
        if self.reads.load(Ordering::Relaxed) == 0 { &self.old } else { &self.new }
    }
}

#[async_trait::async_trait]
impl Log for Cut {
    fn append(&self, _: i32, _: Append, _: Tag, _: &tokio::sync::mpsc::UnboundedSender<event_store::Ack>) -> Result<(), NotQueued> {
        Err(NotQueued::Broken)
    }

    async fn end(&self, partition: i32) -> Result<i64, LogError> {
        self.now().end(partition).await
    }

    async fn read(&self, partition: i32, from: i64) -> Result<Box<dyn Cursor>, LogError> {
        let cursor = self.now().read(partition, from).await;
        self.reads.fetch_add(1, Ordering::Relaxed);
        cursor
    }
}

/// A shadow, or a version that is not finished, may have been folded before the log lost records, by a process that was ended since.
#[tokio::test]
async fn a_building_that_goes_on_after_a_restart_looks_whether_the_log_holds_what_was_folded() {
    let (old, other) = (written(0..10).await, written(100..112).await);
    let new = rewritten(&old, 15, &other);
    for fresh in support::fresh() {
        let database = fresh.open().await;
        let views = runner(&database, vec![erased::<Stories>()]).await;
        read(&views, &old, 21).await.unwrap();
        let unfinished = "UPDATE view_versions SET state = 'building' WHERE view = 'stories' AND reader <> 'before'";
        let answers = "INSERT INTO view_versions SELECT 'before', view, base, 'stories_before', 'another', columns, 'ready', since FROM view_versions";
        raw::run(&fresh.url, "CREATE TABLE stories_before (position TEXT PRIMARY KEY, member TEXT, \"offset\" BIGINT)").await;
        raw::run(&fresh.url, answers).await;
        raw::run(&fresh.url, unfinished).await;
        let database = fresh.open().await;
        let views = runner(&database, vec![erased::<Stories>()]).await;
        assert!(database.building(StoryRow::SPEC.name).is_some(), "{}", fresh.kind);
        views.start_building(parts(Arc::new(new.clone())));
        until_built(&database, StoryRow::SPEC.name).await;
        let query = Query { filters: Vec::<Filter>::new(), by: &["position"], order: Order::Rising, after: None, limit: 1000 };
        let rows: Vec<StoryRow> = database.select(&query).await.unwrap();
        let lost: Vec<_> = (0..10).map(|id| Uuid::from_u128(id).to_string()).collect();
        let kept = rows.iter().filter(|row| lost.contains(&row.member)).map(|row| row.offset).max();
        assert_eq!((rows.len(), kept), (24, Some(14)), "{}: nothing of what is lost", fresh.kind);
    }
}

#[path = "support/raw.rs"]
#[allow(dead_code)]
mod raw;
