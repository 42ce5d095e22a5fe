//! All groups, and the clock that runs for them.

use super::{
    group::{Group, State},
    member::{Described, GroupError, Identity, Join, Joined, Sync, Synced},
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    ops::RangeInclusive,
    time::{Duration, Instant},
};
use tokio::sync::{Notify, oneshot};

/// Sessions shorter than a pause of a busy machine, or longer than anybody waits, are refused.
const SESSIONS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(30 * 60);
/// So many members, of all groups together.
const MOST_MEMBERS: usize = 10_000;

/// The coordinator of all groups.
#[derive(Debug, Default)]
pub(crate) struct Coordinator {
    groups: Mutex<HashMap<String, Group>>,
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
            if groups.values().map(Group::size).sum::<usize>() >= MOST_MEMBERS {
                return Err(GroupError::TooMany);
            }
            groups.entry(group.to_owned()).or_default().join(join, reply, Instant::now());
            forget_if_unused(&mut groups, group);
        }
        self.sooner.notify_one();
        joined.await.unwrap_or(Err(GroupError::RebalanceInProgress))
    }

    /// Asks for the member's part; the answer comes when the leader has assigned.
    pub async fn sync(&self, group: &str, sync: Sync) -> Result<Synced, GroupError> {
        let (reply, synced) = oneshot::channel();
        self.of(group, |group| {
            group.sync(sync, reply, Instant::now());
            Ok(())
        })?;
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
