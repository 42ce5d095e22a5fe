//! What a partition remembers of its idempotent producers, so that a batch that is sent twice stands in the log once.

use crate::batch::{Stamp, sequence_after};
use std::collections::{HashMap, VecDeque};

/// How many batches a producer may have on their way: an idempotent producer of Kafka has at most five.
const REMEMBERED: usize = 5;
/// A producer that has appended nothing for this long is forgotten, as in Kafka.
const FORGOTTEN_AFTER_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// So often a partition looks for silent producers: each look goes through all of them.
const LOOKED_FOR_EVERY_MILLIS: i64 = 60 * 1000;

/// A batch that a producer has appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Appended {
    pub first: i32,
    pub last: i32,
    pub base: i64,
}

/// One producer's newest batches in one partition, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Producer {
    pub epoch: i16,
    pub last_used: i64,
    pub batches: VecDeque<Appended>,
}

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the next one.
    Next,
    /// It stands in the log already, at this offset.
    Duplicate(i64),
    /// One before it is missing.
    OutOfOrder,
    /// A newer incarnation of the producer has appended.
    StaleEpoch,
}

/// The producers of one partition, by id.
#[derive(Debug, Default)]
pub(super) struct Producers {
    known: HashMap<i64, Producer>,
    /// When it was looked for silent ones.
    looked: i64,
}

impl Producers {
    pub fn judge(&self, stamp: Stamp) -> Verdict {
        let Some(producer) = self.known.get(&stamp.producer) else { return Verdict::Next };
        if stamp.epoch < producer.epoch {
            return Verdict::StaleEpoch;
        }
        if stamp.epoch > producer.epoch {
            return if stamp.first == 0 { Verdict::Next } else { Verdict::OutOfOrder };
        }
        let same = |batch: &&Appended| (batch.first, batch.last) == (stamp.first, stamp.last);
        match (producer.batches.iter().find(same), producer.batches.back()) {
            (Some(batch), _) => Verdict::Duplicate(batch.base),
            (None, Some(newest)) if sequence_after(newest.last, 1) != stamp.first => Verdict::OutOfOrder,
            _ => Verdict::Next,
        }
    }

    /// Remembers a batch that was appended at `base`.
    pub fn record(&mut self, stamp: Stamp, base: i64, now: i64) {
        let producer = self.known.entry(stamp.producer).or_default();
        if producer.epoch != stamp.epoch {
            producer.batches.clear();
        }
        (producer.epoch, producer.last_used) = (stamp.epoch, now);
        producer.batches.push_back(Appended { first: stamp.first, last: stamp.last, base });
        if producer.batches.len() > REMEMBERED {
            producer.batches.pop_front();
        }
    }

    pub fn get(&self, id: i64) -> Option<&Producer> {
        self.known.get(&id)
    }

    pub fn restore(&mut self, id: i64, producer: Producer) {
        self.known.insert(id, producer);
    }

    /// Forgets the producers that have been silent for long, and names them; none if it did so a moment ago.
    pub fn forget_silent(&mut self, now: i64) -> Vec<i64> {
        // A clock that was put back must not keep it from looking.
        if (0..LOOKED_FOR_EVERY_MILLIS).contains(&(now - self.looked)) {
            return Vec::new();
        }
        self.looked = now;
        let silent = |(id, producer): (&i64, &Producer)| (now - producer.last_used > FORGOTTEN_AFTER_MILLIS).then_some(*id);
        let silent: Vec<i64> = self.known.iter().filter_map(silent).collect();
        for id in &silent {
            self.known.remove(id);
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(epoch: i16, first: i32, last: i32) -> Stamp {
        Stamp { producer: 7, epoch, first, last }
    }

    fn after(batches: &[Stamp]) -> Producers {
        let mut producers = Producers::default();
        for (index, batch) in batches.iter().enumerate() {
            assert_eq!(producers.judge(*batch), Verdict::Next, "{batch:?}");
            producers.record(*batch, 100 * index as i64, 0);
        }
        producers
    }

    #[test]
    fn the_last_five_batches_are_known_again_and_an_older_one_is_out_of_order() {
        let batches: Vec<Stamp> = (0..7).map(|index| stamp(0, index * 2, index * 2 + 1)).collect();
        let producers = after(&batches);
        for (index, batch) in batches.iter().enumerate().skip(2) {
            assert_eq!(producers.judge(*batch), Verdict::Duplicate(100 * index as i64));
        }
        assert_eq!(producers.judge(batches[1]), Verdict::OutOfOrder);
        assert_eq!(producers.judge(stamp(0, 15, 15)), Verdict::OutOfOrder);
        assert_eq!(producers.judge(stamp(0, 14, 14)), Verdict::Next);
    }

    #[test]
    fn a_new_epoch_begins_at_zero_and_an_old_one_is_stale() {
        let producers = after(&[stamp(0, 0, 9), stamp(1, 0, 0)]);
        assert_eq!(producers.judge(stamp(0, 10, 10)), Verdict::StaleEpoch);
        assert_eq!(producers.judge(stamp(2, 1, 1)), Verdict::OutOfOrder);
        assert_eq!(producers.judge(stamp(2, 0, 0)), Verdict::Next);
    }

    #[test]
    fn sequence_numbers_go_round() {
        let producers = after(&[stamp(0, i32::MAX, i32::MAX)]);
        assert_eq!(producers.judge(stamp(0, 0, 3)), Verdict::Next);
        assert_eq!(sequence_after(i32::MAX - 1, 3), 1);
    }

    #[test]
    fn a_silent_producer_is_forgotten_after_a_day() {
        let mut producers = after(&[stamp(0, 0, 0)]);
        assert_eq!(producers.forget_silent(FORGOTTEN_AFTER_MILLIS), Vec::<i64>::new());
        assert_eq!(producers.forget_silent(FORGOTTEN_AFTER_MILLIS + 1), Vec::<i64>::new(), "it has just looked");
        assert_eq!(producers.forget_silent(FORGOTTEN_AFTER_MILLIS + LOOKED_FOR_EVERY_MILLIS), vec![7]);
        assert_eq!(producers.judge(stamp(0, 9, 9)), Verdict::Next);
    }
}
