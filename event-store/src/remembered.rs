//! Which commands were answered, and how: so that asking again is safe.

use crate::{ById, WriterConfig};
use event_sourcing::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use uuid::Uuid;

/// How many of the newest commands are remembered whatever their times are: one clock that is wrong must not make the owner forget all.
const NEWEST: usize = 10_000;

/// The first answer to a command, kept for callers that ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub fingerprint: u64,
    pub version: u64,
    pub offset: i64,
    pub events: u32,
    /// The `ce_time` of its records.
    pub time: Timestamp,
}

/// How many commands are remembered, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    most: usize,
    age_millis: i64,
    newest: Timestamp,
}

impl Bounds {
    /// How many are remembered, unless they are too old.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Whether to forget the oldest of `count` commands.
    pub fn forget(&self, count: usize, oldest: Timestamp) -> bool {
        let too_old = self.newest.0.saturating_sub(oldest.0) > self.age_millis;
        count > self.most || too_old && count > NEWEST
    }
}

/// How many saved commands leave memory whenever one is added: to drop at once all that a save has freed would delay every caller.
const LEAVE_AT_ONCE: usize = 4;

#[derive(Debug)]
struct Past {
    id: Uuid,
    remembered: Remembered,
    /// Whether the same id was used again since.
    again: bool,
}

/// Recent commands by id, the oldest forgotten first.
#[derive(Debug)]
pub(crate) struct CommandMemory {
    /// The sequence number of its last use, among all that were ever added.
    by_id: ById<u64>,
    order: VecDeque<Past>,
    bounds: Bounds,
    recent: usize,
    /// How many have left the order: the sequence number of its first.
    left: u64,
    /// All with a lower sequence number are in the snapshots too.
    saved: u64,
    /// All with a lower sequence number are in the save that runs, or were saved before.
    saving: u64,
    /// Whether the snapshots hold commands that are not in memory.
    partial: bool,
}

impl CommandMemory {
    pub fn new(config: &WriterConfig) -> Self {
        let age_millis = i64::try_from(config.remembered_for.as_millis()).unwrap_or(i64::MAX);
        let bounds = Bounds { most: config.remembered_commands, age_millis, newest: Timestamp(i64::MIN) };
        let recent = config.recent_commands;
        Self { by_id: ById::default(), order: VecDeque::new(), bounds, recent, left: 0, saved: 0, saving: 0, partial: false }
    }

    /// The snapshots hold everything below `next`; nothing of it is in memory.
    pub fn begin_at(&mut self, next: i64) {
        self.partial = next > 0;
    }

    pub fn get(&self, id: &Uuid) -> Option<Remembered> {
        self.by_id.get(id).and_then(|seq| self.order.get((seq - self.left) as usize)).map(|past| past.remembered)
    }

