//! What a node has heard of the partitions' owners, and which of its own claims it has to announce, again and again: no I/O, no clock.

use crate::Owner;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

/// How often an owner announces a claim that every node should have heard.
pub(crate) const REPEAT: Duration = Duration::from_secs(30);
/// How soon it announces one again that did not come back to it.
pub(crate) const AGAIN: Duration = Duration::from_secs(2);
/// An owner that has been silent for three repeats is gone: a lower run may take its place then, as it must where a log was made anew.
pub(crate) const SILENT: Duration = Duration::from_secs(100);

/// The owner of each partition, as far as this node has heard, by `<service>/<partition>`.
#[derive(Debug, Default)]
pub(crate) struct Announcements(HashMap<String, Heard>);

#[derive(Debug)]
struct Heard {
    owner: Owner,
    at: Instant,
    /// Whether it stood in the topic; this node's own claims are known before.
    published: bool,
}

impl Announcements {
    /// Takes an announcement in, in whatever order announcements come: the highest run is the owner's, since claims are offsets. True where
    /// it was taken.
    pub fn hear(&mut self, key: &str, owner: Owner, published: bool, now: Instant) -> bool {
        if let Some(known) = self.0.get_mut(key) {
            let is_silent = now.saturating_duration_since(known.at) >= SILENT;
            if owner.run < known.owner.run && !is_silent {
                return false;
            }
            let is_same = owner == known.owner;
            *known = Heard { published: published || is_same && known.published, owner, at: now };
            return true;
        }
        self.0.insert(key.to_owned(), Heard { owner, at: now, published });
        true
    }

    /// Forgets an owner whose claim does not stand in its log any more: the next announcement counts, whatever its run.
    pub fn forget(&mut self, key: &str, run: i64) {
        if self.owner(key).is_some_and(|owner| owner.run == run) {
            self.0.remove(key);
        }
    }

    /// The owner of a partition.
    pub fn owner(&self, key: &str) -> Option<&Owner> {
        self.0.get(key).map(|heard| &heard.owner)
    }

    /// Whether this claim was read from the topic, and no later one.
    pub fn is_published(&self, key: &str, owner: &Owner) -> bool {
        self.0.get(key).is_some_and(|heard| heard.published && heard.owner == *owner)
    }

    /// The names of the nodes that own any partition of a service.
    pub fn owning(&self, service: &str) -> BTreeSet<String> {
        let prefix = format!("{service}/");
        self.0.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(_, heard)| heard.owner.node.clone()).collect()
    }

    /// The nodes that own any partition, by name, with their addresses; where a name was heard with several, with that of the last.
    pub fn nodes(&self) -> BTreeMap<String, String> {
        let mut heard: Vec<&Heard> = self.0.values().collect();
        heard.sort_by_key(|heard| heard.at);
        heard.into_iter().map(|heard| (heard.owner.node.clone(), heard.owner.address.clone())).collect()
    }
}

/// Says when a node's claims have to be announced.
#[derive(Debug, Default)]
pub(crate) struct Announcer(HashMap<i32, (i64, Instant)>);

impl Announcer {
    /// Those of a service's claims that are due: new ones at once, those that did not come back from the topic soon, all others from time to
    /// time. `is_published` says which came back. A partition that is written here no more is forgotten.
    pub fn due(&mut self, claims: &[(i32, i64)], is_published: impl Fn(i32, i64) -> bool, now: Instant) -> Vec<(i32, i64)> {
        self.0.retain(|partition, (run, _)| claims.contains(&(*partition, *run)));
        let is_due = |(partition, run): &&(i32, i64)| {
            let told = self.0.get(partition).map(|(_, at)| now.saturating_duration_since(*at));
            told.is_none_or(|since| since >= REPEAT || since >= AGAIN && !is_published(*partition, *run))
        };
        let due: Vec<(i32, i64)> = claims.iter().filter(is_due).copied().collect();
        self.0.extend(due.iter().map(|(partition, run)| (*partition, (*run, now))));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(node: &str, run: i64) -> Owner {
        Owner { node: node.to_owned(), address: format!("{node}:1"), run }
    }

    #[test]
    fn the_highest_run_wins_whatever_order_announcements_are_read_in() {
        let now = Instant::now();
        for order in [[3, 7, 5], [7, 3, 5], [5, 7, 3], [3, 5, 7]] {
            let mut heard = Announcements::default();
            for run in order {
                heard.hear("accounts/0", owner(&format!("node-{run}"), run), true, now);
            }
            assert_eq!(heard.owner("accounts/0").map(|owner| owner.run), Some(7), "{order:?}");
        }
    }

    #[test]
    fn a_run_that_nobody_repeats_any_more_gives_way() {
        let (mut heard, now) = (Announcements::default(), Instant::now());
        heard.hear("accounts/0", owner("of another log", 700), true, now);
        assert!(!heard.hear("accounts/0", owner("b", 3), true, now + SILENT / 2));
        assert!(heard.hear("accounts/0", owner("b", 3), true, now + SILENT));
        assert_eq!(heard.owner("accounts/0"), Some(&owner("b", 3)));
    }

    #[test]
    fn a_claim_that_its_log_has_lost_gives_way_at_once_and_no_later_one_does() {
        let (mut heard, now) = (Announcements::default(), Instant::now());
        heard.hear("accounts/0", owner("a", 213), true, now);
        heard.forget("accounts/0", 200);
        assert!(!heard.hear("accounts/0", owner("b", 194), true, now));
        heard.forget("accounts/0", 213);
        assert!(heard.hear("accounts/0", owner("b", 194), true, now));
        assert_eq!(heard.owner("accounts/0"), Some(&owner("b", 194)));
    }

    #[test]
    fn ones_own_claim_is_known_at_once_and_published_when_it_comes_back() {
        let (mut heard, now) = (Announcements::default(), Instant::now());
        heard.hear("accounts/0", owner("a", 5), false, now);
        assert!(heard.owner("accounts/0").is_some() && !heard.is_published("accounts/0", &owner("a", 5)));
        heard.hear("accounts/0", owner("a", 5), true, now);
        heard.hear("accounts/0", owner("a", 5), false, now);
        assert!(heard.is_published("accounts/0", &owner("a", 5)), "a repeat does not undo it");
        heard.hear("accounts/0", owner("b", 9), true, now);
        assert!(!heard.is_published("accounts/0", &owner("a", 5)));
    }

    #[test]
    fn a_claim_is_announced_until_it_comes_back_and_then_from_time_to_time() {
        let (mut announcer, now) = (Announcer::default(), Instant::now());
        let claims = [(0, 4), (1, 2)];
        assert_eq!(announcer.due(&claims, |_, _| false, now), claims);
        assert_eq!(announcer.due(&claims, |_, _| false, now + AGAIN / 2), []);
        assert_eq!(announcer.due(&claims, |partition, _| partition == 0, now + AGAIN), [(1, 2)], "the other one came back");
        assert_eq!(announcer.due(&claims, |_, _| true, now + REPEAT), [(0, 4)]);
        assert_eq!(announcer.due(&[(0, 9)], |_, _| true, now + REPEAT), [(0, 9)], "another run is news");
        assert_eq!(announcer.due(&[(0, 9), (1, 2)], |_, _| true, now + REPEAT), [(1, 2)], "so is one that was written elsewhere meanwhile");
    }
}
