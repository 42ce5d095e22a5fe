//! How often an owner appends proofs: at once while few are asked for, evenly spaced under a steady stream of questions.

use std::time::Duration;
use tokio::time::Instant;

/// Answers to commands wait so many times less than strong reads: a node that answers requests late takes fewer of them.
const COMMANDS: u32 = 4;
/// So many proofs follow each other at once before they are spaced.
const AT_ONCE: u32 = 5;

/// When proofs may be appended.
pub(crate) struct Pace {
    of_reads: Bucket,
    of_commands: Bucket,
}

impl Pace {
    /// Spaces the proofs of strong reads by `every`, and those of refusals and repeats by less.
    pub fn new(every: Duration) -> Self {
        Self { of_reads: Bucket::new(every), of_commands: Bucket::new(every / COMMANDS) }
    }

    /// Whether a proof may be appended now, which counts as done then; otherwise it is due later.
    pub fn allows(&mut self, now: Instant, for_commands: bool) -> bool {
        let allowed = if for_commands { self.of_commands.allows(now) } else { self.of_reads.allows(now) };
        if allowed {
            self.wakes();
        }
        allowed
    }

    /// When a proof that had to wait may be appended.
    pub fn due(&self) -> Option<Instant> {
        [self.of_reads.due, self.of_commands.due].into_iter().flatten().min()
    }

    /// The moment has come: the writer asks again.
    pub fn wakes(&mut self) {
        (self.of_reads.due, self.of_commands.due) = (None, None);
    }
}

/// A bucket of proofs, which fills by one in each interval (the generic cell rate algorithm).
struct Bucket {
    every: Duration,
    /// When the bucket would be full, had it no bound.
    full_at: Instant,
    due: Option<Instant>,
}

impl Bucket {
    fn new(every: Duration) -> Self {
        Self { every, full_at: Instant::now(), due: None }
    }

    fn allows(&mut self, now: Instant) -> bool {
        let full_at = self.full_at.max(now);
        let allowed_at = full_at.checked_sub(self.every * (AT_ONCE - 1)).unwrap_or(now);
        if now < allowed_at {
            self.due = Some(allowed_at);
            return false;
        }
        self.full_at = full_at + self.every;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(200);

    fn allowed(pace: &mut Pace, begin: Instant, millis: impl Iterator<Item = u64>) -> Vec<u64> {
        millis.filter(|at| pace.allows(begin + Duration::from_millis(*at), false)).collect()
    }

    #[tokio::test]
    async fn a_few_are_appended_at_once_and_a_steady_stream_is_spaced() {
        let (mut pace, begin) = (Pace::new(EVERY), Instant::now());
        let seen = allowed(&mut pace, begin, 0..2_000);
        assert_eq!(seen[..5], [0, 1, 2, 3, 4]);
        assert_eq!(seen[5..8], [200, 400, 600], "then one in each interval");
        assert_eq!(seen.len(), 14);
        assert_eq!(pace.due(), Some(begin + Duration::from_millis(2_000)));
        assert!(pace.allows(begin + Duration::from_millis(1_999), true), "a refusal does not wait for the reads before it");
        assert_eq!(pace.due(), None, "they share its proof");
    }

    #[tokio::test]
    async fn those_who_ask_seldom_never_wait() {
        let (mut pace, begin) = (Pace::new(EVERY), Instant::now());
        let seldom = || (0..50).map(|number| number * 201);
        assert!(allowed(&mut pace, begin, seldom()).into_iter().eq(seldom()));
    }

    #[tokio::test]
    async fn without_an_interval_nobody_waits() {
        let (mut pace, begin) = (Pace::new(Duration::ZERO), Instant::now());
        assert_eq!(allowed(&mut pace, begin, 0..100).len(), 100);
    }
}
