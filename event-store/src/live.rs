//! The aggregates that are in memory: all that changed since the last save, and the most recently used of the others.

use crate::ById;
use lru::LruCache;
use serde::{Deserialize, Serialize};
use std::{
    collections::{VecDeque, hash_map::Entry},
    sync::Arc,
};
use uuid::Uuid;

/// How many of the aggregates that a save held settle as soon as it is done.
const SETTLED_AT_ONCE: usize = 1_000;
/// How many of the others settle at each lookup of an aggregate: to settle all at once would delay every command by some milliseconds.
const SETTLED_BY_A_LOOK: usize = 4;

/// An aggregate as its confirmed events make it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Folded<A> {
    pub state: A,
    pub version: u64,
    /// Set when one of its events could not be decoded or applied: its state is unknown, so no command is decided on it.
    pub unreadable: Option<String>,
}

/// Aggregates that changed, by id. They are behind pointers, so that a map that grows moves little.
pub(crate) type Changed<A> = ById<Box<Folded<A>>>;

/// Never evicts an aggregate that changed and is not saved; without snapshots that is every aggregate.
pub(crate) struct Live<A> {
    /// Changed since the last save began.
    unsaved: Changed<A>,
    /// Lent to the save that runs; an aggregate that changes meanwhile is unsaved again.
    saving: Arc<Changed<A>>,
    /// Held by saves that are done, and not moved to `saved` yet.
    settling: Changed<A>,
    settling_order: VecDeque<Uuid>,
    saved: LruCache<Uuid, Box<Folded<A>>>,
    most: usize,
}

impl<A: Default + Clone> Live<A> {
    pub fn new(most: usize) -> Self {
        Self {
            unsaved: Changed::default(),
            saving: Arc::default(),
            settling: Changed::default(),
            settling_order: VecDeque::new(),
            saved: LruCache::unbounded(),
            most,
        }
    }

    pub fn get(&self, id: &Uuid) -> Option<&Folded<A>> {
        let Self { unsaved, saving, settling, saved, .. } = self;
        unsaved.get(id).or_else(|| saving.get(id)).or_else(|| settling.get(id)).or_else(|| saved.peek(id)).map(Box::as_ref)
    }

    /// Whether it is in memory; it counts as used from now on. Before that, some others settle and may be evicted.
    pub fn touch(&mut self, id: &Uuid) -> bool {
        self.settle(SETTLED_BY_A_LOOK);
        let Self { unsaved, saving, settling, saved, .. } = self;
        unsaved.contains_key(id) || saving.contains_key(id) || settling.contains_key(id) || saved.get(id).is_some()
    }

    /// Takes in an aggregate that was saved earlier; it stays until others have been used more recently.
    pub fn load(&mut self, id: Uuid, folded: Folded<A>) {
        self.saved.put(id, Box::new(folded));
        self.evict();
    }

