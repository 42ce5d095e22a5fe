//! Starts a part again that ended by a defect, and ends the node where that does not help: one that serves nothing must not look ready.

use futures::FutureExt;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// A part that meets more defects than this within [`WITHIN`] ends the node.
pub(crate) const MOST_DEFECTS: usize = 4;
const WITHIN: Duration = Duration::from_secs(60);
/// How long a part rests before it is started again.
pub(crate) const REST: Duration = Duration::from_millis(500);

/// Watches the parts of a node. Clones watch the same node.
#[derive(Clone, Default)]
pub struct Supervisor(Arc<Watch>);

#[derive(Default)]
struct Watch {
    stop: CancellationToken,
    /// Why the node has to end.
    why: Mutex<Option<String>>,
}

impl Supervisor {
    /// Of a node that `stop` ends.
    pub fn new(stop: CancellationToken) -> Self {
        Self(Arc::new(Watch { stop, why: Mutex::default() }))
    }

    /// Cancelled when the node is to end.
    pub fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Why the node had to end; none where nothing but a signal ended it.
    pub fn why(&self) -> Option<String> {
        self.0.why.lock().clone()
    }

    /// Ends the node. The first reason is the one that is kept.
    pub fn end_because(&self, why: String) {
        tracing::error!(why, "this node ends");
        self.0.why.lock().get_or_insert(why);
        self.0.stop.cancel();
    }

    /// Runs a part until it returns or the node stops. Where it panics, it is made anew and started again.
    pub fn spawn<F: Future<Output = ()> + Send>(&self, part: impl Into<String>, make: impl Fn() -> F + Send + 'static) {
        let (this, part) = (self.clone(), part.into());
        tokio::spawn(async move {
            let mut defects = Defects::default();
            while !this.stop().is_cancelled() && AssertUnwindSafe(make()).catch_unwind().await.is_err() {
                if !this.may_go_on(&part, &mut defects) {
                    return;
                }
                tokio::time::sleep(REST).await;
            }
        });
    }

    /// Notes a defect of a part. True where it is to be started again; false where it met too many, so that the node ends.
    pub(crate) fn may_go_on(&self, part: &str, defects: &mut Defects) -> bool {
        if defects.are_too_many(Instant::now()) {
            self.end_because(format!("{part} met a defect {} times within a minute", MOST_DEFECTS + 1));
            return false;
        }
        tracing::error!(part, "a defect, which the line above names; it is started again");
        true
    }

    /// Runs a part once, to its end: where it panics, the node ends.
    pub fn spawn_to_the_end(&self, part: &'static str, run: impl Future<Output = ()> + Send + 'static) {
        let this = self.clone();
        tokio::spawn(async move {
            if AssertUnwindSafe(run).catch_unwind().await.is_err() {
                this.end_because(format!("{part} met a defect"));
            }
        });
    }

    /// Runs a part that cannot be started again: where it panics, or returns an error or before the node stops, the node ends.
    pub fn spawn_once<E: ToString>(
        &self,
        part: &'static str,
        run: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let this = self.clone();
        tokio::spawn(async move {
            let why = match AssertUnwindSafe(run).catch_unwind().await {
                Ok(Ok(())) if this.stop().is_cancelled() => return,
                Ok(Ok(())) => "it ended by itself".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(_panic) => "it met a defect".to_owned(),
            };
            this.end_because(format!("{part} has failed: {why}"));
        })
    }
}

/// When a part met a defect.
#[derive(Debug, Default)]
pub(crate) struct Defects(VecDeque<Instant>);

impl Defects {
    /// Notes one; true when there were too many lately.
    fn are_too_many(&mut self, now: Instant) -> bool {
        self.0.retain(|met| now.saturating_duration_since(*met) < WITHIN);
        self.0.push_back(now);
        self.0.len() > MOST_DEFECTS
    }
}

/// Runs what a thread does until it returns. After a panic, which the hook has said, calls `mend` and runs it again.
pub(crate) fn whatever_happens(run: impl Fn(), mend: impl Fn()) {
    while catch_unwind(AssertUnwindSafe(&run)).is_err() {
        std::thread::sleep(REST / 5);
        // What mends may meet the same defect.
        let _ = catch_unwind(AssertUnwindSafe(&mend));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_part_that_panics_is_started_again_and_one_that_panics_on_ends_the_node() {
        let (supervisor, runs) = (Supervisor::default(), Arc::new(AtomicUsize::new(0)));
        let (counted, done) = (runs.clone(), CancellationToken::new());
        let finished = done.clone();
        supervisor.spawn("a part", move || {
            let (counted, finished) = (counted.clone(), finished.clone());
            async move {
                assert!(counted.fetch_add(1, Ordering::SeqCst) >= 2, "it panics twice");
                finished.cancel();
            }
        });
        done.cancelled().await;
        assert_eq!((runs.load(Ordering::SeqCst), supervisor.why()), (3, None));
        supervisor.spawn("a broken part", || async { panic!("always") });
        supervisor.stop().cancelled().await;
        let why = supervisor.why().expect("a reason");
        assert!(why.contains("a broken part") && why.contains("defect"), "{why}");
    }

    #[tokio::test]
    async fn what_cannot_be_started_again_ends_the_node_however_it_ends() {
        let ends = |run: futures::future::BoxFuture<'static, Result<(), String>>| async {
            let supervisor = Supervisor::default();
            supervisor.spawn_once("the server", run).await.expect("no panic");
            (supervisor.stop().is_cancelled(), supervisor.why().unwrap_or_default())
        };
        for (run, said) in [
            (async { Ok(()) }.boxed(), "ended by itself"),
            (async { Err("no port".to_owned()) }.boxed(), "no port"),
            (async { panic!("a defect") }.boxed(), "defect"),
        ] {
            let (stopped, why) = ends(run).await;
            assert!(stopped && why.contains("the server") && why.contains(said), "{why}");
        }
        let stopped = Supervisor::default();
        stopped.stop().cancel();
        stopped.spawn_once("the server", async { Ok::<(), String>(()) }).await.expect("no panic");
        assert_eq!(stopped.why(), None, "the node was to end");
    }

    #[test]
    fn defects_of_another_minute_do_not_count() {
        let (mut defects, now) = (Defects::default(), Instant::now());
        assert!((0..20).all(|time| !defects.are_too_many(now + WITHIN / 3 * time)));
        assert!((1..=MOST_DEFECTS as u32).any(|_| defects.are_too_many(now + WITHIN / 3 * 20)));
    }

    #[test]
    fn a_thread_mends_and_runs_again() {
        let (runs, mended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        whatever_happens(
            || assert!(runs.fetch_add(1, Ordering::SeqCst) > 0, "the first run fails"),
            || {
                mended.fetch_add(1, Ordering::SeqCst);
            },
        );
        assert_eq!((runs.into_inner(), mended.into_inner()), (2, 1));
    }
}
