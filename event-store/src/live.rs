//! The aggregates that are in memory: all that changed since the last save, and the most recently used of the others.

use crate::ById;
use lru::LruCache;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// An aggregate as its confirmed events make it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Folded<A> {
    pub state: A,
    pub version: u64,
    /// Set when one of its events could not be decoded: its state is not known, so nothing is decided on it.
    pub unreadable: Option<String>,
}

struct Unsaved<A> {
    /// Shared with the save that runs, and copied only where it changes meanwhile.
    folded: Arc<Folded<A>>,
    /// Part of the save that runs, and not changed since it began.
    saving: bool,
}

/// What changed and is not saved is never given up; without snapshots that is everything.
pub(crate) struct Live<A> {
    unsaved: ById<Unsaved<A>>,
    saved: LruCache<Uuid, Arc<Folded<A>>>,
    most: usize,
}

impl<A: Default + Clone> Live<A> {
    pub fn new(most: usize) -> Self {
        Self { unsaved: ById::default(), saved: LruCache::unbounded(), most }
    }

    pub fn get(&self, id: &Uuid) -> Option<&Folded<A>> {
        self.unsaved.get(id).map(|unsaved| &unsaved.folded).or_else(|| self.saved.peek(id)).map(Arc::as_ref)
    }

    /// Whether it is in memory. It counts as used.
    pub fn touch(&mut self, id: &Uuid) -> bool {
        self.unsaved.contains_key(id) || self.saved.get(id).is_some()
    }

    /// Takes in what was saved earlier; it is there until others have been used more recently.
    pub fn load(&mut self, id: Uuid, folded: Folded<A>) {
        self.saved.put(id, Arc::new(folded));
        self.evict();
    }

    /// The aggregate, which is going to be changed.
    pub fn change(&mut self, id: Uuid) -> &mut Folded<A> {
        let saved = &mut self.saved;
        let unsaved = self.unsaved.entry(id).or_insert_with(|| Unsaved { folded: saved.pop(&id).unwrap_or_default(), saving: false });
        unsaved.saving = false;
        Arc::make_mut(&mut unsaved.folded)
    }

    /// How many are not saved.
    pub fn unsaved(&self) -> usize {
        self.unsaved.len()
    }

    /// All that a save must hold, from now on part of it.
    pub fn begin_save(&mut self) -> impl Iterator<Item = (Uuid, Arc<Folded<A>>)> {
        self.unsaved.iter_mut().map(|(id, unsaved)| {
            unsaved.saving = true;
            (*id, unsaved.folded.clone())
        })
    }

    /// The save is done: what has not changed since it began may be given up.
    pub fn finish_save(&mut self) {
        for (id, unsaved) in self.unsaved.extract_if(|_, unsaved| unsaved.saving) {
            self.saved.put(id, unsaved.folded);
        }
        self.evict();
    }

    fn evict(&mut self) {
        // The one that was used last is kept: it is in use.
        while self.saved.len() > 1 && self.saved.len() + self.unsaved.len() > self.most && self.saved.pop_lru().is_some() {}
        if self.unsaved.capacity() > 2 * self.most.max(self.unsaved.len()) {
            self.unsaved.shrink_to(self.most);
        }
    }

    /// How many are in memory.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.unsaved.len() + self.saved.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn changed(live: &mut Live<u64>, numbers: std::ops::Range<u128>) {
        numbers.for_each(|number| live.change(id(number)).state += number as u64);
    }

    fn save(live: &mut Live<u64>) -> usize {
        let count = live.begin_save().count();
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
        assert_eq!(live.begin_save().count(), 4);
        live.change(id(3)).state = 99;
        changed(&mut live, 4..5);
        live.finish_save();
        assert_eq!(live.unsaved(), 2);
        assert_eq!(live.get(&id(3)).map(|folded| folded.state), Some(99));
        assert_eq!(save(&mut live), 2);
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
