//! Bounds the memory that requests and answers take.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// How many bytes all connections together may still hold.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<AtomicUsize>);

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// A share of nothing, which can grow.
    pub fn nothing(&self) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }

    /// How much there is to take.
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    fn take(&self, bytes: usize) -> bool {
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(bytes)).is_ok()
    }
}

/// Bytes taken from a budget; they are given back when the share is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    bytes: usize,
}

impl Share {
    /// Takes more; false, and nothing taken, if there is not so much left.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let taken = self.budget.take(bytes);
        if taken {
            self.bytes += bytes;
        }
        taken
    }

    /// Takes as much more as there is, but not more than this; returns how much.
    pub fn grow_up_to(&mut self, most: usize) -> usize {
        let mut taken = 0;
        let take = |left: usize| {
            taken = left.min(most);
            Some(left - taken)
        };
        let _ = self.budget.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, take);
        self.bytes += taken;
        taken
    }

    /// A part of this share.
    pub fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { budget: self.budget.clone(), bytes }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_out_of_one_budget_and_go_back_to_it() {
        let budget = Budget::new(10);
        let mut one = budget.nothing();
        assert!(one.grow(6) && !budget.nothing().grow(5));
        let part = one.split(4);
        drop(one);
        assert!(!budget.nothing().grow(7) && budget.nothing().grow(6));
        assert_eq!(budget.nothing().grow_up_to(100), 6);
        drop(part);
        assert!(budget.nothing().grow(10));
    }
}
