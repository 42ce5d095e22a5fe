//! Tells the process's reader that the process's writer has appended.

use parking_lot::{Condvar, Mutex};
use std::time::Duration;

/// A bell that remembers one ring.
#[derive(Default)]
pub(super) struct Wake {
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Wake {
    /// Wakes the thread that waits, or the next one that will.
    pub fn ring(&self) {
        let mut rung = self.rung.lock();
        if !*rung {
            *rung = true;
            self.bell.notify_one();
        }
    }

    /// Whether it rang since the last call of this or of [`Self::wait`].
    pub fn was_woken(&self) -> bool {
        std::mem::take(&mut *self.rung.lock())
    }

    /// Waits for a ring, at most so long, and says whether there was one.
    pub fn wait(&self, most: Duration) -> bool {
        let mut rung = self.rung.lock();
        if !*rung {
            self.bell.wait_for(&mut rung, most);
        }
        std::mem::take(&mut *rung)
    }
}
