//! Rebuilds of views from a log that a real writer wrote: equal ones, different ones, and swaps while the live view serves.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/library.rs"]
#[allow(dead_code)]
mod library;
#[path = "support/raw.rs"]
#[allow(dead_code)]
mod raw;
mod support;

use event_sourcing::{Cause, Timestamp};
use event_store::{BatchHandler, CommandMeta, Host, Hosted, LocalOwner, Log, MemoryLog, NodeName, PartitionId, Replay, WriterConfig};
use library::{Member, MemberCommand, MemberRow, Members, codecs};
use projections::{Database, Filter, Logs, Order, Progress, Query, RebuildParts, Rebuilding, ViewRunner, erased};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

/// A log of members with its writer and a live view.
struct Live {
    log: Arc<dyn Log>,
    host: Host<Member>,
    database: Database,
    views: ViewRunner,
}

impl Live {
    async fn start(database: Database) -> Self {
        let log: Arc<dyn Log> = Arc::new(MemoryLog::new(2));
        let node = NodeName { owner: "a".into(), address: "127.0.0.1:0".into() };
        let host = Host::<Member>::new(log.clone(), 2, codecs().schemas().clone(), node, WriterConfig::default());
        (0..2).for_each(|partition| host.start(partition));
        let views = ViewRunner::new("members", database.clone(), vec![erased::<Members>()], codecs()).await.unwrap();
        Self { log, host, database, views }
    }

