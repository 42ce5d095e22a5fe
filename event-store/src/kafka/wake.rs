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
    /// Wakes who waits, or who waits next.
    pub fn ring(&self) {
        let mut rung = self.rung.lock();
        if !*rung {
            *rung = true;
            self.bell.notify_one();
        }
    }

    /// Waits for a ring, at most so long.
    pub fn wait(&self, most: Duration) {
        let mut rung = self.rung.lock();
        if !*rung {
            self.bell.wait_for(&mut rung, most);
        }
        *rung = false;
    }
}
