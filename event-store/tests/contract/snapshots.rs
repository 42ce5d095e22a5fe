//! Snapshots are caches: an owner that has one reads less, and answers the same. A log in memory is enough for these tests.

use super::{Do, Owner, account, fingerprint, meta, stores::eventually, writing};
use event_sourcing::Aggregate;
use event_store::{
    Ack, Append, CommandError, CommandMeta, Cursor, Log, LogError, MemoryLog, NodeName, NotQueued, OwnerParts, PartitionId, PartitionOwner,
    RawRecord, Tag, WriterConfig,
};
use serde::{Deserialize, Serialize};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc::UnboundedSender;

/// Keeps so little in memory that nearly everything is looked up in the snapshot.
pub fn tight() -> WriterConfig {
    let save_every = Duration::from_millis(2);
    WriterConfig { live_aggregates: 2, recent_commands: 2, save_after: 3, save_every, ..WriterConfig::default() }
}

/// Saves only when it stops.
fn lazy() -> WriterConfig {
    WriterConfig { save_after: usize::MAX, save_every: Duration::from_secs(3600), ..WriterConfig::default() }
}

fn parts(log: Arc<dyn Log>, directory: Option<&Path>, config: WriterConfig) -> OwnerParts {
    let source = PartitionId { service: "accounts".into(), partition: 0 };
    let node = NodeName { owner: "a".into(), address: "127.0.0.1:0".into() };
    OwnerParts { log, source, schemas: crate::account::schemas(), node, config, snapshots: directory.map(Path::to_owned) }
}

pub async fn begin(log: &Arc<dyn Log>, directory: Option<&Path>, config: WriterConfig) -> Owner {
    let owner = Owner::spawn(parts(log.clone(), directory, config));
    writing(&owner).await;
    owner
}

/// The answer to a command, in a form that can be compared.
pub async fn heard<A>(owner: &PartitionOwner<A>, on: u128, command: Do, meta: CommandMeta) -> Result<(u64, i64, u32, bool), String>
where
    A: Aggregate<Command = Do>,
{
    let print = fingerprint(&command);
    let answer = owner.execute(account(on), command, meta, print).await;
    let told = |error: CommandError| match error {
        CommandError::Refused(refused) => refused.message,
        other => format!("{other:?}"),
    };
    answer.map(|accepted| (accepted.version, accepted.position.offset, accepted.events, accepted.repeated)).map_err(told)
}

/// The version of an account, and a refusal, which states its balance.
pub async fn state(owner: &Owner, on: u128) -> (u64, String) {
    let version = owner.read(account(on)).await.expect("an answer").version;
    let refused = heard(owner, on, Do::Withdraw(i64::MAX), meta(u128::MAX - on)).await;
    (version, refused.expect_err("nobody has so much"))
}

const ACCOUNTS: u128 = 20;
const DEPOSITS: u128 = 200;

async fn deposit_all(owner: &Owner) {
    let all = (0..DEPOSITS).map(|id| heard(owner, id % ACCOUNTS, Do::Deposit(id as i64), meta(id)));
    assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
}

/// Checks that every account is as the deposits make it, and that repeats of old and new commands, a reused id and a stale version are
/// noticed.
async fn is_right(owner: &Owner, why: &str) {
    for on in 0..ACCOUNTS {
        let balance: u128 = (0..DEPOSITS).filter(|id| id % ACCOUNTS == on).sum();
        let expected = (u64::try_from(DEPOSITS / ACCOUNTS).expect("few"), format!("the balance is {balance}, {} is wanted", i64::MAX));
        assert_eq!(state(owner, on).await, expected, "{why}: account {on}");
    }
    for id in [0, 1, DEPOSITS / 2, DEPOSITS - 1] {
        let again = heard(owner, id % ACCOUNTS, Do::Deposit(id as i64), meta(id)).await.expect("a repeat");
        assert_eq!(again, ((id / ACCOUNTS) as u64 + 1, id as i64 + 1, 1, true), "{why}: command {id}");
        let other = heard(owner, id % ACCOUNTS, Do::Deposit(-1), meta(id)).await;
        assert_eq!(other, Err("KeyReused".into()), "{why}: command {id}");
    }
    let stale = CommandMeta { expected_version: Some(1), ..meta(1 << 64) };
    let conflict = heard(owner, 3, Do::Deposit(1), stale).await;
    assert_eq!(conflict, Err("Conflict { expected: 1, actual: 10 }".into()), "{why}");
}

/// Counts the records that are read of a log.
struct Counting {
    inner: Arc<dyn Log>,
    read: Arc<AtomicUsize>,
}

