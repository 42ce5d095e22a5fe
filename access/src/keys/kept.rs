//! The keys that are known now, and the one task that renews them.
//!
//! Only the task fetches, so there is never more than one fetch at a time. It fetches every [`REFRESH_EVERY`], and at once for a key that is not known, yet at most
//! once per [`COOL_DOWN`], however many such keys come.
//!
//! Keys that are known are used until a fetch succeeds and brings others, however long that takes: an issuer that is away refuses nobody it knew. So a key that the issuer
//! withdraws while it cannot be reached from here is accepted until it can be.

use super::{FetchKeys, KeySet, Unfetched, VerifyingKey};
use crate::{Rejected, metrics};
use jsonwebtoken::Algorithm;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

/// How often keys are fetched without being asked for, or up to a tenth later.
pub const REFRESH_EVERY: Duration = Duration::from_secs(300);

/// The shortest time from one fetch to another for the sake of an unknown key; also the longest until a failed fetch is tried again.
pub const COOL_DOWN: Duration = Duration::from_secs(30);

/// The longest that a request waits for a fetch.
const WAIT: Duration = Duration::from_secs(5);

/// The longest that a fetch may take, whoever fetches.
const FETCH_WITHIN: Duration = Duration::from_secs(20);

/// The pause after the first failed fetch while no key is known; it doubles up to [`COOL_DOWN`].
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// An issuer's keys, kept fresh by a task that ends with this.
pub(crate) struct KeptKeys {
    known: watch::Receiver<Known>,
    wanted: Arc<Notify>,
    _renewal: AbortOnDropHandle<()>,
}

/// What is known, and when that may change.
#[derive(Clone)]
struct Known {
    keys: Option<Arc<KeySet>>,
    /// Counts the sets: what an earlier set verified is verified anew.
    generation: u64,
    /// Counts the fetches that have ended.
    fetches: u64,
    is_fetching: bool,
    /// From when on a fetch may begin for the sake of an unknown key.
    free_from: Instant,
    /// When the next fetch begins in any case.
    next: Instant,
}

/// A key, and the generation of the set it is in.
pub(crate) struct Found {
    pub(crate) key: Arc<VerifyingKey>,
    pub(crate) generation: u64,
}

impl KeptKeys {
    /// Begins to fetch.
    pub(crate) fn start(issuer: impl FetchKeys) -> Self {
        let now = Instant::now();
        let (known, seen) = watch::channel(Known { keys: None, generation: 0, fetches: 0, is_fetching: true, free_from: now, next: now });
        let wanted = Arc::new(Notify::new());
        let renewal = Renewal { issuer, known, wanted: wanted.clone() };
        Self { known: seen, wanted, _renewal: AbortOnDropHandle::new(tokio::spawn(renewal.run())) }
    }

    /// Counts the sets of keys that there have been.
    pub(crate) fn generation(&self) -> u64 {
        self.known.borrow().generation
    }

    /// True once keys are known.
    pub(crate) fn are_known(&self) -> bool {
        self.known.borrow().keys.is_some()
    }

    /// The key of a token. Where it is not known, waits for a fetch that runs or may begin now, a bounded time.
    pub(crate) async fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Found, Rejected> {
        let seen = self.known.borrow().clone();
        let first = seen.find(kid, algorithm);
        let may_change = matches!(first, Err(Rejected::UnknownKey | Rejected::IssuerUnreachable { .. }));
        if !may_change || !self.is_fetch_due(&seen) {
            return first;
        }
        let mut known = self.known.clone();
        let fetched = timeout(WAIT, known.wait_for(|now| now.fetches > seen.fetches)).await;
        match fetched {
            Ok(Ok(now)) => now.find(kid, algorithm),
            _ => first,
        }
    }

    /// True if a fetch runs, or begins now because it is wanted.
    fn is_fetch_due(&self, seen: &Known) -> bool {
        let may_begin = seen.keys.is_some() && Instant::now() >= seen.free_from;
        if may_begin && !seen.is_fetching {
            self.wanted.notify_one();
        }
        may_begin || seen.is_fetching
    }
}

impl Known {
    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Found, Rejected> {
        let Some(keys) = &self.keys else {
            let retry_after = self.next.saturating_duration_since(Instant::now()).max(FIRST_RETRY);
            return Err(Rejected::IssuerUnreachable { retry_after });
        };
        Ok(Found { key: keys.find(kid, algorithm)?, generation: self.generation })
    }

    fn begin(&mut self) {
        self.is_fetching = true;
        self.free_from = Instant::now() + COOL_DOWN;
    }

    /// Takes what a fetch brought; an error leaves what was known.
    fn take(&mut self, fetched: Result<KeySet, Unfetched>, pause: Duration) {
        self.is_fetching = false;
        self.fetches += 1;
        self.next = Instant::now() + pause;
        let Ok(keys) = fetched else { return };
        if self.keys.as_deref() != Some(&keys) {
            self.generation += 1;
            self.keys = Some(Arc::new(keys));
            info!(generation = self.generation, "the issuer's keys are read");
        }
    }
}

/// The task that fetches.
struct Renewal<F> {
    issuer: F,
    known: watch::Sender<Known>,
    wanted: Arc<Notify>,
}

impl<F: FetchKeys> Renewal<F> {
    async fn run(self) {
        let mut failures = 0;
        loop {
            self.known.send_modify(Known::begin);
            let fetched =
                timeout(FETCH_WITHIN, self.issuer.fetch()).await.unwrap_or(Err(Unfetched::Unreadable("it takes longer than 20 seconds")));
            failures = self.note(&fetched, failures);
            let pause = self.pause(failures);
            self.known.send_modify(|known| known.take(fetched, pause));
            self.wait().await;
        }
    }

    /// Counts and tells what came of a fetch; the number of failures in a row.
    fn note(&self, fetched: &Result<KeySet, Unfetched>, failures: u32) -> u32 {
        match fetched {
            Ok(_) => {
                metrics::fetched();
                0
            }
            Err(error) => {
                metrics::FETCHES.with_label_values(&[error.name()]).inc();
                warn!(%error, "the issuer's keys cannot be read; those that are known stay");
                failures.saturating_add(1)
            }
        }
    }

    fn pause(&self, failures: u32) -> Duration {
        let is_known = self.known.borrow().keys.is_some();
        let pause = match failures {
            0 => REFRESH_EVERY,
            _ if is_known => COOL_DOWN,
            _ => FIRST_RETRY.saturating_mul(1 << (failures - 1).min(5)).min(COOL_DOWN),
        };
        // Nodes that started together do not ask together for ever.
        pause.mul_f64(rand::random_range(1.0..1.1))
    }

    /// Waits until the next fetch is due, or wanted and allowed.
    async fn wait(&self) {
        let (next, free_from) = {
            let known = self.known.borrow();
            (known.next, known.free_from)
        };
        loop {
            tokio::select! {
                () = sleep_until(next) => return,
                () = self.wanted.notified() => if Instant::now() >= free_from { return },
            }
        }
    }
}
