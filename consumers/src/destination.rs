//! A system outside that effects go to: at most so many attempts at once, each within a time limit, and none for a while after several
//! effects in a row got no answer.

use crate::{Fault, NotNow, Outcome};
use failsafe::{Config, Instrument, StateMachine, backoff::Exponential, failure_policy::ConsecutiveFailures};
use parking_lot::Mutex;
use std::{
    collections::HashSet,
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::sync::Semaphore;

/// The limits of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationConfig {
    /// The longest that one attempt may take.
    pub timeout: Duration,
    /// The most attempts at once; further ones wait.
    pub concurrency: usize,
    /// How many different effects in a row may get no clear answer before it is left alone.
    pub failures: u32,
    /// How long it is left alone the first time; at least a second.
    pub leave_alone: Duration,
    /// The longest time that it is left alone.
    pub leave_alone_at_most: Duration,
}

impl Default for DestinationConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(2),
            concurrency: 32,
            failures: 8,
            leave_alone: Duration::from_secs(1),
            leave_alone_at_most: Duration::from_secs(10),
        }
    }
}

/// A payment gateway, a mail server: a system that fails as a whole.
pub struct Destination {
    name: &'static str,
    config: DestinationConfig,
    breaker: StateMachine<ConsecutiveFailures<Exponential>, Told>,
    bulkhead: Semaphore,
    /// The ids of the effects that failed since the last clear answer. The breaker opens for several different ones only: one effect that
    /// always fails does not mean that the destination is down.
    failed: Mutex<HashSet<String>>,
}

impl Destination {
    /// A destination; its name is for people.
    pub fn new(name: &'static str, config: DestinationConfig) -> Self {
        let first = config.leave_alone.max(Duration::from_secs(1));
        let pauses = failsafe::backoff::exponential(first, config.leave_alone_at_most.max(first));
        let policy = failsafe::failure_policy::consecutive_failures(config.failures, pauses);
        let breaker = Config::new().failure_policy(policy).instrument(Told { name, open: AtomicBool::new(false) }).build();
        Self { name, config, breaker, bulkhead: Semaphore::new(config.concurrency), failed: Mutex::default() }
    }

    /// Runs an attempt at the effect with this id, unless the destination is left alone just now, or the attempt is not to be begun any more
    /// once it has a place.
    pub(crate) async fn attempt(&self, id: &str, goes_on: impl Fn() -> bool, perform: impl Future<Output = Outcome>) -> Outcome {
        // The breaker is asked after the wait for a place: if it opened meanwhile, those who waited do not each run into the time limit.
        let _place = self.bulkhead.acquire().await;
        if !goes_on() {
            return Outcome::NotNow(NotNow::new(Fault::Ours, "its partition is given up here"));
        }
        if !self.breaker.is_call_permitted() {
            return Outcome::NotNow(NotNow::new(Fault::Destination, format!("{} is left alone after its failures", self.name)));
        }
        let outcome = tokio::time::timeout(self.config.timeout, perform).await.unwrap_or_else(|_| {
            let within = self.config.timeout.as_millis();
            Outcome::NotNow(NotNow::new(Fault::Unclear, format!("{} gave no answer within {within} ms", self.name)))
        });
        self.note(id, outcome)
    }

    /// Reports an outcome to the breaker. Any answer is a success to it, a refusal too: effects that are refused for ever do not stop the
    /// others.
    fn note(&self, id: &str, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Done(_) | Outcome::Refused(_) | Outcome::NotNow(NotNow { fault: Fault::Effect, .. }) => {
                self.failed.lock().clear();
                self.breaker.on_success();
                outcome
            }
            Outcome::NotNow(NotNow { fault: Fault::Ours, .. }) => outcome,
            Outcome::NotNow(NotNow { reason, fault: fault @ (Fault::Unclear | Fault::Destination) }) => {
                let fault = if self.is_down(id) { Fault::Destination } else { fault };
                Outcome::NotNow(NotNow { reason, fault })
            }
        }
    }

    /// Counts an effect that got no clear answer; true once so many different ones got none that the destination counts as down.
    fn is_down(&self, id: &str) -> bool {
        let mut failed = self.failed.lock();
        let is_new = failed.insert(id.to_owned());
        let several = failed.len() >= self.config.failures as usize;
        if is_new || several {
            self.breaker.on_error();
        }
        several
    }
}

