//! A view of another version is built beside the old one inside the running process, and takes its place; so is one whose log was written
//! anew.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/library.rs"]
#[allow(dead_code)]
mod library;
#[path = "support/raw.rs"]
#[allow(dead_code)]
mod raw;
mod support;

use event_sourcing::{Cause, Recorded, Timestamp};
use event_store::{
    Batch, BatchError, BatchHandler, Checkpoint, CommandMeta, Host, Hosted, LocalOwner, Log, MemoryLog, NodeName, PartitionId, Passed,
    Replay, WriterConfig,
};
use library::{Joined, Left, Member, MemberCommand, MemberEvent, MemberRow, Members, Renamed, codecs};
use parking_lot::Mutex;
use projections::{BuildingParts, Column, Database, DatabaseError, Filter, Logs, Order, Query, Table, TableSpec, View, ViewRunner, erased};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use support::Fresh;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The members as a later build has them: with a column and an index more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct CountedRow {
    member_id: Uuid,
    name: String,
    #[serde(default)]
    names: i64,
}

impl Table for CountedRow {
    const SPEC: TableSpec = TableSpec {
        name: "members",
        key: "member_id",
        columns: &[Column::text("member_id"), Column::text("name"), Column::integer("names")],
        indexes: &[&["names", "member_id"]],
    };
}

/// The view with how many names each member has had. The fold of an `Other` build counts by tens.
struct CountedMembers<const BY: i64>;

impl<const BY: i64> View for CountedMembers<BY> {
    const NAME: &'static str = "members";
    const FOLD: u64 = BY as u64;
    type Event = MemberEvent;
    type Key = Uuid;
    type Row = CountedRow;

    fn keys(event: &Recorded<MemberEvent>) -> impl Iterator<Item = Uuid> {
        std::iter::once(event.aggregate_id)
    }

    fn apply(row: Option<CountedRow>, record: &Recorded<MemberEvent>) -> Option<CountedRow> {
        match record.event.clone() {
            MemberEvent::Joined(Joined { name, email: _ }) => Some(CountedRow { member_id: record.aggregate_id, name, names: BY }),
            MemberEvent::Renamed(Renamed { name }) => row.map(|row| CountedRow { name, names: row.names + BY, ..row }),
            MemberEvent::Left(Left {}) => None,
        }
    }
}

/// A log with a writer.
struct World {
    log: Arc<dyn Log>,
    host: Host<Member>,
}

impl World {
    async fn start() -> Self {
        let log: Arc<dyn Log> = Arc::new(MemoryLog::new(2));
        let node = NodeName { owner: "a".into(), address: "127.0.0.1:0".into() };
        let host = Host::<Member>::new(log.clone(), 2, codecs().schemas().clone(), node, WriterConfig::default());
        (0..2).for_each(|partition| host.start(partition));
        Self { log, host }
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
            self.ask(id, MemberCommand::Rename { name: format!("V{id}") }).await;
        }
    }

    /// Lets the readers of a build read all there is, as a lane would.
    async fn project(&self, views: &ViewRunner) {
        for partition in 0..2 {
            let source = PartitionId { service: "members".into(), partition };
            while let Err(BatchError::Moved(_)) = self.project_one(views, &source).await {}
        }
    }

    async fn project_one(&self, views: &ViewRunner, source: &PartitionId) -> Result<(), BatchError> {
        let (from, end) = (views.start(source).await.unwrap(), self.log.end(source.partition).await.unwrap());
        let Some(mut replay) = Replay::open(&self.log, source.clone(), from, end).await.unwrap() else { return Ok(()) };
        while let Some(batch) = replay.next().await.unwrap() {
            views.apply(&batch).await?;
        }
        Ok(())
    }

    /// What the views of a process are built of, and what it says of that.
    fn parts(&self, stop: &CancellationToken) -> (BuildingParts, Arc<Mutex<Vec<bool>>>) {
        let logs: Logs = [("members", self.log.clone())].into();
        let told = Arc::new(Mutex::new(Vec::new()));
        let (heard, stop) = (told.clone(), stop.clone());
        let tell = Arc::new(move |_: &str, why: Option<String>| heard.lock().push(why.is_some()));
        (BuildingParts { logs, partitions: [("members", 2)].into(), stop, tell }, told)
    }
}

