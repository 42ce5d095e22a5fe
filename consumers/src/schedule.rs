//! Which passed deadlines are sent when, so that those whose partition has no owner do not hold up the others.
//!
//! Each partition has a queue of its own. Once a command finds no owner there, its partition rests: a single command tries it after a pause
//! that doubles, until one is answered.

use crate::{Overdue, Patience};
use event_sourcing::Timestamp;
use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};
use tokio::time::Instant;
use uuid::Uuid;

/// How many commands of a partition are under way at once.
const AT_ONCE: usize = 8;
/// The pauses of a partition without an owner, and of a deadline that was sent and is still due: its view may not have heard yet.
const PAUSES: Patience =
    Patience { attempts: u32::MAX, within: Duration::MAX, first_pause: Duration::from_secs(1), longest_pause: Duration::from_secs(10) };

/// A deadline: whose it is, and when it was due.
pub(crate) type Moment = (Uuid, Timestamp);

/// A queue of deadlines: those of a partition, or of one aggregate whose partition is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Queue {
    Partition(i32),
    Aggregate(Uuid),
}

/// How often something was tried in vain, and when it is tried next.
#[derive(Clone, Copy, Debug)]
struct Rest {
    tries: u32,
    until: Instant,
}

impl Rest {
    fn after(before: Option<Self>, now: Instant) -> Self {
        let tries = before.map_or(0, |rest| rest.tries).saturating_add(1);
        Self { tries, until: now + PAUSES.pause(tries) }
    }
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Overdue>,
    under_way: usize,
    rest: Option<Rest>,
}

impl Line {
    /// How many may be begun now.
    fn places(&self, now: Instant) -> usize {
        match self.rest {
            Some(rest) if rest.until > now => 0,
            Some(_) => 1_usize.saturating_sub(self.under_way),
            None => AT_ONCE.saturating_sub(self.under_way),
        }
    }

    fn wakes(&self) -> Option<Instant> {
        self.rest.filter(|_| !self.waiting.is_empty() && self.under_way == 0).map(|rest| rest.until)
    }
}

/// The passed deadlines of one kind.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    lines: HashMap<Queue, Line>,
    /// The deadlines that wait or are under way (none), and those that were sent and are not to be sent again yet.
    known: HashMap<Moment, Option<Rest>>,
}

impl Schedule {
    /// How many deadlines it knows: they stand in front of those that are still to be read.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Enqueues a deadline, unless it waits already or was sent just now; true where it was not known.
    pub fn add(&mut self, queue: Queue, overdue: Overdue, now: Instant) -> bool {
        let moment = (overdue.command.aggregate_id, overdue.due);
        let before = self.known.get(&moment).copied();
        let rests = match before {
            None => false,
            Some(None) => true,
            Some(Some(rest)) => rest.until > now,
        };
        if !rests {
            self.known.insert(moment, None);
            self.lines.entry(queue).or_default().waiting.push_back(overdue);
        }
        before.is_none()
    }

    /// Forgets the deadlines that were sent and are due no more.
    pub fn retain(&mut self, is_due: impl Fn(&Moment) -> bool) {
        self.known.retain(|moment, rest| rest.is_none() || is_due(moment));
    }

    /// The deadlines that are to be sent now. Each is under way until [`ended`](Self::ended).
    pub fn begin(&mut self, now: Instant) -> Vec<(Queue, Overdue)> {
        let mut begun = Vec::new();
        for (queue, line) in &mut self.lines {
            let places = line.places(now).min(line.waiting.len());
            line.under_way += places;
            begun.extend(line.waiting.drain(..places).map(|overdue| (*queue, overdue)));
        }
        begun
    }

