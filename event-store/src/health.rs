//! How a reader of a partition fares, so that a node that only seems to run says so.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// How long a reader may fail before that counts: a database that restarts is no reason to send requests elsewhere.
const GRACE: Duration = Duration::from_secs(5);
/// How long one batch may take, and how long a reader may stand still before the log's end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The state of one lane, as it reports it itself.
#[derive(Debug, Default)]
pub(crate) struct LaneHealth(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    begun: bool,
    /// Since when it fails, and why it did so last.
    failing: Option<(Instant, String)>,
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

    /// Its batch is taken.
    pub fn succeeded(&self) {
        let mut state = self.0.lock();
        (state.busy, state.failing) = (None, None);
    }

    /// What it tried has failed; it tries again.
    pub fn failed(&self, why: &impl ToString) {
        let mut state = self.0.lock();
        let since = state.failing.as_ref().map_or_else(Instant::now, |(since, _)| *since);
        (state.busy, state.failing) = (None, Some((since, why.to_string())));
    }

    /// Why requests should not rely on it; none where it does its work, no words while it begins. `end` is the log's end, where it is known.
    pub fn trouble(&self, now: Instant, end: Option<i64>) -> Option<String> {
        let mut state = self.0.lock();
        let lasts = |since: Instant, most| now.saturating_duration_since(since) >= most;
        let next = state.next;
        state.behind = match (end, state.behind) {
            (Some(end), _) if end <= next => None,
            (Some(_), Some((stood, since))) if stood == next => Some((stood, since)),
            (Some(_), _) => Some((next, now)),
            (None, behind) => behind,
        };
        match (&state.failing, state.busy, state.behind) {
            (Some((since, why)), _, _) if !state.begun || lasts(*since, GRACE) => Some(why.clone()),
            // It reads its checkpoint, as it should.
            _ if !state.begun => Some(String::new()),
            (_, Some(since), _) if lasts(since, PATIENCE) => Some(format!("works on one batch for over {} s", PATIENCE.as_secs())),
            (_, _, Some((stood, since))) if lasts(since, PATIENCE) => {
                Some(format!("stands still at offset {stood}, and the log ends at {}", end.unwrap_or(stood)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_well_once_it_has_begun_and_while_it_moves() {
        let (lane, now) = (LaneHealth::default(), Instant::now());
        assert_eq!(lane.trouble(now, None).as_deref(), Some(""), "it has not begun");
        lane.failed(&"no database");
        assert_eq!(lane.trouble(now, None).as_deref(), Some("no database"), "no grace before it has ever begun");
        lane.stands(0);
        lane.succeeded();
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
        lane.failed(&"away");
        assert_eq!(lane.trouble(now, None), None);
        assert_eq!(lane.trouble(now + GRACE * 2, None).as_deref(), Some("away"));
        lane.succeeded();
        lane.works();
        assert_eq!(lane.trouble(now + GRACE * 2, None), None);
        assert!(lane.trouble(now + PATIENCE * 2, None).is_some());
    }
}