struct CountingCursor(Box<dyn Cursor>, Arc<AtomicUsize>);

#[async_trait::async_trait]
impl Log for Counting {
    fn append(&self, partition: i32, record: Append, tag: Tag, acks: &UnboundedSender<Ack>) -> Result<(), NotQueued> {
        self.inner.append(partition, record, tag, acks)
    }

    async fn end(&self, partition: i32) -> Result<i64, LogError> {
        self.inner.end(partition).await
    }

    async fn read(&self, partition: i32, from: i64) -> Result<Box<dyn Cursor>, LogError> {
        Ok(Box::new(CountingCursor(self.inner.read(partition, from).await?, self.read.clone())))
    }
}

#[async_trait::async_trait]
impl Cursor for CountingCursor {
    async fn next(&mut self) -> Result<Vec<RawRecord>, LogError> {
        let records = self.0.next().await?;
        self.1.fetch_add(records.len(), Ordering::Relaxed);
        Ok(records)
    }
}

/// Begins an owner; returns it, and how many records it read before it wrote.
async fn begin_counted(log: &Arc<dyn Log>, directory: Option<&Path>, config: WriterConfig) -> (Owner, usize) {
    let read = Arc::new(AtomicUsize::new(0));
    let counting: Arc<dyn Log> = Arc::new(Counting { inner: log.clone(), read: read.clone() });
    let owner = begin(&counting, directory, config).await;
    (owner, read.load(Ordering::Relaxed))
}

pub fn memory() -> Arc<dyn Log> {
    Arc::new(MemoryLog::new(1))
}

fn file(directory: &Path) -> std::path::PathBuf {
    directory.join("accounts-0.redb")
}

