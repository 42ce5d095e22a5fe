//! Places at which this crate's tests may interfere: they let a part panic or wait there. A build without the tests has none.

/// Passes a place on the way of a partition.
#[cfg(not(test))]
pub(crate) const fn pass(_place: &str, _partition: i32) {}

#[cfg(test)]
pub(crate) use armed::{arm, pass};

#[cfg(test)]
mod armed {
    use parking_lot::Mutex;
    use std::{collections::HashMap, sync::Arc};

    type Act = Arc<dyn Fn() + Send + Sync>;

    /// What happens at a place, by its name and the partition. Each test has partitions of its own.
    static ARMED: Mutex<Option<HashMap<(&'static str, i32), Act>>> = Mutex::new(None);

    /// From now on `act` is called whenever a part passes the place on the way of this partition.
    pub fn arm(place: &'static str, partition: i32, act: impl Fn() + Send + Sync + 'static) {
        ARMED.lock().get_or_insert_default().insert((place, partition), Arc::new(act));
    }

    pub fn pass(place: &'static str, partition: i32) {
        let act = ARMED.lock().as_ref().and_then(|armed| armed.get(&(place, partition)).cloned());
        if let Some(act) = act {
            act();
        }
    }
}