    async fn ask(&self, id: u128, command: MemberCommand) {
        let cause = Cause { actor: "ada".into(), correlation_id: "c".into(), causation_id: None, traceparent: None };
        let meta = CommandMeta { command_id: Uuid::now_v7(), time: Timestamp(1), expected_version: None, only_of: None, cause };
        loop {
            match self.host.try_execute(Uuid::from_u128(id), command.clone(), meta.clone()).await.unwrap() {
                Ok(_) => return,
                Err(event_store::CommandError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(2)).await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn join(&self, ids: std::ops::Range<u128>) {
        for id in ids {
            self.ask(id, MemberCommand::Join { email: format!("u{id}@example.com"), name: format!("U{id}") }).await;
        }
    }

    async fn rename(&self, id: u128, name: &str) {
        self.ask(id, MemberCommand::Rename { name: name.to_owned() }).await;
    }

    /// Lets the live view read everything.
    async fn project(&self) {
        for partition in 0..2 {
            let source = PartitionId { service: "members".into(), partition };
            let (from, end) = (self.views.start(&source).await.unwrap(), self.log.end(partition).await.unwrap());
            let Some(mut replay) = Replay::open(&self.log, source, from, end).await.unwrap() else { continue };
            while let Some(batch) = replay.next().await.unwrap() {
                self.views.apply(&batch).await.unwrap();
            }
        }
    }

    async fn rebuilding(&self, resume: bool) -> Rebuilding {
        let logs: Logs = [("members", self.log.clone())].into();
        let (database, codecs, view) = (self.database.clone(), codecs(), erased::<Members>());
        let parts = RebuildParts { service: "members", view, purpose: "rebuild", resume, database, codecs, logs };
        Rebuilding::begin(parts).await.unwrap()
    }

    async fn names(&self) -> Vec<String> {
        let query = Query { filters: Vec::<Filter>::new(), by: &["member_id"], order: Order::Rising, after: None, limit: 1000 };
        self.database.select::<MemberRow>(&query).await.unwrap().into_iter().map(|row| row.name).collect()
    }
}

fn nobody() -> Progress {
    Arc::new(|_| {})
}

/// Changes live rows behind the projector's back: `{}` stands for the table.
async fn tamper(url: &str, statement: &str) {
    raw::run(url, &statement.replace("{}", &raw::table_of(url, "members").await)).await;
}

#[tokio::test]
async fn a_live_view_is_proved_by_the_log_and_a_changed_row_is_found() {
    for fresh in support::fresh() {
        let live = Live::start(fresh.open().await).await;
        live.join(0..40).await;
        live.rename(7, "Seven").await;
        live.project().await;
        let read = Arc::new(AtomicU64::new(0));
        let counting = read.clone();
        let progress: Progress = Arc::new(move |count| {
            counting.fetch_add(count, Ordering::Relaxed);
        });
        let rebuilding = live.rebuilding(false).await;
        assert_eq!(rebuilding.behind().await.unwrap(), 43, "{}: 41 events and 2 claims", fresh.kind);
        let equal = rebuilding.compare(10, &progress).await.unwrap();
        assert!(equal.is_equal(), "{}: {equal:?}", fresh.kind);
        assert_eq!((equal.rows, equal.rebuilt_rows, read.load(Ordering::Relaxed)), (40, 40, 43), "{}", fresh.kind);
        tamper(&fresh.url, "UPDATE {} SET name = 'Mallory' WHERE name = 'Seven'").await;
        tamper(&fresh.url, "DELETE FROM {} WHERE name = 'U9'").await;
        let differs = live.rebuilding(false).await.compare(1, &nobody()).await.unwrap();
        assert!(!differs.is_equal() && differs.digest != differs.rebuilt_digest, "{}", fresh.kind);
        assert_eq!((differs.rows, differs.rebuilt_rows, differs.differing, differs.differences.len()), (39, 40, 2, 1), "{}", fresh.kind);
        let first = &differs.differences[0];
        let names = (first.live.as_ref().map(|row| row["name"].clone()), first.rebuilt.as_ref().map(|row| row["name"].clone()));
        assert_eq!(names, (Some("Mallory".into()), Some("Seven".into())), "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_rebuilt_view_takes_the_live_ones_place_and_goes_on() {
    for fresh in support::fresh() {
        let live = Live::start(fresh.open().await).await;
        live.join(0..30).await;
        live.project().await;
        tamper(&fresh.url, "UPDATE {} SET name = 'Mallory'").await;
        let rebuilding = live.rebuilding(false).await;
        rebuilding.catch_up(&nobody()).await.unwrap();
        // The live view gets ahead of the shadow: the swap folds the missing records.
        live.join(30..35).await;
        live.project().await;
        assert_eq!(live.names().await.iter().filter(|name| *name == "Mallory").count(), 30, "{}: the old one serves", fresh.kind);
        rebuilding.swap().await.unwrap();
        let names = live.names().await;
        assert_eq!((names.len(), names.contains(&"Mallory".to_owned())), (35, false), "{}", fresh.kind);
        live.join(35..40).await;
        live.rename(0, "Zero").await;
        live.project().await;
        assert_eq!((live.names().await.len(), live.names().await[0].as_str()), (40, "Zero"), "{}", fresh.kind);
        assert!(live.rebuilding(false).await.compare(10, &nobody()).await.unwrap().is_equal(), "{}", fresh.kind);
        let again = live.rebuilding(false).await;
        again.catch_up(&nobody()).await.unwrap();
        again.swap().await.unwrap();
        assert_eq!(live.names().await.len(), 40, "{}: indexes and names were put in order for the next time", fresh.kind);
    }
}

#[tokio::test]
async fn whoever_reads_during_a_swap_sees_the_old_rows_or_the_new_ones_never_less() {
    for fresh in support::fresh() {
        let live = Arc::new(Live::start(fresh.open().await).await);
        live.join(0..50).await;
        live.project().await;
        let (done, reader) = (Arc::new(AtomicU64::new(0)), live.clone());
        let until = done.clone();
        let reading = tokio::spawn(async move {
            let mut looks = 0;
            while until.load(Ordering::Relaxed) == 0 {
                assert_eq!(reader.names().await.len(), 50);
                looks += 1;
            }
            looks
        });
        for _ in 0..3 {
            let rebuilding = live.rebuilding(false).await;
            rebuilding.catch_up(&nobody()).await.unwrap();
            rebuilding.swap().await.unwrap();
        }
        done.store(1, Ordering::Relaxed);
        assert!(reading.await.unwrap() > 0, "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_rebuild_that_was_killed_resumes_or_is_thrown_away() {
    for fresh in support::fresh() {
        let live = Live::start(fresh.open().await).await;
        live.join(0..20).await;
        live.project().await;
        let killed = live.rebuilding(false).await;
        killed.catch_up(&nobody()).await.unwrap();
        drop(killed);
        live.join(20..25).await;
        live.project().await;
        assert_eq!(live.rebuilding(true).await.behind().await.unwrap(), 5, "{}: only what is new is left", fresh.kind);
        assert_eq!(live.rebuilding(false).await.behind().await.unwrap(), 27, "{}: it begins anew", fresh.kind);
        live.rebuilding(false).await.discard().await.unwrap();
        assert_eq!(live.names().await.len(), 25, "{}", fresh.kind);
    }
}