/// Logs when the breaker opens and when it closes, once for each outage.
struct Told {
    name: &'static str,
    open: AtomicBool,
}

impl Instrument for Told {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        if !self.open.swap(true, Ordering::Relaxed) {
            tracing::warn!(destination = self.name, "a destination answers nobody: it is left alone, and tried from time to time");
        }
    }

    fn on_half_open(&self) {}

    fn on_closed(&self) {
        if self.open.swap(false, Ordering::Relaxed) {
            tracing::info!(destination = self.name, "the destination answers again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails() -> Outcome {
        Outcome::NotNow(NotNow::new(Fault::Unclear, "no"))
    }

    fn fault(outcome: &Outcome) -> Option<Fault> {
        if let Outcome::NotNow(not_now) = outcome { Some(not_now.fault) } else { None }
    }

    #[tokio::test]
    async fn one_effect_that_always_fails_does_not_shut_the_door_for_others() {
        let gateway = Destination::new("the gateway", DestinationConfig::default());
        for _ in 0..50 {
            assert_eq!(fault(&gateway.attempt("a", || true, async { fails() }).await), Some(Fault::Unclear));
        }
        assert_eq!(gateway.attempt("b", || true, async { Outcome::Done(None) }).await, Outcome::Done(None));
    }

    #[tokio::test]
    async fn a_destination_that_fails_many_is_left_alone_and_uses_up_nobodys_attempts() {
        let gateway = Destination::new("the gateway", DestinationConfig::default());
        for id in 0..8 {
            gateway.attempt(&id.to_string(), || true, async { fails() }).await;
        }
        let outcome = gateway.attempt("other", || true, async { panic!("it is left alone") }).await;
        assert_eq!(fault(&outcome), Some(Fault::Destination));
    }

    #[tokio::test]
    async fn silence_ends_at_the_time_limit() {
        let config = DestinationConfig { timeout: Duration::from_millis(20), ..DestinationConfig::default() };
        let gateway = Destination::new("the gateway", config);
        assert_eq!(fault(&gateway.attempt("a", || true, std::future::pending()).await), Some(Fault::Unclear));
    }

    #[tokio::test]
    async fn however_many_effects_are_refused_the_destination_is_not_left_alone() {
        let gateway = Destination::new("the gateway", DestinationConfig::default());
        for id in 0..50 {
            let refused = gateway.attempt(&id.to_string(), || true, async { Outcome::NotNow(NotNow::new(Fault::Effect, "no")) }).await;
            assert_eq!(fault(&refused), Some(Fault::Effect), "the attempt counts");
        }
        assert_eq!(gateway.attempt("b", || true, async { Outcome::Done(None) }).await, Outcome::Done(None));
    }

    #[tokio::test]
    async fn those_who_wait_for_a_place_do_not_each_find_out_that_nobody_answers() {
        let config = DestinationConfig { timeout: Duration::from_millis(20), concurrency: 1, failures: 2, ..DestinationConfig::default() };
        let gateway = Destination::new("the gateway", config);
        let performed = std::sync::atomic::AtomicUsize::new(0);
        let silent = async |id: usize| {
            let perform = async {
                performed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                std::future::pending().await
            };
            gateway.attempt(&id.to_string(), || true, perform).await
        };
        futures::future::join_all((0..10).map(silent)).await;
        assert_eq!(performed.into_inner(), 2, "the breaker opens at the second");
    }
}