/// A log with the deposits in it, and a directory with their snapshot.
async fn a_past(config: WriterConfig) -> (Arc<dyn Log>, tempfile::TempDir) {
    let (log, directory) = (memory(), tempfile::tempdir().expect("a directory"));
    let owner = begin(&log, Some(directory.path()), config).await;
    deposit_all(&owner).await;
    owner.drain().await;
    (log, directory)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_reads_the_tail_only() {
    for config in [WriterConfig::default(), lazy(), tight()] {
        let (log, directory) = a_past(config).await;
        let (owner, read) = begin_counted(&log, Some(directory.path()), config).await;
        assert!(read <= 3, "the last record, to know the log by, and the claim: {read} were read");
        is_right(&owner, "restarted").await;
        owner.drain().await;
        let (_, read) = begin_counted(&log, None, config).await;
        assert!(read > DEPOSITS as usize, "without snapshots all of it: {read}");
    }
}

/// Whether the file, as it is now, lets an owner read only a part of the log; tried on copies of both.
async fn is_saved(log: &MemoryLog, directory: &Path) -> bool {
    let (copy, other): (_, Arc<dyn Log>) = (tempfile::tempdir().expect("a directory"), Arc::new(beginning_of(log, usize::MAX)));
    if std::fs::copy(file(directory), file(copy.path())).is_err() {
        return false;
    }
    let (owner, read) = begin_counted(&other, Some(copy.path()), lazy()).await;
    owner.abort();
    read < DEPOSITS as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_two_saves_the_rest_comes_from_the_log() {
    let (memory, directory) = (MemoryLog::new(1), tempfile::tempdir().expect("a directory"));
    let (log, config): (Arc<dyn Log>, _) = (Arc::new(memory.clone()), WriterConfig { save_after: 15, ..lazy() });
    let owner = begin(&log, Some(directory.path()), config).await;
    for id in 0..DEPOSITS {
        heard(&owner, id % ACCOUNTS, Do::Deposit(id as i64), meta(id)).await.expect("accepted");
    }
    eventually("a save", async || is_saved(&memory, directory.path()).await.then_some(())).await;
    owner.abort();
    let (owner, read) = begin_counted(&log, Some(directory.path()), config).await;
    assert!(read < DEPOSITS as usize, "{read} were read");
    is_right(&owner, "killed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_missing_torn_or_nonsense_is_ignored() {
    let (log, directory) = a_past(WriterConfig::default()).await;
    let path = file(directory.path());
    let whole = std::fs::read(&path).expect("a snapshot");
    let flipped = |index: usize| {
        let mut bytes = whole.clone();
        bytes[index] ^= 0x10;
        Some(bytes)
    };
    let noise = (0..whole.len()).map(|index| ((index * 2_654_435_761) >> 7) as u8).collect();
    let mut damages = vec![("missing", None), ("empty", Some(Vec::new())), ("noise", Some(noise))];
    damages.extend([100, 4_096, whole.len() / 2].map(|length| ("truncated", Some(whole[..length].to_vec()))));
    damages.extend((0..whole.len()).step_by(whole.len() / 20).map(|index| ("flipped", flipped(index))));
    for (damage, bytes) in damages {
        match bytes {
            None => std::fs::remove_file(&path).expect("it was there"),
            Some(bytes) => std::fs::write(&path, bytes).expect("it is written"),
        }
        let owner = begin(&log, Some(directory.path()), tight()).await;
        is_right(&owner, damage).await;
        owner.drain().await;
        let (owner, read) = begin_counted(&log, Some(directory.path()), tight()).await;
        assert!(read <= 3, "{damage}: a new one was made, yet {read} were read");
        owner.drain().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_snapshot_is_brought_up_to_date() {
    let (log, directory) = (memory(), tempfile::tempdir().expect("a directory"));
    let owner = begin(&log, Some(directory.path()), tight()).await;
    for id in 0..10 {
        heard(&owner, id % ACCOUNTS, Do::Deposit(id as i64), meta(id)).await.expect("accepted");
    }
    owner.drain().await;
    let old = std::fs::read(file(directory.path())).expect("a snapshot");
    let owner = begin(&log, Some(directory.path()), tight()).await;
    for id in 10..DEPOSITS {
        heard(&owner, id % ACCOUNTS, Do::Deposit(id as i64), meta(id)).await.expect("accepted");
    }
    owner.drain().await;
    std::fs::write(file(directory.path()), old).expect("it is written");
    let (owner, read) = begin_counted(&log, Some(directory.path()), tight()).await;
    assert!(read > 190, "{read} were read");
    assert_eq!(state(&owner, 3).await.0, 10);
    assert!(heard(&owner, 5, Do::Deposit(5), meta(5)).await.expect("a repeat").3);
    assert!(heard(&owner, 0, Do::Deposit(180), meta(180)).await.expect("a repeat").3);
}

/// The first records of a log, as another log.
fn beginning_of(log: &MemoryLog, length: usize) -> MemoryLog {
    let (shorter, (acks, _)) = (MemoryLog::new(1), tokio::sync::mpsc::unbounded_channel());
    for record in log.records(0).into_iter().take(length) {
        let key = String::from_utf8(record.key.to_vec()).expect("text");
        let record = Append { key, payload: record.payload.to_vec(), headers: record.headers };
        shorter.append(0, record, Tag { epoch: 0, at: 0 }, &acks).expect("it is queued");
    }
    shorter
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_another_log_is_ignored() {
    let (_, directory) = a_past(WriterConfig::default()).await;
    let other = memory();
    let owner = begin(&other, None, WriterConfig::default()).await;
    for id in 0..2 * DEPOSITS {
        heard(&owner, 1, Do::Deposit(1), meta(1_000 + id)).await.expect("accepted");
    }
    owner.drain().await;
    let owner = begin(&other, Some(directory.path()), WriterConfig::default()).await;
    assert_eq!(state(&owner, 1).await, (400, format!("the balance is 400, {} is wanted", i64::MAX)));
    assert!(!heard(&owner, 0, Do::Deposit(0), meta(0)).await.expect("accepted").3, "the other log knows no command 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_ahead_of_its_log_is_ignored() {
    let (whole, directory) = (MemoryLog::new(1), tempfile::tempdir().expect("a directory"));
    let log: Arc<dyn Log> = Arc::new(whole.clone());
    let owner = begin(&log, Some(directory.path()), WriterConfig::default()).await;
    deposit_all(&owner).await;
    owner.drain().await;
    let snapshot = std::fs::read(file(directory.path())).expect("a snapshot");
    for regrown in [0, 300] {
        std::fs::write(file(directory.path()), &snapshot).expect("it is written");
        let lost: Arc<dyn Log> = Arc::new(beginning_of(&whole, 101));
        // The snapshot's last record stands at its offset again, for the same command but in another run; those before it are for another
        // account.
        let without = begin(&lost, None, WriterConfig::default()).await;
        for id in 101..101 + regrown {
            heard(&without, 1, Do::Deposit(id as i64), meta(id)).await.expect("accepted");
        }
        without.drain().await;
        let expected = state(&begin(&lost, None, WriterConfig::default()).await, 1).await;
        let owner = begin(&lost, Some(directory.path()), WriterConfig::default()).await;
        assert_eq!(state(&owner, 1).await, expected, "{regrown} regrown");
        owner.drain().await;
    }
}

/// The account by other rules: every event is applied twice.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Doubled(super::account::Account);

impl Aggregate for Doubled {
    const NAME: &'static str = "account";
    const FOLD: u64 = 2;
    type Command = Do;
    type Event = super::account::Moved;
    type Error = super::account::Short;

    fn handle(&self, command: Do) -> Result<Vec<Self::Event>, Self::Error> {
        self.0.handle(command)
    }

    fn apply(&mut self, event: &Self::Event) {
        self.0.apply(event);
        self.0.apply(event);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_by_other_rules_is_ignored() {
    let (log, directory) = a_past(WriterConfig::default()).await;
    let owner = PartitionOwner::<Doubled>::spawn(parts(log, Some(directory.path()), WriterConfig::default()));
    let mut claim = owner.claim();
    claim.wait_for(Option::is_some).await.expect("it writes");
    let refused = heard(&owner, 1, Do::Withdraw(i64::MAX), meta(1 << 64)).await.expect_err("nobody has so much");
    let balance: u128 = (0..DEPOSITS).filter(|id| id % ACCOUNTS == 1).sum();
    assert_eq!(refused, format!("the balance is {}, {} is wanted", 2 * balance, i64::MAX));
}

/// Overwrites the saved accounts, or the saved commands, in a way that redb itself does not notice.
fn spoil(directory: &Path, kind: &str) {
    let database = redb::Database::open(file(directory)).expect("a snapshot");
    let write = database.begin_write().expect("it writes");
    let names: Vec<String> = write.list_tables().expect("tables").map(|table| redb::TableHandle::name(&table).to_owned()).collect();
    for name in names.into_iter().filter(|name| name.strip_prefix(kind).is_some_and(|number| number.starts_with(' '))) {
        let definition: redb::TableDefinition<u128, &[u8]> = redb::TableDefinition::new(&name);
        let mut table = write.open_table(definition).expect("the table");
        let keys: Vec<u128> = redb::ReadableTable::iter(&table).expect("rows").map(|row| row.expect("a row").0.value()).collect();
        for key in keys {
            table.insert(key, [0_u8; 24].as_slice()).expect("it is written");
        }
    }
    write.commit().expect("it is written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_turns_out_to_be_wrong_leads_back_to_the_log() {
    for table in ["aggregates", "commands"] {
        let (log, directory) = a_past(tight()).await;
        spoil(directory.path(), table);
        let (owner, read) = begin_counted(&log, Some(directory.path()), tight()).await;
        assert!(read <= 3, "it looks right from outside: {read}");
        is_right(&owner, table).await;
        owner.drain().await;
        let (owner, read) = begin_counted(&log, Some(directory.path()), tight()).await;
        assert!(read <= 3, "a new one was made, yet {read} were read");
        is_right(&owner, table).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_value_met_while_replaying_leads_back_to_the_log() {
    let (log, directory) = a_past(tight()).await;
    let other = begin(&log, None, tight()).await;
    heard(&other, 3, Do::Deposit(0), meta(1 << 64)).await.expect("accepted");
    other.drain().await;
    spoil(directory.path(), "aggregates");
    let owner = begin(&log, Some(directory.path()), tight()).await;
    assert_eq!(state(&owner, 3).await.0, 11);
    assert_eq!(state(&owner, 4).await.0, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_value_met_while_saving_leads_back_to_the_log() {
    let (log, directory) = a_past(tight()).await;
    spoil(directory.path(), "aggregates");
    let owner = begin(&log, Some(directory.path()), tight()).await;
    // No command touches the old accounts; enough new ones are saved, in saves of their own, for the old to be merged with them.
    for id in 0..2 * ACCOUNTS {
        heard(&owner, ACCOUNTS + id, Do::Deposit(1), meta(1_000 + id)).await.expect("accepted");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    owner.drain().await;
    let (owner, read) = begin_counted(&log, Some(directory.path()), tight()).await;
    assert!(read <= 3, "a new one was made, yet {read} were read");
    is_right(&owner, "made anew").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_the_file_in_use_goes_without() {
    let (log, directory) = a_past(WriterConfig::default()).await;
    let first = begin(&log, Some(directory.path()), tight()).await;
    let (second, read) = begin_counted(&log, Some(directory.path()), tight()).await;
    assert!(read > DEPOSITS as usize, "{read}");
    is_right(&second, "second").await;
    is_right(&first, "first").await;
    first.drain().await;
    let (_, read) = begin_counted(&log, Some(directory.path()), tight()).await;
    assert!(read < 20, "the file of the first is whole: {read}");
}
