//! How long and how often something that fails is tried again.

use rand::RngExt;
use std::time::Duration;

/// How long and how often something that fails is tried again, before it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// After so many failed attempts that count against it, it is given up.
    pub attempts: u32,
    /// For how long it is tried in all, whoever is at fault.
    pub within: Duration,
    /// The pause after the first attempt; each further one is twice as long, with jitter.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Patience {
    /// Ten attempts within a day, 200 ms to a minute apart.
    fn default() -> Self {
        let (first_pause, longest_pause) = (Duration::from_millis(200), Duration::from_secs(60));
        Self { attempts: 10, within: Duration::from_secs(24 * 60 * 60), first_pause, longest_pause }
    }
}

impl Patience {
    /// The pause after so many tries: the doubled pause times a random factor from a half to 1, so that many errands do not come back at
    /// once.
    pub fn pause(&self, tries: u32) -> Duration {
        let doubled = self.first_pause.saturating_mul(1 << tries.saturating_sub(1).min(20)).min(self.longest_pause);
        doubled.mul_f64(rand::rng().random_range(0.5..1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let patience = Patience::default();
        let within = |tries, low: u64, high: u64| {
            let pause = patience.pause(tries);
            assert!((Duration::from_millis(low)..=Duration::from_millis(high)).contains(&pause), "{tries}: {pause:?}");
        };
        within(1, 100, 200);
        within(3, 400, 800);
        within(40, 30_000, 60_000);
    }
}
