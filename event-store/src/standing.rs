//! Why a node owns a partition, and that it has stepped down: decided once, whoever comes first.

use std::sync::atomic::{AtomicU8, Ordering};

/// How an owner's task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was stopped, or has stepped down.
    Done,
    /// It panicked.
    Defect,
}

/// It was taken over: its owner was gone, and the group has not placed it here.
const TAKEN_OVER: u8 = 0;
/// The group has placed it here.
const PLACED: u8 = 1;
/// It was taken over, somebody else has claimed it since, and this owner ends.
const STEPPED_DOWN: u8 = 2;

/// The standing of an owner. The group's thread places a partition while the owner's task may be stepping down from it: the one that changes
/// the state first decides, and the other is told.
#[derive(Debug)]
pub(crate) struct Standing(AtomicU8);

impl Standing {
    /// Of an owner that begins.
    pub fn new(placed: bool) -> Self {
        Self(AtomicU8::new(if placed { PLACED } else { TAKEN_OVER }))
    }

    /// Places the partition here: from now on the owner claims again whenever somebody else has claimed. False where it has stepped down
    /// before: the partition then needs another owner.
    pub fn place(&self) -> bool {
        self.leave_taken_over(PLACED) == PLACED
    }

    /// Steps down from a partition that was only taken over. False where it is placed here.
    pub fn step_down(&self) -> bool {
        self.leave_taken_over(STEPPED_DOWN) == STEPPED_DOWN
    }

    /// Changes the state unless it was decided before; returns the state as it is now.
    fn leave_taken_over(&self, next: u8) -> u8 {
        match self.0.compare_exchange(TAKEN_OVER, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_taken_over) => next,
            Err(decided) => decided,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_first_decides_and_both_agree() {
        let taken_over = Standing::new(false);
        assert!(taken_over.place() && !taken_over.step_down() && taken_over.place());
        let taken_over = Standing::new(false);
        assert!(taken_over.step_down() && !taken_over.place() && taken_over.step_down());
        let placed = Standing::new(true);
        assert!(!placed.step_down() && placed.place());
    }

    #[test]
    fn exactly_one_of_two_threads_decides() {
        for _ in 0..1_000 {
            let standing = Standing::new(false);
            let (placed, stepped_down) = std::thread::scope(|scope| {
                let placing = scope.spawn(|| standing.place());
                let stepping = scope.spawn(|| standing.step_down());
                (placing.join().expect("no panic"), stepping.join().expect("no panic"))
            });
            assert_ne!(placed, stepped_down);
        }
    }
}
