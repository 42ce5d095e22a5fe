//! Fresh errands: each pair of aggregates has a lane, in which errands run one after another; the lanes run side by side.

use crate::{Errand, Status, attempt::Attempts, attempt::Keep, attempt::Verdict, book::Book, errand::Pair, store::ReactionStore};
use event_store::PartitionId;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// How long a fresh errand is tried before it is put by, from its first attempt on, so that its checkpoint need not wait for the world
/// outside.
pub(crate) const GRACE: Duration = Duration::from_millis(300);
/// The pauses between a fresh errand's attempts.
const PAUSES: [Duration; 4] = [Duration::from_millis(10), Duration::from_millis(20), Duration::from_millis(40), Duration::from_millis(80)];
/// The row of an errand whose first attempt still runs is due after so many milliseconds. This process does not try it before that attempt
/// has ended; a process that takes the partition over does, since the attempt has ended with this one.
const UNDER_WAY: i64 = 1_000;
/// The pause before a database that does not answer is asked again.
const AGAIN: Duration = Duration::from_millis(200);

/// The stage of a fresh errand in its lane.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// It has not been tried yet.
    Queued,
    /// It is being tried, since this instant.
    Tried(Instant),
    /// The lane has left it to the database: it is to be put by.
    Left,
    /// There is nothing more to do.
    Settled,
}

/// Whether a fresh errand has a row in the database.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Row {
    /// No batch has decided to write one.
    None,
    /// The batch is about to write it.
    Claimed,
    /// It is written.
    Written,
}

/// A fresh errand, shared by the lane that tries it and the batch that waits for it.
pub(crate) struct Fresh {
    errand: Mutex<Errand>,
    /// Stage and row change under one lock: either the lane settles the errand before the batch claims a row, or the lane learns of the
    /// row.
    state: watch::Sender<(Stage, Row)>,
    /// Whether an earlier delivery of the event may have done it.
    may_be_done: bool,
}

impl Fresh {
    fn new(errand: Errand, may_be_done: bool) -> Arc<Self> {
        Arc::new(Self { errand: Mutex::new(errand), state: watch::Sender::new((Stage::Queued, Row::None)), may_be_done })
    }

    /// Sets the stage, and answers whether there is or will be a row.
    fn enter(&self, next: Stage) -> Row {
        let mut known = Row::None;
        self.state.send_modify(|(stage, row)| {
            *stage = next;
            known = *row;
        });
        known
    }

    /// Whether there is or will be a row.
    fn row(&self) -> Row {
        self.state.borrow().1
    }

    /// Waits until the errand is settled or has to be put by; for the latter, answers the row to write. From then on the lane has to update
    /// that row.
    pub async fn put_by(&self, book: &Book) -> Option<Errand> {
        let mut state = self.state.subscribe();
        loop {
            let (stage, _) = *state.borrow_and_update();
            let over = match stage {
                Stage::Settled => return None,
                Stage::Left => return self.claim_row(book),
                Stage::Tried(since) if since.elapsed() >= GRACE => return self.claim_row(book),
                Stage::Tried(since) => Some(since + GRACE),
                Stage::Queued => None,
            };
            tokio::select! {
                changed = state.changed() => if changed.is_err() { return None },
                () = until(over) => {}
            }
        }
    }

    /// Claims a row, unless the lane has settled the errand meanwhile.
    fn claim_row(&self, book: &Book) -> Option<Errand> {
        let mut claimed = None;
        self.state.send_if_modified(|(stage, row)| {
            if *stage == Stage::Settled {
                return false;
            }
            // Read under the lock: the lane stores an attempt's result in the errand before it sets the stage, and relies on this row to
            // hold it.
            let mut errand = self.errand.lock().clone();
            if let Stage::Tried(_) = stage {
                errand.due = crate::meta::now().plus_millis(UNDER_WAY);
                errand.reason = "its first attempt still runs".to_owned();
                book.note_running(&errand);
            }
            book.add(&errand.source(), errand.pair());
            *row = Row::Claimed;
            claimed = Some(errand);
            true
        });
        claimed
    }

    /// Notes that the row is written.
    pub fn written(&self) {
        self.state.send_modify(|(_, row)| *row = Row::Written);
    }

