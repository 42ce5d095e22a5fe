//! A PostgreSQL that vanishes in the middle of its work, and one that is slow.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

#[path = "support/feed.rs"]
#[allow(dead_code)]
mod feed;
#[path = "support/library.rs"]
#[allow(dead_code)]
mod library;
#[path = "../../tests/src/silence.rs"]
#[allow(dead_code)]
mod silence;
mod support;

use codec::{Access, Registry, RegistryError, Schemas};
use event_store::{Batch, BatchError, BatchHandler};
use feed::Feed;
use futures::future::join_all;
use library::{BookRow, Books, book, codecs, listed, received};
use projections::{Database, ViewRunner, erased};
use silence::{SilentProxy, silent_peer};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use support::Fresh;

/// How long a view may stand still once its database is back.
const MOST: Duration = Duration::from_secs(10);
const PARTITIONS: i32 = 4;
/// Stands in the parameter of the statement that moves checkpoints; a prepared statement's own text is sent once.
const A_STEP: &str = "\"stood\"";

/// A database of PostgreSQL's, by way of a proxy and directly.
struct Stage {
    proxy: SilentProxy,
    database: Database,
    fresh: Fresh,
}

impl Stage {
    /// None where there is no PostgreSQL.
    async fn set() -> Option<Self> {
        let fresh = support::fresh().into_iter().find(|fresh| fresh.kind == "postgres")?;
        let (scheme, rest) = fresh.url.split_once("://").unwrap();
        let (user, rest) = rest.split_once('@').unwrap();
        let (server, name) = rest.split_once('/').unwrap();
        let proxy = SilentProxy::start(server).await;
        let database = Database::open(&format!("{scheme}://{user}@{}/{name}", proxy.address)).await.unwrap();
        Some(Self { proxy, database, fresh })
    }

    async fn views(&self) -> Arc<ViewRunner> {
        views(&self.database).await
    }

    async fn stock(&self) -> Vec<i64> {
        let direct = self.fresh.open().await;
        join_all((0..PARTITIONS).map(|partition| stock_of(&direct, partition))).await
    }
}

async fn views(database: &Database) -> Arc<ViewRunner> {
    Arc::new(ViewRunner::new("silence", database.clone(), vec![erased::<Books>()], codecs()).await.unwrap())
}

async fn stock_of(database: &Database, partition: i32) -> i64 {
    database.row::<BookRow>(&title(partition).1.to_string()).await.unwrap().unwrap().on_hand
}

fn title(partition: i32) -> (String, uuid::Uuid) {
    let title = format!("Book {partition}");
    let id = book(&title);
    (title, id)
}

/// A log of one book.
fn shelf(partition: i32) -> Feed {
    let (mut log, (title, id)) = (Feed::new("books", partition), title(partition));
    log.write(id, 1, &listed(&title));
    log
}

