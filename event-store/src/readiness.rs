//! Whether this process should be sent requests.

use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc};

/// Named conditions, all of which must hold before this process should be sent requests. Clones share them.
#[derive(Clone, Default)]
pub struct Readiness(Arc<RwLock<BTreeMap<String, bool>>>);

impl Readiness {
    /// Sets whether a condition holds.
    pub fn set(&self, condition: &str, holds: bool) {
        self.0.write().insert(condition.to_owned(), holds);
    }

    /// The conditions that do not hold.
    pub fn missing(&self) -> Vec<String> {
        self.0.read().iter().filter(|(_, holds)| !**holds).map(|(condition, _)| condition.clone()).collect()
    }
}