    /// Notes that the row is not written and never will be: another process has moved the checkpoint on, or the letter that led to the
    /// errand will be taken up again.
    pub fn abandoned(&self, book: &Book) {
        let errand = self.errand.lock().clone();
        book.take_away(&errand.source(), errand.pair());
        book.end(&errand);
        self.state.send_modify(|(_, row)| *row = Row::None);
    }

    /// Resolves once a batch has claimed its row.
    async fn is_put_by(&self) {
        let claimed = self.state.subscribe().wait_for(|(_, row)| *row != Row::None).await.is_ok();
        debug_assert!(claimed, "the sender lives as long as this");
    }

    /// Whether the row is written; waits until that is decided.
    async fn has_row(&self, known: Row) -> bool {
        if known == Row::None {
            return false;
        }
        let mut state = self.state.subscribe();
        state.wait_for(|(_, row)| *row != Row::Claimed).await.is_ok_and(|state| state.1 == Row::Written)
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// A pair of aggregates in a partition.
type Lane = (PartitionId, Pair);

/// The lanes of a service's reactors.
pub(crate) struct Lanes {
    pub attempts: Arc<Attempts>,
    pub book: Arc<Book>,
    pub store: Arc<dyn ReactionStore>,
    queues: Mutex<HashMap<Lane, VecDeque<Arc<Fresh>>>>,
}

impl Lanes {
    pub fn new(attempts: Arc<Attempts>, book: Arc<Book>, store: Arc<dyn ReactionStore>) -> Arc<Self> {
        Arc::new(Self { attempts, book, store, queues: Mutex::default() })
    }

    /// Appends an errand to the lane of its pair. Where errands of the pair are put by, leaves it to the database, behind them.
    pub fn enqueue(self: &Arc<Self>, errand: Errand, may_be_done: bool) -> Arc<Fresh> {
        let (source, pair) = (errand.source(), errand.pair());
        let fresh = Fresh::new(errand, may_be_done);
        let mut queues = self.queues.lock();
        if self.book.has(&source, &pair) {
            fresh.enter(Stage::Left);
        } else if let Some(queue) = queues.get_mut(&(source.clone(), pair)) {
            queue.push_back(fresh.clone());
        } else {
            queues.insert((source.clone(), pair), VecDeque::from([fresh.clone()]));
            tokio::spawn(self.clone().run((source, pair)));
        }
        fresh
    }

    /// Tries the errands of a lane one after another, until none is left. Where one is not settled, leaves it and those behind it to the
    /// database.
    async fn run(self: Arc<Self>, lane: Lane) {
        loop {
            let first = self.queues.lock().get(&lane).and_then(|queue| queue.front().cloned());
            let Some(fresh) = first else { return };
            let settled = self.first(&lane, &fresh).await;
            let mut queues = self.queues.lock();
            let Some(queue) = queues.get_mut(&lane) else { return };
            queue.pop_front();
            if !settled {
                for behind in queue.drain(..) {
                    behind.enter(Stage::Left);
                }
            }
            if queue.is_empty() {
                queues.remove(&lane);
                return;
            }
        }
    }

    /// Tries the first errand of a lane. If it is put by while an attempt runs, the lane leaves those behind it to the database at once:
    /// their batches must not wait for an attempt that hangs, and the worker takes them up in order.
    async fn first(self: &Arc<Self>, lane: &Lane, fresh: &Arc<Fresh>) -> bool {
        let mut going = pin!(self.go(fresh));
        tokio::select! {
            settled = &mut going => return settled,
            () = fresh.is_put_by() => {}
        }
        if let Some(queue) = self.queues.lock().get_mut(lane) {
            for behind in queue.drain(1..) {
                behind.enter(Stage::Left);
            }
        }
        going.await
    }

    /// Tries an errand until it is settled (true) or left to the database (false).
    async fn go(self: &Arc<Self>, fresh: &Arc<Fresh>) -> bool {
        let begun = Instant::now();
        fresh.enter(Stage::Tried(begun));
        let mut pauses = PAUSES.iter();
        let mut may_be_done = fresh.may_be_done;
        loop {
            let mut errand = fresh.errand.lock().clone();
            // Whoever has the partition next does it: to begin it here would make that process wait, or do it twice.
            if self.book.is_closing(&errand.source()) {
                return self.leave(fresh);
            }
            let verdict = self.attempts.attempt(&mut errand, may_be_done, &FreshRow { fresh, store: &*self.store }).await;
            may_be_done = true;
            if verdict == Verdict::Settled {
                return self.settle(fresh);
            }
            let pause = pauses.next().filter(|pause| begun.elapsed() + **pause < GRACE && !matches!(verdict, Verdict::Never(_)));
            if let Some(pause) = pause {
                *fresh.errand.lock() = errand;
                tokio::time::sleep(*pause).await;
                continue;
            }
            self.attempts.note(&mut errand, verdict).await;
            *fresh.errand.lock() = errand;
            return self.leave(fresh);
        }
    }

    /// Marks an errand settled. If it was put by meanwhile, a task removes its row once that is written. The lane does not wait for the
    /// task: the batch that writes the row may itself wait for an errand behind this one.
    fn settle(self: &Arc<Self>, fresh: &Arc<Fresh>) -> bool {
        let row = fresh.enter(Stage::Settled);
        if row != Row::None {
            let (lanes, fresh) = (self.clone(), fresh.clone());
            tokio::spawn(async move { lanes.remove_row(&fresh, row).await });
        }
        true
    }

    async fn remove_row(&self, fresh: &Fresh, row: Row) {
        let errand = fresh.errand.lock().clone();
        if fresh.has_row(row).await {
            until_it_answers("an errand's row", || self.store.remove(&errand.id)).await;
            self.book.take_away(&errand.source(), errand.pair());
        }
        self.book.end(&errand);
    }

    /// Leaves an errand to the database. If it was put by while it was tried, a task writes the attempt's result into its row.
    fn leave(self: &Arc<Self>, fresh: &Arc<Fresh>) -> bool {
        let row = fresh.enter(Stage::Left);
        if row != Row::None {
            let (lanes, fresh) = (self.clone(), fresh.clone());
            tokio::spawn(async move { lanes.rewrite_row(&fresh, row).await });
        }
        false
    }

    async fn rewrite_row(&self, fresh: &Fresh, row: Row) {
        let errand = fresh.errand.lock().clone();
        if fresh.has_row(row).await {
            until_it_answers("an errand's row", || self.store.rewrite(&errand)).await;
        }
        self.book.end(&errand);
    }
}

/// The row of a fresh errand, where it has one.
struct FreshRow<'a> {
    fresh: &'a Fresh,
    store: &'a dyn ReactionStore,
}

#[async_trait::async_trait]
impl Keep for FreshRow<'_> {
    /// A row that is claimed from now on says that the effect is performed; one that was claimed before is rewritten.
    async fn keep(&self, performed: &Errand) {
        *self.fresh.errand.lock() = performed.clone();
        if self.fresh.has_row(self.fresh.row()).await {
            rewrite_once(self.store, performed).await;
        }
    }
}

/// Replaces the row of an errand whose attempt still runs. Where the database does not answer, the end of the attempt writes it.
pub(crate) async fn rewrite_once(store: &dyn ReactionStore, errand: &Errand) {
    if let Err(error) = store.rewrite(errand).await {
        tracing::debug!(errand = errand.id, error, "that an effect is performed is not kept yet");
    }
}

/// Repeats a database call until it succeeds.
pub(crate) async fn until_it_answers<T, F: Future<Output = Result<T, String>>>(what: &str, ask: impl Fn() -> F) -> T {
    let mut failing = None;
    loop {
        match ask().await {
            Ok(answer) => {
                failing.inspect(|since: &Instant| tracing::info!(what, after = ?since.elapsed(), "the database answers again"));
                return answer;
            }
            Err(error) => {
                failing.get_or_insert_with(|| {
                    tracing::warn!(what, error, "the database has to be asked again, until it answers");
                    Instant::now()
                });
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// True for an errand that was given up: only a person's redrive tries it again.
pub(crate) fn is_dead(errand: &Errand) -> bool {
    errand.status == Status::Dead
}
