//! What a reader of a partition waits for, and since when, so that a node that only seems to run says so.

use jiff::{Timestamp, Unit};
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// How long a reader may fail before that counts: a database that restarts is no reason to send requests elsewhere.
const GRACE: Duration = Duration::from_secs(5);
/// How long one batch may take, and how long a reader may stand still before the log's end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Something that a reader waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    since: Instant,
    /// The same by the wall clock, to the second: `2026-12-01T01:05:54Z`.
    clock: String,
    /// For what, in words for an operator.
    why: String,
}

impl Waiting {
    /// Waits from now on.
    pub fn begin(why: impl ToString) -> Self {
        Self::from(Instant::now(), why)
    }

    fn from(since: Instant, why: impl ToString) -> Self {
        Self { since, clock: clock(since.elapsed()), why: why.to_string() }
    }

    /// The same, since when a wait began that has not ended.
    #[must_use]
    pub fn continuing(self, before: Option<Self>) -> Self {
        match before {
            Some(before) => Self { why: self.why, ..before },
            None => self,
        }
    }

    /// For how long.
    pub fn lasted(&self) -> Duration {
        self.since.elapsed()
    }

    /// Why requests should not rely on the reader; none while it has not lasted long. It stays the same as long as the reason does.
    fn trouble(&self, now: Instant, most: Duration) -> Option<String> {
        let lasted = now.saturating_duration_since(self.since);
        (lasted >= most).then(|| format!("{}, since {}", self.why, self.clock))
    }
}

/// The wall clock's time so long ago.
fn clock(ago: Duration) -> String {
    let then = jiff::SignedDuration::try_from(ago).ok().and_then(|ago| Timestamp::now().checked_sub(ago).ok());
    then.and_then(|then| then.round(Unit::Second).ok()).map_or_else(|| "long ago".to_owned(), |then| then.to_string())
}

/// The state of one lane, as it reports it itself.
#[derive(Debug, Default)]
pub(crate) struct LaneHealth(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    begun: bool,
    /// Since when it fails, and why it did so last.
    failing: Option<Waiting>,
    /// Since when it works on a batch.
    busy: Option<Instant>,
    /// The next offset that it reads.
    next: i64,
    /// Where it stood when it was found behind the log's end first, and when that was.
    behind: Option<(i64, Instant)>,
}

impl LaneHealth {
    /// It has its checkpoint, or has read up to this offset.
    pub fn stands(&self, next: i64) {
        let mut state = self.0.lock();
        (state.begun, state.next) = (true, next);
    }

    /// It hands a batch on.
    pub fn works(&self) {
        self.0.lock().busy.get_or_insert_with(Instant::now);
    }

    /// What it tried has succeeded; answers for how long it had failed before, where it had.
    pub fn succeeded(&self) -> Option<Duration> {
        let mut state = self.0.lock();
        state.busy = None;
        state.failing.take().map(|failing| failing.since.elapsed())
    }

    /// What it tried has failed; it tries again. True where it did not fail before.
    pub fn failed(&self, why: &impl ToString) -> bool {
        let mut state = self.0.lock();
        state.busy = None;
        let before = state.failing.take();
        let is_news = before.is_none();
        state.failing = Some(Waiting::begin(why.to_string()).continuing(before));
        is_news
    }

    /// How many offsets it is behind the log's end.
    pub fn lag(&self, end: i64) -> i64 {
        end.saturating_sub(self.0.lock().next).max(0)
    }

    /// What it waits for now, however short a time; `end` is the log's end, where it is known.
    pub fn waiting(&self, now: Instant, end: Option<i64>) -> Option<Waiting> {
        self.0.lock().waiting(now, end).map(|(waiting, _)| waiting)
    }

    /// Why requests should not rely on it; none where it does its work, no words while it begins. `end` is the log's end, where it is known.
    pub fn trouble(&self, now: Instant, end: Option<i64>) -> Option<String> {
        let mut state = self.0.lock();
        let waiting = state.waiting(now, end);
        match waiting {
            Some((waiting, grace)) => waiting.trouble(now, if state.begun { grace } else { Duration::ZERO }),
            // It reads its checkpoint, as it should.
            None if !state.begun => Some(String::new()),
            None => None,
        }
    }
}

impl State {
    /// What it waits for, and for how long it may.
    fn waiting(&mut self, now: Instant, end: Option<i64>) -> Option<(Waiting, Duration)> {
        let next = self.next;
        self.behind = match (end, self.behind) {
            (Some(end), _) if end <= next => None,
            (Some(_), Some((stood, since))) if stood == next => Some((stood, since)),
            (Some(_), _) => Some((next, now)),
            (None, behind) => behind,
        };
        if let Some(failing) = &self.failing {
            return Some((failing.clone(), GRACE));
        }
        if !self.begun {
            return None;
        }
        if let Some(since) = self.busy {
            return Some((Waiting::from(since, "works on one batch"), PATIENCE));
        }
        let (stood, since) = self.behind?;
        let why = format!("stands still at offset {stood}, and the log ends at {}", end.unwrap_or(stood));
        Some((Waiting::from(since, why), PATIENCE))
    }
}

/// As [`LaneHealth::trouble`], for what a handler itself waits for.
pub(crate) fn lasting(waiting: &Waiting, now: Instant) -> Option<String> {
    waiting.trouble(now, GRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_well_once_it_has_begun_and_while_it_moves() {
        let (lane, now) = (LaneHealth::default(), Instant::now());
        assert_eq!(lane.trouble(now, None).as_deref(), Some(""), "it has not begun");
        assert!(lane.failed(&"no database"));
        let trouble = lane.trouble(now, None).expect("no grace before it has ever begun");
        assert!(trouble.starts_with("no database, since 20") && trouble.ends_with('Z'), "{trouble}");
        lane.stands(0);
        assert!(lane.succeeded().is_some() && lane.succeeded().is_none());
        assert_eq!(lane.trouble(now, Some(9)), None);
        lane.stands(5);
        assert_eq!(lane.trouble(now + PATIENCE, Some(9)), None, "it has moved");
        assert_eq!(lane.trouble(now + PATIENCE * 3 / 2, Some(12)), None);
        let still = lane.trouble(now + PATIENCE * 2, Some(12)).expect("it stands still");
        assert!(still.contains('5') && still.contains("12"), "{still}");
        assert_eq!(lane.trouble(now + PATIENCE * 2, Some(5)), None, "it is at the end");
    }

    #[test]
    fn a_failure_counts_when_it_lasts_and_a_batch_when_it_hangs() {
        let (lane, now) = (LaneHealth::default(), Instant::now());
        lane.stands(1);
        assert!(lane.failed(&"away"), "it is news");
        assert!(!lane.failed(&"still away"), "it is none");
        assert_eq!(lane.trouble(now, None), None);
        let waiting = lane.waiting(now, None).expect("it is seen at once");
        assert_eq!(waiting.why, "still away");
        let trouble = lane.trouble(now + GRACE * 2, None).expect("it lasts");
        assert!(trouble.starts_with("still away, since"), "{trouble}");
        assert_eq!(lane.trouble(now + GRACE * 3, None), Some(trouble), "it says the same as long as it is the same");
        lane.succeeded();
        lane.works();
        assert_eq!(lane.trouble(now + GRACE * 2, None), None);
        assert!(lane.trouble(now + PATIENCE * 2, None).is_some());
    }
}