async fn runner<V: View>(database: &Database) -> Arc<ViewRunner> {
    Arc::new(ViewRunner::new("members", database.clone(), vec![erased::<V>()], codecs()).await.unwrap())
}

fn all(by: &'static [&'static str]) -> Query {
    Query { filters: Vec::<Filter>::new(), by, order: Order::Rising, after: None, limit: 1000 }
}

async fn rows<T: Table>(database: &Database) -> Vec<T> {
    database.select(&all(&["member_id"])).await.unwrap()
}

async fn until_built(database: &Database) {
    tokio::time::timeout(Duration::from_secs(30), async {
        while database.building("members").is_some() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("it is built in time");
}

/// A database as the first build leaves it, with so many members.
async fn old_build(fresh: &Fresh, world: &World, members: u128) {
    let database = fresh.open().await;
    let views = runner::<Members>(&database).await;
    world.join(0..members).await;
    world.project(&views).await;
    assert_eq!(rows::<MemberRow>(&database).await.len(), members as usize);
    database.close().await;
}

#[tokio::test]
async fn a_later_build_answers_from_the_old_rows_until_its_own_are_there() {
    for fresh in support::fresh() {
        let world = World::start().await;
        old_build(&fresh, &world, 30).await;
        let (database, stop) = (fresh.open().await, CancellationToken::new());
        let views = runner::<CountedMembers<1>>(&database).await;
        world.join(30..35).await;
        // The process is up, and what it builds has not begun.
        let old: Vec<CountedRow> = rows(&database).await;
        assert_eq!((old.len(), old[3].name.as_str(), old[3].names), (30, "V3", 0), "{}: the old rows, without the column", fresh.kind);
        let why = database.building("members").unwrap();
        assert!(why.contains("members"), "{why}");
        let by_the_new = database.select::<CountedRow>(&all(&["names", "member_id"])).await;
        assert!(matches!(by_the_new, Err(DatabaseError::Building(_))), "{}: {by_the_new:?}", fresh.kind);
        // The readers of other views would go on meanwhile: this one's readers stand where the old build stood, and write nothing.
        world.project(&views).await;
        assert_eq!(rows::<CountedRow>(&database).await.len(), 30, "{}", fresh.kind);
        let (done, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let reading = tokio::spawn({
            let (database, done, looks) = (database.clone(), done.clone(), looks.clone());
            async move {
                while !done.load(Ordering::Relaxed) {
                    let seen = rows::<CountedRow>(&database).await.len();
                    assert!(seen == 30 || seen == 35, "{seen}");
                    assert!(database.row::<CountedRow>(&Uuid::from_u128(3).to_string()).await.unwrap().is_some());
                    looks.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let (parts, told) = world.parts(&stop);
        views.start_building(parts);
        until_built(&database).await;
        done.store(true, Ordering::Relaxed);
        reading.await.unwrap();
        assert!(looks.load(Ordering::Relaxed) > 0);
        let new: Vec<CountedRow> = database.select(&all(&["names", "member_id"])).await.unwrap();
        assert_eq!(new.iter().map(|row| row.names).collect::<Vec<_>>(), [2; 35], "{}: all rows, with the new column", fresh.kind);
        world.ask(3, MemberCommand::Rename { name: "Three".into() }).await;
        world.project(&views).await;
        let three: CountedRow = database.row(&Uuid::from_u128(3).to_string()).await.unwrap().unwrap();
        assert_eq!((three.name.as_str(), three.names), ("Three", 3), "{}: its readers have it", fresh.kind);
        tokio::time::timeout(Duration::from_secs(10), async {
            while told.lock().len() < 2 {
                tokio::task::yield_now().await
            }
        })
        .await
        .unwrap();
        assert_eq!(*told.lock(), [true, false], "{}: it says when it builds, and when it is built", fresh.kind);
        stop.cancel();
    }
}

#[tokio::test]
async fn a_quiet_log_is_read_to_its_end_though_no_further_batch_comes() {
    for fresh in support::fresh() {
        let world = World::start().await;
        old_build(&fresh, &world, 10).await;
        let (database, stop) = (fresh.open().await, CancellationToken::new());
        let views = runner::<CountedMembers<1>>(&database).await;
        views.start_building(world.parts(&stop).0);
        until_built(&database).await;
        for partition in 0..2 {
            let source = PartitionId { service: "members".into(), partition };
            let end = world.log.end(partition).await.unwrap();
            let position = event_sourcing::Position { service: "members".into(), partition, offset: end - 1 };
            let reached =
                database.wait_until_applied(&vec![erased::<CountedMembers<1>>()].into(), &position, Duration::from_secs(10)).await;
            assert!(reached.unwrap(), "{}: {source}", fresh.kind);
        }
    }
}

#[tokio::test]
async fn the_build_before_goes_on_from_where_it_stood_and_answers_what_the_later_one_has_until_then() {
    for fresh in support::fresh() {
        let world = World::start().await;
        old_build(&fresh, &world, 20).await;
        let (later, stop) = (fresh.open().await, CancellationToken::new());
        let views = runner::<CountedMembers<1>>(&later).await;
        views.start_building(world.parts(&stop).0);
        until_built(&later).await;
        world.join(20..25).await;
        world.project(&views).await;
        later.close().await;
        let back = fresh.open().await;
        let views = runner::<CountedMembers<1>>(&back).await;
        assert!(back.building("members").is_none(), "{}: the same build again builds nothing", fresh.kind);
        drop(views);
        let back = fresh.open().await;
        let views = runner::<Members>(&back).await;
        assert!(back.building("members").is_some(), "{}: five members are missing", fresh.kind);
        let lacking = back.select::<MemberRow>(&all(&["member_id"])).await;
        assert!(matches!(lacking, Err(DatabaseError::Building(_))), "{}: the later rows lack its columns: {lacking:?}", fresh.kind);
        let stands = |partition| back_stands(&fresh, partition);
        assert!(stands(0).await > 0 && stands(1).await > 0, "{}: its own rows are kept", fresh.kind);
        views.start_building(world.parts(&stop).0);
        until_built(&back).await;
        assert_eq!(rows::<MemberRow>(&back).await.len(), 25, "{}", fresh.kind);
        world.join(25..26).await;
        world.project(&views).await;
        assert_eq!(rows::<MemberRow>(&back).await.len(), 26, "{}", fresh.kind);
    }
}

/// Where the version of the first build stands.
async fn back_stands(fresh: &Fresh, partition: i32) -> i64 {
    let database = fresh.open().await;
    let views = runner::<Members>(&database).await;
    drop(views);
    let table = raw::value(&fresh.url, "SELECT reader FROM view_versions WHERE view = 'members' AND state = 'replaced'").await;
    let statement = format!("SELECT CAST(next_offset AS TEXT) FROM checkpoints WHERE reader = '{table}' AND partition = {partition}");
    raw::value(&fresh.url, &statement).await.parse().unwrap()
}

#[tokio::test]
async fn another_fold_of_the_same_columns_is_another_version_and_only_the_one_before_is_kept() {
    for fresh in support::fresh() {
        let world = World::start().await;
        old_build(&fresh, &world, 5).await;
        let stop = CancellationToken::new();
        let database = fresh.open().await;
        runner::<CountedMembers<1>>(&database).await.start_building(world.parts(&stop).0);
        until_built(&database).await;
        let database = fresh.open().await;
        runner::<CountedMembers<10>>(&database).await.start_building(world.parts(&stop).0);
        until_built(&database).await;
        assert_eq!(rows::<CountedRow>(&database).await.iter().map(|row| row.names).collect::<Vec<_>>(), [20; 5], "{}", fresh.kind);
        let versions = raw::value(&fresh.url, "SELECT CAST(count(*) AS TEXT) FROM view_versions").await;
        assert_eq!(versions, "2", "{}: the one before is kept, the one before that is gone", fresh.kind);
    }
}

#[tokio::test]
async fn a_building_that_a_restart_breaks_off_goes_on() {
    for fresh in support::fresh() {
        let world = World::start().await;
        old_build(&fresh, &world, 20).await;
        let database = fresh.open().await;
        let views = runner::<CountedMembers<1>>(&database).await;
        // One partition is read, then the process is killed.
        let (mut parts, _) = world.parts(&CancellationToken::new());
        let stop = parts.stop.clone();
        parts.logs = [("members", Arc::new(Broken { log: world.log.clone(), readable: 0 }) as Arc<dyn Log>)].into();
        views.start_building(parts);
        let reader = "SELECT CAST(count(*) AS TEXT) FROM checkpoints JOIN view_versions ON view_versions.reader = checkpoints.reader \
                      WHERE state = 'building'";
        tokio::time::timeout(Duration::from_secs(20), async { while raw::value(&fresh.url, reader).await == "0" {} }).await.unwrap();
        stop.cancel();
        database.close().await;
        let database = fresh.open().await;
        let views = runner::<CountedMembers<1>>(&database).await;
        assert_eq!(rows::<CountedRow>(&database).await[0].names, 0, "{}: the old rows answer still", fresh.kind);
        let (mut parts, _) = world.parts(&CancellationToken::new());
        // What was read is not read again.
        parts.logs = [("members", Arc::new(Broken { log: world.log.clone(), readable: 1 }) as Arc<dyn Log>)].into();
        views.start_building(parts);
        until_built(&database).await;
        assert_eq!(rows::<CountedRow>(&database).await.iter().map(|row| row.names).collect::<Vec<_>>(), [2; 20], "{}", fresh.kind);
    }
}

/// A log of which one partition can be read, and of the others the last record: whoever goes on looks whether it is the one that was read.
struct Broken {
    log: Arc<dyn Log>,
    readable: i32,
}

#[async_trait::async_trait]
impl Log for Broken {
    fn append(
        &self,
        _: i32,
        _: event_store::Append,
        _: event_store::Tag,
        _: &tokio::sync::mpsc::UnboundedSender<event_store::Ack>,
    ) -> Result<(), event_store::NotQueued> {
        Err(event_store::NotQueued::Broken)
    }

    async fn end(&self, partition: i32) -> Result<i64, event_store::LogError> {
        self.log.end(partition).await
    }

    async fn read(&self, partition: i32, from: i64) -> Result<Box<dyn event_store::Cursor>, event_store::LogError> {
        let is_last = from + 1 >= self.log.end(partition).await?;
        if partition == self.readable || is_last {
            self.log.read(partition, from).await
        } else {
            Err(event_store::LogError("broken".into()))
        }
    }
}

#[tokio::test]
async fn a_table_of_a_build_without_versions_is_taken_over_as_it_is_or_answers_until_the_new_one_is_built() {
    for fresh in support::fresh() {
        let world = World::start().await;
        old_build(&fresh, &world, 10).await;
        // As a build without versions has left it.
        let table = raw::table_of(&fresh.url, "members").await;
        let reader = raw::value(&fresh.url, "SELECT reader FROM view_versions").await;
        let by = |of: &str| [format!("{of}_by_joined_at_member_id"), format!("{of}_by_name_joined_at_member_id")];
        raw::run(&fresh.url, &format!("ALTER TABLE {table} RENAME TO members")).await;
        for (old, new) in by(&table).iter().zip(by("members")) {
            if fresh.kind == "postgres" {
                raw::run(&fresh.url, &format!("ALTER INDEX {old} RENAME TO {new}")).await;
            } else {
                raw::run(&fresh.url, &format!("DROP INDEX {old}")).await;
                let columns = new.strip_prefix("members_by_").unwrap().replace("joined_at_member_id", "joined_at, member_id");
                raw::run(&fresh.url, &format!("CREATE INDEX {new} ON members ({})", columns.replace("name_", "name, "))).await;
            }
        }
        raw::run(&fresh.url, &format!("UPDATE checkpoints SET reader = 'members' WHERE reader = '{reader}'")).await;
        raw::run(&fresh.url, "DROP TABLE view_versions").await;
        let database = fresh.open().await;
        let views = runner::<Members>(&database).await;
        assert!(database.building("members").is_none(), "{}: it looks the same", fresh.kind);
        world.join(10..12).await;
        world.project(&views).await;
        assert_eq!(rows::<MemberRow>(&database).await.len(), 12, "{}", fresh.kind);
        assert_eq!(raw::table_of(&fresh.url, "members").await, "members", "{}: the build before could go on with it", fresh.kind);
        raw::run(&fresh.url, "DROP TABLE view_versions").await;
        let database = fresh.open().await;
        let views = runner::<CountedMembers<1>>(&database).await;
        assert_eq!(rows::<CountedRow>(&database).await.len(), 12, "{}: the old table answers", fresh.kind);
        views.start_building(world.parts(&CancellationToken::new()).0);
        until_built(&database).await;
        assert_eq!(rows::<CountedRow>(&database).await.iter().map(|row| row.names).collect::<Vec<_>>(), [2; 12], "{}", fresh.kind);
    }
}

#[tokio::test]
async fn a_view_whose_log_was_written_anew_is_built_anew_while_its_old_rows_answer() {
    for fresh in support::fresh() {
        let (old, world) = (World::start().await, World::start().await);
        let database = fresh.open().await;
        let views = runner::<Members>(&database).await;
        old.join(0..20).await;
        old.project(&views).await;
        // The log is another one, and shorter; the readers find that out.
        world.join(100..105).await;
        views.start_building(world.parts(&CancellationToken::new()).0);
        let source = PartitionId { service: "members".into(), partition: 0 };
        views.rewritten(&source, &*world.log).await.unwrap();
        views.rewritten(&source, &*world.log).await.unwrap();
        let stands = views.start(&source).await.unwrap();
        assert!(
            stands == Checkpoint::default() || database.building("members").is_none(),
            "{}: it is told once more: {stands:?}",
            fresh.kind
        );
        if let Some(why) = database.building("members") {
            assert!(why.contains("members/0 has lost records"), "{}: {why}", fresh.kind);
            assert!([20, 5].contains(&rows::<MemberRow>(&database).await.len()), "{}: the old rows answer", fresh.kind);
        }
        until_built(&database).await;
        let names: Vec<String> = rows::<MemberRow>(&database).await.into_iter().map(|row| row.name).collect();
        assert_eq!(names, ["V100", "V101", "V102", "V103", "V104"], "{}", fresh.kind);
        world.join(105..107).await;
        world.project(&views).await;
        assert_eq!(rows::<MemberRow>(&database).await.len(), 7, "{}: its readers have it again", fresh.kind);
        let from = Checkpoint::new(10_000, None);
        let stale = Batch { source, from, to: Checkpoint::new(10_001, None), records: Vec::new(), passed: Passed::default() };
        assert!(matches!(views.apply(&stale).await, Err(BatchError::Moved(_))), "{}: no reader of the old log goes on", fresh.kind);
    }
}