    /// Whether a command that is not in memory may be in the snapshots.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    pub fn insert(&mut self, id: Uuid, remembered: Remembered) {
        self.bounds.newest = self.bounds.newest.max(remembered.time);
        if let Some(before) = self.by_id.insert(id, self.seq()).and_then(|seq| self.order.get_mut((seq - self.left) as usize)) {
            before.again = true;
        }
        self.order.push_back(Past { id, remembered, again: false });
        self.trim();
    }

    /// The sequence number of the next one.
    fn seq(&self) -> u64 {
        self.left + self.order.len() as u64
    }

    fn trim(&mut self) {
        let mut leave = LEAVE_AT_ONCE;
        while let Some(oldest) = self.order.front() {
            if !self.bounds.forget(self.order.len(), oldest.remembered.time) {
                if leave == 0 || self.order.len() <= self.recent || self.left >= self.saved {
                    return;
                }
                leave -= 1;
                self.partial = true;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(Past { id, again, .. }) = self.order.pop_front() else { return };
        self.left += 1;
        if !again {
            self.by_id.remove(&id);
        }
    }

    /// Begins a save: the commands that are not in the snapshots yet, each id once.
    pub fn begin_save(&mut self) -> impl Iterator<Item = (Uuid, Remembered)> {
        self.saving = self.seq();
        let from = self.saved.saturating_sub(self.left) as usize;
        self.order.range(from..).filter(|past| !past.again).map(|past| (past.id, past.remembered))
    }

    /// The save is done.
    pub fn finish_save(&mut self) {
        self.saved = self.saving;
        self.trim();
    }

    /// How many are in memory.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn memory(most: usize, recent: usize, age: Duration) -> CommandMemory {
        let config = WriterConfig { remembered_commands: most, recent_commands: recent, remembered_for: age, ..WriterConfig::default() };
        CommandMemory::new(&config)
    }

    fn note(memory: &mut CommandMemory, id: u128, time: i64) {
        let remembered = Remembered { fingerprint: id as u64, version: 1, offset: id as i64, events: 1, time: Timestamp(time) };
        memory.insert(Uuid::from_u128(id), remembered);
    }

    fn knows(memory: &CommandMemory, id: u128) -> bool {
        memory.get(&Uuid::from_u128(id)).is_some()
    }

    #[test]
    fn beyond_the_count_the_oldest_is_forgotten() {
        let mut memory = memory(3, 3, Duration::MAX);
        (1..=5).for_each(|id| note(&mut memory, id, 0));
        assert_eq!((1..=5).map(|id| knows(&memory, id)).collect::<Vec<_>>(), [false, false, true, true, true]);
    }

    #[test]
    fn the_old_are_forgotten_but_never_all_of_them() {
        let mut memory = memory(usize::MAX, usize::MAX, Duration::from_millis(100));
        (0..NEWEST as u128 + 10).for_each(|id| note(&mut memory, id, 0));
        assert_eq!(memory.len(), NEWEST + 10, "none is old yet");
        note(&mut memory, 1 << 20, 101);
        assert_eq!(memory.len(), NEWEST, "a clock that is a year ahead would leave as many");
        assert!(!knows(&memory, 10) && knows(&memory, 11) && knows(&memory, 1 << 20));
    }

    #[test]
    fn what_is_not_saved_stays_in_memory() {
        let mut memory = memory(100, 2, Duration::MAX);
        memory.begin_at(0);
        (1..=4).for_each(|id| note(&mut memory, id, 0));
        assert_eq!((memory.len(), memory.is_partial(), memory.begin_save().count()), (4, false, 4));
        note(&mut memory, 5, 0);
        memory.finish_save();
        assert_eq!((memory.len(), memory.is_partial(), memory.begin_save().count()), (2, true, 1));
        assert!(knows(&memory, 4) && knows(&memory, 5));
    }

    #[test]
    fn what_a_save_has_freed_leaves_a_few_at_a_time() {
        let mut memory = memory(1_000, 2, Duration::MAX);
        (1..=20).for_each(|id| note(&mut memory, id, 0));
        memory.begin_save().for_each(drop);
        memory.finish_save();
        assert_eq!(memory.len(), 16);
        (21..=23).for_each(|id| note(&mut memory, id, 0));
        assert_eq!(memory.len(), 7, "each that comes lets four go");
        (24..=30).for_each(|id| note(&mut memory, id, 0));
        assert_eq!(memory.len(), 10, "what is not saved stays");
        assert!((21..=30).all(|id| knows(&memory, id)));
    }

    #[test]
    fn an_id_that_was_used_again_is_saved_once_and_survives_its_first_use() {
        let mut memory = memory(1_000, 1, Duration::MAX);
        [1, 2, 1].into_iter().for_each(|id| note(&mut memory, id, 0));
        assert_eq!(memory.begin_save().map(|(id, _)| id.as_u128()).collect::<Vec<_>>(), [2, 1]);
        memory.finish_save();
        assert_eq!((memory.len(), knows(&memory, 1)), (1, true));
    }

    #[test]
    fn an_id_that_was_used_twice_is_known_by_its_last_use() {
        let mut memory = memory(2, 2, Duration::MAX);
        note(&mut memory, 1, 0);
        let again = Remembered { fingerprint: 9, version: 2, offset: 7, events: 1, time: Timestamp(0) };
        memory.insert(Uuid::from_u128(1), again);
        note(&mut memory, 8, 0);
        assert_eq!(memory.get(&Uuid::from_u128(1)), Some(again));
    }
}
