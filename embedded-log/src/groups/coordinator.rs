//! All groups, and the clock that runs for them.

use super::{
    group::{Group, State},
    member::{Described, GroupError, Identity, Join, Joined, Sync, Synced},
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    ops::RangeInclusive,
    time::{Duration, Instant},
};
use tokio::sync::{Notify, oneshot};

/// Sessions shorter than a pause of a busy machine, or longer than anybody waits, are refused.
const SESSIONS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(30 * 60);
/// How much there may be of what clients make the coordinator remember.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Members of all groups together.
    pub members: usize,
    /// Bytes that the members of a group keep: what they say of themselves, and their parts. In Apache Kafka they must fit into one record,
    /// which has 1 MB at most.
    pub group_bytes: usize,
    /// Bytes that the members of all groups together keep.
    pub bytes: usize,
    /// Ids that were given to clients that have not joined with them yet. For another one the oldest is taken back, so clients that ask for
    /// ids and never join lock nobody out.
    pub given: usize,
    /// Bytes of those ids and their groups' names.
    pub given_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { members: 10_000, group_bytes: 4 << 20, bytes: 64 << 20, given: 10_000, given_bytes: 4 << 20 }
    }
}

/// The coordinator of all groups.
#[derive(Debug, Default)]
pub(crate) struct Coordinator {
    pub(super) limits: Limits,
    groups: Mutex<HashMap<String, Group>>,
    given: Mutex<Given>,
    /// Rings when a deadline may have come nearer.
    sooner: Notify,
}

impl Coordinator {
    /// Joins a group; the answer comes when all its members have joined.
    pub async fn join(&self, group: &str, join: Join) -> Result<Joined, GroupError> {
        if group.is_empty() {
            return Err(GroupError::InvalidGroup);
        }
        if !SESSIONS.contains(&join.session) {
            return Err(GroupError::InvalidSession);
        }
        let (reply, joined) = oneshot::channel();
        {
            let mut groups = self.groups.lock();
            self.check_room(&groups, group, &join)?;
            groups.entry(group.to_owned()).or_default().join(join, reply, Instant::now());
            forget_if_unused(&mut groups, group);
        }
        self.sooner.notify_one();
        let outcome = joined.await.unwrap_or(Err(GroupError::RebalanceInProgress));
        if let Err(GroupError::MemberIdRequired(id)) = &outcome {
            self.remember_given(group, id);
        }
        outcome
    }

    fn remember_given(&self, group: &str, id: &str) {
        let too_many = self.given.lock().add(group.to_owned(), id.to_owned(), &self.limits);
        let mut groups = self.groups.lock();
        for (name, id) in too_many {
            if let Some(group) = groups.get_mut(&name) {
                group.take_back(&id, Instant::now());
            }
            forget_if_unused(&mut groups, &name);
        }
    }

    /// Asks for the member's part; the answer comes when the leader has assigned.
    pub async fn sync(&self, group: &str, sync: Sync) -> Result<Synced, GroupError> {
        let (reply, synced) = oneshot::channel();
        {
            let mut groups = self.groups.lock();
            let most = self.most_bytes(&groups, group);
            groups.get_mut(group).ok_or(GroupError::UnknownMember)?.sync(sync, most, reply, Instant::now());
            forget_if_unused(&mut groups, group);
        }
        self.sooner.notify_one();
        synced.await.unwrap_or(Err(GroupError::RebalanceInProgress))
    }

    pub fn heartbeat(&self, group: &str, who: &Identity, generation: i32) -> Result<(), GroupError> {
        self.of(group, |group| group.heartbeat(who, generation, Instant::now()))
    }

    pub fn leave(&self, group: &str, who: &Identity) -> Result<(), GroupError> {
        let left = self.of(group, |group| group.leave(who, Instant::now()));
        self.sooner.notify_one();
        left
    }

