//! Which commands were answered, and how: so that asking again is safe.

use crate::{ById, WriterConfig};
use domain::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use uuid::Uuid;

/// So many of the newest commands are remembered whatever their times say: one clock that is wrong must not make all forgotten.
const NEWEST: usize = 10_000;

/// The first answer to a command, kept for those who ask again.
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
    /// So many at least are remembered, unless they are too old.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Whether the oldest of so many is to be forgotten.
    pub fn forget(&self, count: usize, oldest: Timestamp) -> bool {
        let too_old = self.newest.0.saturating_sub(oldest.0) > self.age_millis;
        count > self.most || too_old && count > NEWEST
    }
}

#[derive(Debug)]
struct Past {
    seq: u64,
    offset: i64,
    time: Timestamp,
    id: Uuid,
}

/// Recent commands by id, the oldest forgotten first.
#[derive(Debug)]
pub(crate) struct CommandMemory {
    by_id: ById<Remembered>,
    order: VecDeque<Past>,
    bounds: Bounds,
    recent: usize,
    seq: u64,
    /// What was noted before is in the snapshots too.
    saved: u64,
    /// What was noted before is in the save that runs.
    saving: u64,
    /// Whether the snapshots know more than this memory does.
    partial: bool,
}

impl CommandMemory {
    pub fn new(config: &WriterConfig) -> Self {
        let age_millis = i64::try_from(config.remembered_for.as_millis()).unwrap_or(i64::MAX);
        let bounds = Bounds { most: config.remembered_commands, age_millis, newest: Timestamp(i64::MIN) };
        let recent = config.recent_commands;
        Self { by_id: ById::default(), order: VecDeque::new(), bounds, recent, seq: 0, saved: 0, saving: 0, partial: false }
    }

    /// Everything below `next` is in the snapshots, and nothing of it here.
    pub fn begin_at(&mut self, next: i64) {
        self.partial = next > 0;
    }

    pub fn get(&self, id: &Uuid) -> Option<Remembered> {
        self.by_id.get(id).copied()
    }

    /// Whether a command that is not known here may be known to the snapshots.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    pub fn insert(&mut self, id: Uuid, remembered: Remembered) {
        let Remembered { offset, time, .. } = remembered;
        self.bounds.newest = self.bounds.newest.max(time);
        self.by_id.insert(id, remembered);
        self.order.push_back(Past { seq: self.seq, offset, time, id });
        self.seq += 1;
        self.trim();
    }

    fn trim(&mut self) {
        while let Some(Past { seq, time, .. }) = self.order.front() {
            let forgotten = self.bounds.forget(self.order.len(), *time);
            let kept_elsewhere = self.order.len() > self.recent && *seq < self.saved;
            if !forgotten && !kept_elsewhere {
                return;
            }
            self.partial |= kept_elsewhere;
            self.forget_oldest();
        }
    }

    /// Unless the same id was used again since.
    fn forget_oldest(&mut self) {
        let Some(Past { offset, id, .. }) = self.order.pop_front() else { return };
        if self.by_id.get(&id).is_some_and(|known| known.offset == offset) {
            self.by_id.remove(&id);
        }
    }

    /// What the snapshots do not know yet, from now on part of a save.
    pub fn begin_save(&mut self) -> impl Iterator<Item = (Uuid, Remembered)> {
        self.saving = self.seq;
        let from = self.order.partition_point(|past| past.seq < self.saved);
        self.order.range(from..).filter_map(|past| self.get(&past.id).map(|known| (past.id, known)))
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
    fn an_id_that_was_used_twice_is_known_by_its_last_use() {
        let mut memory = memory(2, 2, Duration::MAX);
        note(&mut memory, 1, 0);
        let again = Remembered { fingerprint: 9, version: 2, offset: 7, events: 1, time: Timestamp(0) };
        memory.insert(Uuid::from_u128(1), again);
        note(&mut memory, 8, 0);
        assert_eq!(memory.get(&Uuid::from_u128(1)), Some(again));
    }
}
