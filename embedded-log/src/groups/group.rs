//! How members join a group. A group is a state machine without I/O and without a clock.

use super::member::{GroupError, Identity, Join, Joined, JoinedMember, Member, Reply};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// The shortest time that a rebalance waits for its members.
const SHORTEST_REBALANCE: Duration = Duration::from_millis(100);
/// A client that is given an id joins with it at once. One that comes later is told that nobody knows it, and asks for another.
const GIVEN_FOR: Duration = Duration::from_secs(10);

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum State {
    /// It has no members.
    #[default]
    Empty,
    /// Members are joining, until all have or the time is up.
    Preparing { until: Instant },
    /// All have joined; the leader is assigning.
    Completing { until: Instant },
    /// Each member has its part.
    Stable,
}

impl State {
    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing { .. } => "PreparingRebalance",
            Self::Completing { .. } => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// A group and its members.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) state: State,
    pub(super) generation: i32,
    pub(super) protocol_type: String,
    pub(super) protocol: String,
    pub(super) leader: String,
    pub(super) members: BTreeMap<String, Member>,
    /// Static members' ids, by their instances.
    pub(super) instances: HashMap<String, String>,
    /// Ids that were given to members that have not joined with them yet, and when they lapse.
    pub(super) given: HashMap<String, Instant>,
    pub(super) joined_so_far: u64,
}

impl Group {
    /// The bytes that its members keep.
    pub fn bytes(&self) -> usize {
        self.members.values().map(Member::bytes).sum()
    }

    /// The bytes that its members would keep if this one joined.
    pub fn bytes_with(&self, join: &Join) -> usize {
        self.bytes() - self.former_self(&join.who).map_or(0, |member| member.joined_bytes) + join.bytes()
    }

    /// The member whose place this one keeps or takes.
    pub fn former_self(&self, who: &Identity) -> Option<&Member> {
        self.members.get(&who.member).or_else(|| self.members.get(self.instances.get(who.instance.as_ref()?)?))
    }

    /// Takes a member in, or back. It is answered when all have joined, or at once if nothing changes.
    pub fn join(&mut self, join: Join, reply: Reply<Joined>, now: Instant) {
        let placed = self.place(&join, now);
        match placed {
            Ok(Place::New(id)) => self.add(id, join, reply, now),
            Ok(Place::Known(id)) => self.rejoin(&id, join, reply, now),
            Ok(Place::Replaces { old, new }) => self.replace(&old, new, join, reply, now),
            Err(refused) => drop(reply.send(Err(refused))),
        }
    }

    fn place(&mut self, join: &Join, now: Instant) -> Result<Place, GroupError> {
        if !self.has_protocol_for(join) {
            return Err(GroupError::InconsistentProtocol);
        }
        let Identity { member, instance } = &join.who;
        match (member.is_empty(), instance) {
            (true, Some(instance)) => {
                let new = format!("{instance}-{}", Uuid::new_v4());
                Ok(match self.instances.get(instance) {
                    Some(old) => Place::Replaces { old: old.clone(), new },
                    None => Place::New(new),
                })
            }
            (true, None) => self.place_new(join, now),
            (false, _) if self.given.remove(member).is_some() => Ok(Place::New(member.clone())),
            (false, _) => self.known(&join.who).map(Place::Known),
        }
    }

    fn place_new(&mut self, join: &Join, now: Instant) -> Result<Place, GroupError> {
        let id = format!("{}-{}", join.client, Uuid::new_v4());
        if !join.joins_twice {
            return Ok(Place::New(id));
        }
        self.given.insert(id.clone(), now + join.session.min(GIVEN_FOR));
        Err(GroupError::MemberIdRequired(id))
    }

    /// Whether the others have a protocol in common with this member.
    fn has_protocol_for(&self, join: &Join) -> bool {
        let mut others = self.members.iter().filter(|(id, _)| **id != join.who.member).map(|(_, member)| member).peekable();
        if join.protocol_type.is_empty() || join.protocols.is_empty() {
            return false;
        }
        if others.peek().is_none() {
            return true;
        }
        let others: Vec<&Member> = others.collect();
        let in_common = |(name, _): &(String, Bytes)| others.iter().all(|member| member.has_protocol(name));
        self.protocol_type == join.protocol_type && join.protocols.iter().any(in_common)
    }

    /// The id of a member that is there.
    pub(super) fn known(&self, who: &Identity) -> Result<String, GroupError> {
        match &who.instance {
            Some(instance) => match self.instances.get(instance) {
                Some(id) if who.member.is_empty() || *id == who.member => Ok(id.clone()),
                Some(_) => Err(GroupError::FencedInstance),
                None => Err(GroupError::UnknownMember),
            },
            None if self.members.contains_key(&who.member) => Ok(who.member.clone()),
            None => Err(GroupError::UnknownMember),
        }
    }

    fn add(&mut self, id: String, join: Join, reply: Reply<Joined>, now: Instant) {
        if self.members.is_empty() {
            self.protocol_type.clone_from(&join.protocol_type);
        }
        if let Some(instance) = &join.who.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.joined_so_far += 1;
        let mut member = Member::new(join, self.joined_so_far, now);
        member.joining = Some(reply);
        self.members.insert(id, member);
        self.rebalance(now);
    }