    /// Whether somebody may commit offsets of a group.
    pub fn may_commit(&self, group: &str, who: &Identity, generation: i32) -> Result<(), GroupError> {
        if group.is_empty() {
            return Err(GroupError::InvalidGroup);
        }
        match self.groups.lock().get_mut(group) {
            Some(group) => group.may_commit(who, generation, Instant::now()),
            None if generation < 0 => Ok(()),
            None => Err(GroupError::UnknownMember),
        }
    }

    pub fn has_members(&self, group: &str) -> bool {
        self.groups.lock().get(group).is_some_and(Group::has_members)
    }

    /// The group, if anybody is in it.
    pub fn describe(&self, group: &str) -> Option<Described> {
        self.groups.lock().get(group).map(|found| found.describe(group))
    }

    /// All groups that anybody is in: name, type and state.
    pub fn list(&self) -> Vec<(String, String, State)> {
        let groups = self.groups.lock();
        let listed = |(name, group): (&String, &Group)| {
            let described = group.describe(name);
            (described.group, described.protocol_type, described.state)
        };
        groups.iter().map(listed).collect()
    }

    /// Lets sessions and rebalances lapse when their time is up. It sleeps until then: while nobody is in a group it does nothing.
    pub async fn keep_time(&self) {
        loop {
            let next = self.groups.lock().values().filter_map(Group::next_deadline).min();
            match next {
                None => self.sooner.notified().await,
                Some(next) => tokio::select! {
                    () = tokio::time::sleep_until(next.into()) => self.expire(Instant::now()),
                    () = self.sooner.notified() => {}
                },
            }
        }
    }

    fn expire(&self, now: Instant) {
        let mut groups = self.groups.lock();
        groups.values_mut().for_each(|group| group.expire(now));
        groups.retain(|_, group| !group.is_unused());
    }

    /// How many bytes the members of a group may keep, beside those of the others.
    fn most_bytes(&self, groups: &HashMap<String, Group>, name: &str) -> usize {
        let of_others = groups.iter().filter(|(other, _)| *other != name).map(|(other, group)| other.len() + group.bytes());
        self.limits.bytes.saturating_sub(of_others.sum::<usize>() + name.len()).min(self.limits.group_bytes)
    }

    /// Whether there is room for what a client says of itself, and for another member. One that is in the group is counted already, and one
    /// that was given an id was let in when it asked for that.
    fn check_room(&self, groups: &HashMap<String, Group>, name: &str, join: &Join) -> Result<(), GroupError> {
        let group = groups.get(name);
        let is_new = join.who.member.is_empty() && group.is_none_or(|group| group.former_self(&join.who).is_none());
        if is_new && groups.values().map(Group::size).sum::<usize>() >= self.limits.members {
            return Err(GroupError::TooMany);
        }
        let bytes = group.map_or_else(|| join.bytes(), |group| group.bytes_with(join));
        if bytes > self.most_bytes(groups, name) { Err(GroupError::TooLarge) } else { Ok(()) }
    }

    fn of<T>(&self, name: &str, work: impl FnOnce(&mut Group) -> Result<T, GroupError>) -> Result<T, GroupError> {
        let mut groups = self.groups.lock();
        let done = work(groups.get_mut(name).ok_or(GroupError::UnknownMember)?);
        forget_if_unused(&mut groups, name);
        done
    }
}

fn forget_if_unused(groups: &mut HashMap<String, Group>, name: &str) {
    if groups.get(name).is_some_and(Group::is_unused) {
        groups.remove(name);
    }
}

/// Ids that were given, the oldest first. Some of them may have been used or have lapsed.
#[derive(Debug, Default)]
struct Given {
    ids: VecDeque<(String, String)>,
    bytes: usize,
}

impl Given {
    /// Remembers another one, and names those for which there is no room any more.
    fn add(&mut self, group: String, id: String, limits: &Limits) -> Vec<(String, String)> {
        self.bytes += group.len() + id.len();
        self.ids.push_back((group, id));
        let mut too_many = Vec::new();
        while self.ids.len() > limits.given || self.bytes > limits.given_bytes {
            let Some((group, id)) = self.ids.pop_front() else { break };
            self.bytes -= group.len() + id.len();
            too_many.push((group, id));
        }
        too_many
    }
}
