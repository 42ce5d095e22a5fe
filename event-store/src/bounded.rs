//! Warnings that repeat: one line at once, then at most one a minute, which says how many were held back.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// How much time is between two lines at least.
const EVERY: Duration = Duration::from_secs(60);

/// Lets one line a minute through, and counts the others.
#[derive(Debug, Default)]
pub struct Bounded(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    last: Option<Instant>,
    held_back: u64,
}

impl Bounded {
    /// How many lines were held back since the last one that was let through; none where this one is to be held back, too.
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        let mut counted = self.0.lock();
        if counted.last.is_some_and(|last| now.saturating_duration_since(last) < EVERY) {
            counted.held_back += 1;
            return None;
        }
        counted.last = Some(now);
        Some(std::mem::take(&mut counted.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_said_and_the_next_after_a_minute_with_the_count() {
        let (lines, now) = (Bounded::default(), Instant::now());
        assert_eq!(lines.admit_at(now), Some(0));
        assert!((0..599).all(|tenth| lines.admit_at(now + Duration::from_millis(100) * tenth).is_none()));
        assert_eq!(lines.admit_at(now + EVERY), Some(599));
        assert_eq!(lines.admit_at(now + EVERY * 2), Some(0), "the count begins anew");
    }
}