/// Hands a batch on until it is taken, as a lane does. One that is there already was committed, though nobody heard of it.
async fn deliver(views: &ViewRunner, batch: &Batch) {
    loop {
        match views.apply(batch).await {
            Ok(()) => return,
            Err(BatchError::Moved(_)) => {
                if let Ok(standing) = views.start(&batch.source).await {
                    return assert_eq!(standing, batch.to);
                }
            }
            Err(BatchError::Failed(_)) => {}
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Folds `rounds` receipts of one book each, side by side in all partitions; `each` is called after every round.
async fn receive(views: &ViewRunner, logs: &mut [Feed], rounds: i64, each: impl Fn(i64)) -> Duration {
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        for (log, partition) in logs.iter_mut().zip(0..) {
            log.write(title(partition).1, 2, &received(1));
        }
        let batches: Vec<Batch> = logs.iter_mut().map(Feed::batch).collect();
        each(round);
        let began = Instant::now();
        join_all(batches.iter().map(|batch| deliver(views, batch))).await;
        longest = longest.max(began.elapsed());
    }
    longest
}

async fn begun(views: &ViewRunner) -> Vec<Feed> {
    let mut logs: Vec<Feed> = (0..PARTITIONS).map(shelf).collect();
    for log in &mut logs {
        deliver(views, &log.batch()).await;
    }
    logs
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_fall_silent_delay_a_view_by_seconds() {
    let Some(stage) = Stage::set().await else { return };
    let views = stage.views().await;
    let mut logs = begun(&views).await;
    let longest = receive(&views, &mut logs, 30, |round| {
        if round % 10 == 5 {
            stage.proxy.silence_after(A_STEP);
        }
    });
    let longest = longest.await;
    assert_eq!(stage.proxy.times(), 3);
    assert!(longest < MOST, "{longest:?}");
    assert_eq!(stage.stock().await, [30; PARTITIONS as usize]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_not_done_twice() {
    let Some(stage) = Stage::set().await else { return };
    let views = stage.views().await;
    let mut logs = begun(&views).await;
    let longest = receive(&views, &mut logs, 10, |round| {
        if round % 5 == 2 {
            stage.proxy.silence_after("COMMIT");
        }
    });
    assert!(longest.await < MOST);
    assert_eq!(stage.proxy.times(), 2);
    assert_eq!(stage.stock().await, [10; PARTITIONS as usize]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_goes_on_soon_after_a_cut_network_is_mended() {
    let Some(stage) = Stage::set().await else { return };
    let views = stage.views().await;
    let mut logs = begun(&views).await;
    stage.proxy.cut();
    let mended = async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        stage.proxy.mend();
        Instant::now()
    };
    let (_, mended) = futures::future::join(receive(&views, &mut logs, 1, |_| {}), mended).await;
    assert!(mended.elapsed() < MOST, "{:?}", mended.elapsed());
    assert_eq!(stage.stock().await, [1; PARTITIONS as usize]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_vanishes_within_a_transaction_does_not_hold_others_up_for_long() {
    let Some(stage) = Stage::set().await else { return };
    let (vanishing, successor) = (stage.views().await, views(&stage.fresh.open().await).await);
    let mut logs = begun(&vanishing).await;
    logs[0].write(title(0).1, 2, &received(1));
    let batch = logs[0].batch();
    // It holds its checkpoint's lock when it writes this row.
    stage.proxy.silence_after("Book 0");
    let (lost, given) = (vanishing.clone(), batch.clone());
    let vanished = tokio::spawn(async move { lost.apply(&given).await });
    stage.proxy.silenced().await;
    vanished.abort();
    let began = Instant::now();
    deliver(&successor, &batch).await;
    assert!(began.elapsed() < MOST, "{:?}", began.elapsed());
    assert_eq!(stage.stock().await[0], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_rows_are_answered_again_after_their_connections_fell_silent() {
    let Some(stage) = Stage::set().await else { return };
    begun(&*stage.views().await).await;
    // More than the pool has connections.
    let ask = || join_all((0..40).map(|number| stock_of(&stage.database, number % PARTITIONS)));
    ask().await;
    stage.proxy.silence();
    let key = title(0).1.to_string();
    let failed = tokio::time::timeout(MOST, join_all((0..40).map(|_| stage.database.row::<BookRow>(&key)))).await;
    assert!(failed.is_ok(), "each request ends, whichever way");
    let began = Instant::now();
    assert_eq!(ask().await, [0; 40]);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_slow_is_given_more_time_at_each_attempt() {
    let Some(stage) = Stage::set().await else { return };
    let views = stage.views().await;
    let mut logs = begun(&views).await;
    let own = sqlx::PgPool::connect(&stage.fresh.url).await.unwrap();
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(6); RETURN NEW; END'";
    sqlx::query(slow).execute(&own).await.unwrap();
    sqlx::query("CREATE TRIGGER slow BEFORE UPDATE ON checkpoints FOR EACH STATEMENT EXECUTE FUNCTION slow()").execute(&own).await.unwrap();
    let received = tokio::time::timeout(Duration::from_secs(100), receive(&views, &mut logs[..1], 1, |_| {})).await;
    assert!(received.is_ok(), "it is never written");
    assert_eq!(stage.stock().await[0], 1);
}

#[tokio::test]
async fn a_registry_that_falls_silent_is_waited_for_within_a_bound_at_every_stage() {
    let stages = ["", "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 200\r\n\r\n{\"schema\":"];
    let asked = stages.map(|first| async move {
        let url = format!("http://{}", silent_peer(first).await);
        let (registry, codecs) = (Registry::new(&url, Access::default()).expect("an address"), codecs());
        let connected = tokio::time::timeout(Duration::from_secs(25), Schemas::connect(codecs.schemas().records(), &registry)).await;
        assert!(matches!(connected, Ok(Err(RegistryError::Failed { .. }))), "{first:?}");
    });
    join_all(asked).await;
}