    /// The aggregate, which is going to be changed.
    pub fn change(&mut self, id: Uuid) -> &mut Folded<A> {
        let Self { unsaved, saving, settling, saved, .. } = self;
        match unsaved.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let lent = saving.get(&id).cloned();
                place.insert(lent.or_else(|| settling.remove(&id)).or_else(|| saved.pop(&id)).unwrap_or_default())
            }
        }
    }

    /// How many have changed and are not saved.
    pub fn unsaved(&self) -> usize {
        self.unsaved.len() + self.saving.len()
    }

    /// Begins a save, and returns all that it must hold.
    pub fn begin_save(&mut self) -> Arc<Changed<A>> {
        let next = Changed::with_capacity_and_hasher(self.unsaved.len(), Default::default());
        self.saving = Arc::new(std::mem::replace(&mut self.unsaved, next));
        self.saving.clone()
    }

    /// The save is done: the aggregates that it held may be evicted.
    pub fn finish_save(&mut self) {
        self.let_go();
        self.settle(SETTLED_AT_ONCE);
    }

    fn let_go(&mut self) {
        let held = Arc::unwrap_or_clone(std::mem::take(&mut self.saving));
        self.settling_order.extend(held.keys());
        self.settling.extend(held);
    }

    /// The save has failed: the aggregates that it held are unsaved again.
    pub fn abandon_save(&mut self) {
        for (id, folded) in Arc::unwrap_or_clone(std::mem::take(&mut self.saving)) {
            self.unsaved.entry(id).or_insert(folded);
        }
    }

    /// Moves at most `most` aggregates from `settling` to `saved`. If one has changed since, [`Self::get`] finds the newer one first, which
    /// will replace this one.
    fn settle(&mut self, most: usize) {
        for id in self.settling_order.drain(..most.min(self.settling_order.len())) {
            if let Some(folded) = self.settling.remove(&id) {
                self.saved.put(id, folded);
            }
        }
        self.evict();
    }

    fn evict(&mut self) {
        // Keeps the one that was used last: the caller is about to use it.
        while self.saved.len() > 1 && self.len() > self.most && self.saved.pop_lru().is_some() {}
    }

    /// How many are in memory.
    pub fn len(&self) -> usize {
        self.unsaved() + self.settling.len() + self.saved.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn changed(live: &mut Live<u64>, numbers: std::ops::Range<u128>) {
        numbers.for_each(|number| live.change(id(number)).state += number as u64);
    }

    fn save(live: &mut Live<u64>) -> usize {
        let count = live.begin_save().len();
        live.finish_save();
        count
    }

    #[test]
    fn what_is_not_saved_is_never_evicted() {
        let mut live = Live::new(2);
        changed(&mut live, 0..10);
        assert_eq!((live.len(), live.unsaved()), (10, 10));
        assert_eq!(save(&mut live), 10);
        assert_eq!((live.len(), live.unsaved()), (2, 0));
    }

    #[test]
    fn what_changed_during_a_save_is_not_saved_by_it() {
        let mut live = Live::new(2);
        changed(&mut live, 0..4);
        assert_eq!(live.begin_save().len(), 4);
        live.change(id(3)).state = 99;
        changed(&mut live, 4..5);
        live.finish_save();
        assert_eq!(live.unsaved(), 2);
        assert_eq!(live.get(&id(3)).map(|folded| folded.state), Some(99));
        assert_eq!(save(&mut live), 2);
    }

    #[test]
    fn what_a_save_held_settles_by_and_by_and_memory_is_bounded_in_the_end() {
        let mut live = Live::new(10);
        changed(&mut live, 0..5_000);
        save(&mut live);
        assert_eq!(live.len(), 5_000 - SETTLED_AT_ONCE + 1, "one of those that have settled is in use");
        (0..1_000).for_each(|_| assert!(!live.touch(&id(9_999))));
        assert_eq!((live.len(), live.unsaved()), (10, 0), "four settle at each look");
    }

    #[test]
    fn what_a_save_that_failed_held_is_never_given_up() {
        let mut live = Live::new(2);
        changed(&mut live, 0..4);
        live.begin_save();
        live.change(id(3)).state = 99;
        live.abandon_save();
        assert_eq!((live.unsaved(), live.get(&id(2)).map(|folded| folded.state)), (4, Some(2)));
        assert_eq!(live.get(&id(3)).map(|folded| folded.state), Some(99));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Change(u8),
        Begin,
        Finish,
        Abandon,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![20 => (0..24_u8).prop_map(Step::Change), 2 => Just(Step::Begin), 2 => Just(Step::Finish), 1 => Just(Step::Abandon)]
    }

    proptest! {
        /// With the saved values behind it, it answers as a map does: through saves that end late or fail.
        #[test]
        fn nothing_is_lost_and_nothing_old_comes_back(steps in proptest::collection::vec(step(), 0..400)) {
            let (mut live, mut truth, mut disk) = (Live::<u64>::new(6), BTreeMap::new(), BTreeMap::new());
            let mut lent: Option<Arc<Changed<u64>>> = None;
            for step in steps {
                match step {
                    Step::Change(number) => {
                        let id = id(number.into());
                        if let Some(saved) = disk.get(&id).filter(|_| !live.touch(&id)) {
                            live.load(id, Folded { state: *saved, ..Folded::default() });
                        }
                        live.change(id).state += 1;
                        *truth.entry(id).or_insert(0) += 1;
                        prop_assert_eq!(live.get(&id).map(|folded| folded.state), truth.get(&id).copied());
                    }
                    Step::Begin if lent.is_none() => lent = Some(live.begin_save()),
                    Step::Finish => if let Some(lent) = lent.take() {
                        disk.extend(lent.iter().map(|(id, folded)| (*id, folded.state)));
                        drop(lent);
                        live.let_go();
                    },
                    Step::Abandon => if lent.take().is_some() {
                        live.abandon_save();
                    },
                    Step::Begin => {}
                }
            }
            for (id, state) in truth {
                let known = live.get(&id).map(|folded| folded.state).or_else(|| disk.get(&id).copied());
                prop_assert_eq!(known, Some(state));
            }
        }
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut live = Live::new(3);
        changed(&mut live, 1..4);
        save(&mut live);
        assert!([1, 2, 3].iter().all(|number| live.touch(&id(*number))) && live.touch(&id(1)));
        live.load(id(4), Folded::default());
        assert!(!live.touch(&id(2)), "2 was not used for longest");
        assert!([1, 3, 4].iter().all(|number| live.touch(&id(*number))));
    }

    #[test]
    fn what_was_loaded_is_there_to_be_used_even_where_the_unsaved_fill_the_bound() {
        let mut live = Live::new(2);
        changed(&mut live, 1..5);
        live.load(id(9), Folded { state: 9, version: 1, unreadable: None });
        assert_eq!(live.change(id(9)).state, 9);
    }
}
