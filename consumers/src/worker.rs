//! Tries on what is put by: due errands that stand first between their two aggregates, side by side.

use crate::{
    Errand, ReactionStore, Status,
    attempt::{Attempts, Verdict},
    book::Book,
    lanes::until_it_answers,
    meta,
};
use futures::stream::{FuturesUnordered, StreamExt};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How many due errands are looked up at once, and how many are under way at most.
const AT_ONCE: usize = 256;
/// How often the database is asked for due errands while any is put by.
const EVERY: Duration = Duration::from_millis(250);

/// What the worker of a service's reactors works with.
pub(crate) struct Worker {
    pub store: Arc<dyn ReactionStore>,
    pub attempts: Arc<Attempts>,
    pub book: Arc<Book>,
}

impl Worker {
    /// Works until it is stopped; what it has begun it ends.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        let mut look = true;
        loop {
            if look && under_way.len() < AT_ONCE {
                for errand in self.due().await {
                    if self.book.begin(&errand.source(), &errand.id) {
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
        self.store.due(&sources, meta::now(), AT_ONCE as u32).await.unwrap_or_else(|error| {
            tracing::warn!(error, "what is put by cannot be looked up now");
            Vec::new()
        })
    }

    /// True where it is settled, so that what stood behind it may be due.
    async fn one(self: Arc<Self>, errand: Errand) -> bool {
        let (source, id) = (errand.source(), errand.id.clone());
        let settled = self.attempt(errand).await;
        self.book.end(&source, &id);
        settled
    }

    async fn attempt(&self, mut errand: Errand) -> bool {
        match self.attempts.attempt(&mut errand, true).await {
            Verdict::Settled => {
                until_it_answers("an errand's row", || self.store.remove(&errand.id)).await;
                self.book.take_away(&errand.source(), errand.pair());
                true
            }
            verdict => {
                self.attempts.note(&mut errand, verdict).await;
                until_it_answers("an errand's row", || self.store.rewrite(&errand)).await;
                false
            }
        }
    }

    /// Tries a dead errand once more, and begins its patience anew; the reason where it still cannot be done: then it stays dead.
    pub async fn redrive(self: Arc<Self>, errand: Errand) -> Result<(), String> {
        let (source, id) = (errand.source(), errand.id.clone());
        if !self.book.begin(&source, &id) {
            return Err("it is being tried already, or another process has its partition".to_owned());
        }
        let mut errand = Errand { attempts: 0, tries: 0, since: meta::now(), ..errand };
        let verdict = self.attempts.attempt(&mut errand, true).await;
        let outcome = match verdict {
            Verdict::Settled => {
                until_it_answers("an errand's row", || self.store.remove(&id)).await;
                self.book.take_away(&source, errand.pair());
                Ok(())
            }
            Verdict::Later { reason, .. } | Verdict::Never(reason) => {
                let errand = Errand { status: Status::Dead, reason: reason.clone(), ..errand };
                until_it_answers("an errand's row", || self.store.rewrite(&errand)).await;
                Err(reason)
            }
        };
        self.book.end(&source, &id);
        outcome
    }
}
