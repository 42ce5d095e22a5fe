//! Errands that have just come up: each pair of aggregates has a lane, in which one errand follows the other; lanes run side by side.

use crate::{Errand, Status, attempt::Attempts, attempt::Verdict, book::Book, errand::Pair, store::ReactionStore};
use event_store::PartitionId;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// How long an errand is tried before it is put by, counted from its first attempt: a checkpoint waits no longer for the world outside.
pub(crate) const GRACE: Duration = Duration::from_millis(300);
/// The pauses between attempts before that.
const PAUSES: [Duration; 4] = [Duration::from_millis(10), Duration::from_millis(20), Duration::from_millis(40), Duration::from_millis(80)];
/// When the row of an errand whose first attempt still runs is due: at once for a process that takes the partition over, since the attempt has
/// ended with this one.
const UNDER_WAY: i64 = 1_000;
/// How often a database that does not answer is asked again.
const AGAIN: Duration = Duration::from_millis(200);

/// Where a fresh errand stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// It has not been tried yet.
    Queued,
    /// It is being tried since then.
    Tried(Instant),
    /// It is to be put by as it is.
    Left,
    /// There is nothing more to do.
    Settled,
}

/// Whether a fresh errand has a row in the database.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Row {
    /// The batch has not decided to put it by.
    None,
    /// The batch is about to write it.
    Claimed,
    /// It is there.
    Written,
}

/// A fresh errand, between the lane that tries it and the batch that waits for it.
pub(crate) struct Fresh {
    errand: Mutex<Errand>,
    /// Both change under one lock: either the lane settles the errand before the batch claims a row, or it learns of the row.
    state: watch::Sender<(Stage, Row)>,
    /// Whether it may have been done before.
    may_be_done: bool,
}

impl Fresh {
    fn new(errand: Errand, may_be_done: bool) -> Arc<Self> {
        Arc::new(Self { errand: Mutex::new(errand), state: watch::Sender::new((Stage::Queued, Row::None)), may_be_done })
    }

    /// Sets the stage and answers whether there is a row, or will be.
    fn enter(&self, next: Stage) -> Row {
        let mut known = Row::None;
        self.state.send_modify(|(stage, row)| {
            *stage = next;
            known = *row;
        });
        known
    }

    /// Waits until it is settled or is to be put by; then answers the row. From here on the lane changes the row, not the memory.
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

    /// Claims a row, unless the errand was settled meanwhile.
    fn claim_row(&self, book: &Book) -> Option<Errand> {
        let mut claimed = None;
        self.state.send_if_modified(|(stage, row)| {
            if *stage == Stage::Settled {
                return false;
            }
            // Read under the lock: the lane writes what came of an attempt before it leaves, and counts on the row to say so.
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

    /// The row is there now.
    pub fn written(&self) {
        self.state.send_modify(|(_, row)| *row = Row::Written);
    }

    /// The row was not written, and never will be: another process has gone on from here, or what led to it is taken up once more.
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

    /// Whether the row is there; waits until that is decided.
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

/// Whose lane it is.
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

    /// Sets an errand going, behind those before it between the same two aggregates.
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

    /// Tries the errands of a lane one after the other, until there are none or one has to be put by, and those behind it with it.
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

    /// Tries the first errand of a lane. When it is put by while it is being tried, those behind it are left to the database at once: their
    /// batches must not wait for an attempt that hangs, and the worker takes them up in order.
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

    /// True once the errand is settled; false where it is left to the database.
    async fn go(self: &Arc<Self>, fresh: &Arc<Fresh>) -> bool {
        let begun = Instant::now();
        fresh.enter(Stage::Tried(begun));
        let mut pauses = PAUSES.iter();
        let mut may_be_done = fresh.may_be_done;
        loop {
            let mut errand = fresh.errand.lock().clone();
            let verdict = self.attempts.attempt(&mut errand, may_be_done).await;
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

    /// Settled; where it was put by meanwhile, its row goes once it is there. Nobody waits for that: the batch that writes the row may
    /// itself wait for an errand behind this one.
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

    /// Left to the database; where it was put by while it was tried, its row learns how that ended.
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

/// Asks a database until it answers.
pub(crate) async fn until_it_answers<T, F: Future<Output = Result<T, String>>>(what: &str, ask: impl Fn() -> F) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => {
                tracing::warn!(what, error, "the database has to be asked again");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// True for errands that nobody tries by themselves any more.
pub(crate) fn is_dead(errand: &Errand) -> bool {
    errand.status == Status::Dead
}