    /// Takes the outcome of a deadline's command. Where nobody answered, it stands in front of its queue again, and the queue rests; answers
    /// true where it did not rest before.
    pub fn ended(&mut self, queue: Queue, overdue: Overdue, answered: bool, now: Instant) -> bool {
        let line = self.lines.entry(queue).or_default();
        line.under_way = line.under_way.saturating_sub(1);
        let begins_to_rest = !answered && line.rest.is_none();
        if answered {
            line.rest = None;
            self.known.insert((overdue.command.aggregate_id, overdue.due), Some(Rest::after(None, now)));
        } else {
            // Those that were under way together count as one try.
            if line.rest.is_none_or(|rest| rest.until <= now) {
                line.rest = Some(Rest::after(line.rest, now));
            }
            line.waiting.push_front(overdue);
        }
        if line.waiting.is_empty() && line.under_way == 0 {
            self.lines.remove(&queue);
        }
        begins_to_rest
    }

    /// When a queue that rests is to be tried next.
    pub fn wakes(&self) -> Option<Instant> {
        self.lines.values().filter_map(Line::wakes).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_sourcing::AnyCommand;

    fn overdue(number: u128) -> Overdue {
        let (service, command) = ("things".to_owned(), serde_json::Value::Null);
        let command = AnyCommand { service, aggregate_id: Uuid::from_u128(number), version: 1, command };
        Overdue { due: Timestamp(0), command }
    }

    const AWAY: Queue = Queue::Partition(0);
    const WELL: Queue = Queue::Partition(1);

    #[test]
    fn a_partition_without_an_owner_is_tried_by_one_and_less_and_less_often() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        for number in 0..100 {
            schedule.add(AWAY, overdue(number), now);
            schedule.add(WELL, overdue(1_000 + number), now);
        }
        let first = schedule.begin(now);
        assert_eq!(first.len(), 2 * AT_ONCE);
        let mut said = 0;
        for (queue, overdue) in first {
            said += usize::from(schedule.ended(queue, overdue, queue == WELL, now));
        }
        assert_eq!(said, 1, "it is said once that the partition rests");
        let mut well = AT_ONCE;
        while let begun = schedule.begin(now)
            && !begun.is_empty()
        {
            assert!(begun.iter().all(|(queue, _)| *queue == WELL));
            well += begun.len();
            begun.into_iter().for_each(|(queue, overdue)| assert!(!schedule.ended(queue, overdue, true, now)));
        }
        assert_eq!(well, 100, "the others are worked off meanwhile");
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let wakes = schedule.wakes().expect("it is tried again");
            pauses.push(wakes - now);
            now = wakes;
            let probe = schedule.begin(now);
            assert_eq!(probe.len(), 1);
            probe.into_iter().for_each(|(queue, overdue)| assert!(!schedule.ended(queue, overdue, false, now)));
        }
        assert!(pauses[0] <= PAUSES.first_pause && pauses[5] >= PAUSES.longest_pause / 2, "{pauses:?}");
        now = schedule.wakes().expect("it is tried again");
        let probe = schedule.begin(now).remove(0);
        schedule.ended(AWAY, probe.1, true, now);
        assert_eq!(schedule.begin(now).len(), AT_ONCE, "it has an owner again");
    }

    #[test]
    fn what_was_sent_is_not_sent_again_before_its_view_can_have_heard() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        assert!(schedule.add(WELL, overdue(1), now));
        assert!(!schedule.add(WELL, overdue(1), now), "it waits already");
        let (queue, sent) = schedule.begin(now).remove(0);
        schedule.add(WELL, overdue(1), now);
        assert!(schedule.begin(now).is_empty(), "it is under way");
        schedule.ended(queue, sent, true, now);
        schedule.add(WELL, overdue(1), now);
        assert!(schedule.begin(now).is_empty(), "it was sent just now");
        let later = now + PAUSES.first_pause;
        schedule.add(WELL, overdue(1), later);
        assert_eq!(schedule.begin(later).len(), 1);
        schedule.retain(|_| false);
        assert_eq!(schedule.len(), 1, "it is under way");
    }
}