    fn rejoin(&mut self, id: &str, join: Join, reply: Reply<Joined>, now: Instant) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.refresh(now);
        let changes_nothing = member.protocols == join.protocols
            && match self.state {
                // It may not have got the answer to its first request.
                State::Completing { .. } => true,
                // The leader joins again to have the partitions assigned anew.
                State::Stable => self.leader != id,
                State::Empty | State::Preparing { .. } => false,
            };
        if changes_nothing {
            let _ = reply.send(Ok(self.joined(id)));
            return;
        }
        member.update(join);
        member.joining = Some(reply);
        self.rebalance(now);
    }

    /// A static member has started again: it takes the place of its former self, with a new id. If it is as before, nobody need hear of it.
    fn replace(&mut self, old: &str, new: String, join: Join, reply: Reply<Joined>, now: Instant) {
        let Some(mut member) = self.members.remove(old) else { return };
        if let Some(waiting) = member.joining.take() {
            let _ = waiting.send(Err(GroupError::FencedInstance));
        }
        if let Some(waiting) = member.syncing.take() {
            let _ = waiting.send(Err(GroupError::FencedInstance));
        }
        let is_as_before = member.metadata(&self.protocol) == selected(&join, &self.protocol);
        let (led, may_skip) = (self.leader == old, join.may_skip);
        if led {
            self.leader.clone_from(&new);
        }
        self.instances.extend(join.who.instance.clone().map(|instance| (instance, new.clone())));
        member.update(join);
        member.refresh(now);
        self.members.insert(new.clone(), member);
        // A leader that cannot be told to skip would assign, and its assignment would be lost.
        if self.state == State::Stable && is_as_before && (!led || may_skip) {
            let _ = reply.send(Ok(Joined { skip_assignment: led, ..self.joined(&new) }));
            return;
        }
        if let Some(member) = self.members.get_mut(&new) {
            member.joining = Some(reply);
        }
        self.rebalance(now);
    }

    /// Has all members join again.
    pub(super) fn rebalance(&mut self, now: Instant) {
        for member in self.members.values_mut() {
            if let Some(reply) = member.syncing.take() {
                let _ = reply.send(Err(GroupError::RebalanceInProgress));
            }
        }
        if !matches!(self.state, State::Preparing { .. }) {
            self.state = State::Preparing { until: now + self.longest_rebalance() };
        }
        self.complete_if_all_joined(now);
    }

    fn longest_rebalance(&self) -> Duration {
        let longest = self.members.values().map(|member| member.rebalance).max().unwrap_or_default();
        // Without an end to wait for, a rebalance that nobody joins would begin again at once, for ever.
        longest.max(SHORTEST_REBALANCE)
    }

    pub(super) fn complete_if_all_joined(&mut self, now: Instant) {
        let is_preparing = matches!(self.state, State::Preparing { .. });
        if is_preparing && self.given.is_empty() && self.members.values().all(|member| member.joining.is_some()) {
            self.complete(now);
        }
    }

    /// Ends the joining: those who have not joined are out, but for static members, who may be starting again.
    pub(super) fn complete(&mut self, now: Instant) {
        let late = |member: &Member| member.joining.is_none() && member.instance.is_none();
        self.members.retain(|_, member| !late(member));
        if self.members.is_empty() {
            (self.state, self.protocol, self.leader) = (State::Empty, String::new(), String::new());
            self.generation += 1;
            return;
        }
        let joined = self.members.iter().filter(|(_, member)| member.joining.is_some());
        let first = joined.min_by_key(|(id, member)| (**id != self.leader, member.order)).map(|(id, _)| id.clone());
        let until = now + self.longest_rebalance();
        let Some(leader) = first else {
            self.state = State::Preparing { until };
            return;
        };
        self.leader = leader;
        self.generation += 1;
        self.protocol = self.choose_protocol();
        self.state = State::Completing { until };
        self.tell_joined(now);
    }

    /// Each member votes for its best protocol among those that all have.
    fn choose_protocol(&self) -> String {
        let is_common = |name: &str| self.members.values().all(|member| member.has_protocol(name));
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| is_common(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.to_owned()).unwrap_or_default()
    }

    fn tell_joined(&mut self, now: Instant) {
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id);
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.refresh(now);
            if let Some(reply) = member.joining.take() {
                let _ = reply.send(Ok(joined));
            }
        }
    }

    fn joined(&self, id: &str) -> Joined {
        let all = || {
            let member = |(id, member): (&String, &Member)| JoinedMember {
                member: id.clone(),
                instance: member.instance.clone(),
                metadata: member.metadata(&self.protocol),
            };
            self.members.iter().map(member).collect()
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member: id.to_owned(),
            members: if self.leader == id { all() } else { Vec::new() },
            skip_assignment: false,
        }
    }
}

/// The metadata of a joining member for a protocol.
fn selected(join: &Join, protocol: &str) -> Bytes {
    let found = join.protocols.iter().find(|(name, _)| name == protocol);
    found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
}

/// Where a joining member belongs.
enum Place {
    New(String),
    Known(String),
    Replaces { old: String, new: String },
}
