//! The one source of chance of a schedule: the same seed, the same schedule.

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

/// All that a schedule leaves to chance.
pub struct Chance(Xoshiro256PlusPlus);

impl Chance {
    pub fn seeded(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// True in so many of a thousand cases.
    pub fn strikes(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.0.random_range(0..1_000) < per_mille
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound)
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: i64, most: i64) -> i64 {
        self.0.random_range(least..=most)
    }

    /// One of them, if there are any.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> Option<&'a T> {
        if among.is_empty() { None } else { among.get(self.below(among.len())) }
    }

    pub fn bits(&mut self) -> u128 {
        self.0.random()
    }
}
