//! Tries the errands that are put by: those that are due and first of their pair, side by side.

use crate::{
    Errand, ReactionStore, Status,
    attempt::{Attempts, Keep, Verdict},
    book::Book,
    lanes::{is_dead, rewrite_once, until_it_answers},
    meta,
};
use event_sourcing::Timestamp;
use futures::stream::{FuturesUnordered, StreamExt};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How many errands of each kind are under way at most: those that wait for a silent destination leave the other kinds their places.
const AT_ONCE: u32 = 64;
/// How often the worker asks the database for due errands while any are put by.
const EVERY: Duration = Duration::from_millis(250);

/// How far apart the clocks of nodes may be, in milliseconds, before a row that one has written is due at once for another.
const APART: i64 = 5_000;

/// The worker of a service's reactors.
pub(crate) struct Worker {
    pub store: Arc<dyn ReactionStore>,
    pub attempts: Arc<Attempts>,
    pub book: Arc<Book>,
}

impl Worker {
    /// Works until it is stopped, and then finishes the attempts that it has begun.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        let mut look = true;
        loop {
            if look {
                for errand in self.due().await {
                    if self.book.begin(&errand) {
                        under_way.push(tokio::spawn(self.clone().one(errand)));
                    }
                }
            }
            let idle = self.book.partitions().is_empty();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(settled) = under_way.next() => look = settled.unwrap_or(false),
                () = self.book.changed(), if idle => look = true,
                () = tokio::time::sleep(EVERY), if !idle => look = true,
            }
        }
        while under_way.next().await.is_some() {}
    }

    async fn due(&self) -> Vec<Errand> {
        let sources = self.book.partitions();
        if sources.is_empty() {
            return Vec::new();
        }
        self.store.due(&sources, self.moments(), AT_ONCE).await.unwrap_or_else(|error| {
            tracing::warn!(error, "what is put by cannot be looked up now");
            Vec::new()
        })
    }

    /// Now, and the latest moment at which a row may be due: what is due later was written by a clock that was ahead.
    fn moments(&self) -> (Timestamp, Timestamp) {
        let now = meta::now();
        (now, now.plus_millis(self.attempts.longest_pause().saturating_add(APART)))
    }

    /// Tries an errand. True where it is settled: the next of its pair may be due.
    async fn one(self: Arc<Self>, errand: Errand) -> bool {
        let settled = match self.as_it_stands(&errand).await {
            Some(mut errand) => self.attempt(&mut errand).await,
            None => true,
        };
        self.book.end(&errand);
        settled
    }

    /// The row of an errand that was begun, where it is still due. An attempt may have ended while the database looked up what is
    /// due: what it found is as it was before. To try that would do an effect again that was done meanwhile, and write over its outcome.
    async fn as_it_stands(&self, errand: &Errand) -> Option<Errand> {
        let row = until_it_answers("an errand's row", || self.store.errand(&errand.id)).await;
        if row.as_ref() != Some(errand) {
            tracing::debug!(errand = errand.id, "its row has changed since it was looked up");
        }
        let (now, latest) = self.moments();
        row.filter(|errand| !is_dead(errand) && (errand.due <= now || errand.due > latest))
    }

    async fn attempt(&self, errand: &mut Errand) -> bool {
        match self.attempts.attempt(errand, true, self).await {
            Verdict::Settled => {
                self.remove(errand).await;
                true
            }
            verdict => {
                self.attempts.note(errand, verdict).await;
                until_it_answers("an errand's row", || self.store.rewrite(errand)).await;
                false
            }
        }
    }

    async fn remove(&self, errand: &Errand) {
        until_it_answers("an errand's row", || self.store.remove(&errand.id)).await;
        self.book.take_away(&errand.source(), errand.pair());
    }

    /// Tries a dead errand once more, its attempts and its time counted anew. Where it still cannot be done it stays dead; the error says
    /// why.
    pub async fn redrive(self: Arc<Self>, id: String) -> Result<(), String> {
        let errand = self.begin_dead(&id).await?.ok_or_else(|| format!("no errand {id} is put by here"))?;
        let mut errand = Errand { attempts: 0, tries: 0, since: meta::now(), ..errand };
        let outcome = match self.attempts.attempt(&mut errand, true, &*self).await {
            Verdict::Settled => {
                self.remove(&errand).await;
                Ok(())
            }
            Verdict::Later { reason, .. } | Verdict::Never(reason) => {
                errand = Errand { status: Status::Dead, reason: reason.clone(), ..errand };
                until_it_answers("an errand's row", || self.store.rewrite(&errand)).await;
                Err(reason)
            }
        };
        self.book.end(&errand);
        outcome
    }

    /// Gives a dead errand up for good; false where there is none of this id.
    pub async fn give_up(self: Arc<Self>, id: String) -> Result<bool, String> {
        let Some(errand) = self.begin_dead(&id).await? else { return Ok(false) };
        self.remove(&errand).await;
        self.book.end(&errand);
        Ok(true)
    }

    /// Reserves a dead errand for this caller; none where no dead errand has this id. [`Book::end`] releases it.
    async fn begin_dead(&self, id: &str) -> Result<Option<Errand>, String> {
        let Some(errand) = self.store.errand(id).await? else { return Ok(None) };
        if !is_dead(&errand) {
            return Err("it is still being tried by itself".to_owned());
        }
        if !self.book.begin(&errand) {
            return Err("it is being tried already, or another process has its partition".to_owned());
        }
        // Read again: an attempt that ended just before may have settled it.
        let found = self.store.errand(id).await;
        if !matches!(&found, Ok(Some(found)) if is_dead(found)) {
            self.book.end(&errand);
        }
        found.map(|found| found.filter(is_dead))
    }
}

#[async_trait::async_trait]
impl Keep for Worker {
    async fn keep(&self, performed: &Errand) {
        rewrite_once(&*self.store, performed).await;
    }
}
