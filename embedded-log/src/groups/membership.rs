//! What members of a group do: they get their parts, say that they are alive, leave, or are taken for dead.

use super::{
    group::{Group, State},
    member::{Described, DescribedMember, GroupError, Identity, Member, Reply, Sync, Synced},
};
use bytes::Bytes;
use std::{collections::HashMap, time::Instant};

impl Group {
    /// Gives a member its part: at once, or when the leader has assigned. The members may keep so many bytes.
    pub fn sync(&mut self, sync: Sync, most: usize, reply: Reply<Synced>, now: Instant) {
        match self.check_sync(&sync, now).and_then(|id| self.assign_if_leader(&id, sync.assignments, most).map(|()| id)) {
            Err(refused) => drop(reply.send(Err(refused))),
            Ok(id) => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.syncing = Some(reply);
                }
                if self.state == State::Stable {
                    self.tell_synced();
                }
            }
        }
    }

    fn check_sync(&mut self, sync: &Sync, now: Instant) -> Result<String, GroupError> {
        let id = self.check(&sync.who, sync.generation, now)?;
        let differs = |said: &Option<String>, is: &str| said.as_deref().is_some_and(|said| said != is);
        if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, &self.protocol) {
            return Err(GroupError::InconsistentProtocol);
        }
        if matches!(self.state, State::Preparing { .. }) { Err(GroupError::RebalanceInProgress) } else { Ok(id) }
    }

    fn assign_if_leader(&mut self, id: &str, assignments: Vec<(String, Bytes)>, most: usize) -> Result<(), GroupError> {
        if !matches!(self.state, State::Completing { .. }) || self.leader != id {
            return Ok(());
        }
        let mut assignments: HashMap<String, Bytes> = assignments.into_iter().collect();
        assignments.retain(|id, _| self.members.contains_key(id));
        let assigned: usize = assignments.values().map(Bytes::len).sum();
        let joined: usize = self.members.values().map(|member| member.joined_bytes).sum();
        if joined + assigned > most {
            return Err(GroupError::TooLarge);
        }
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
        }
        self.state = State::Stable;
        Ok(())
    }

    fn tell_synced(&mut self) {
        for member in self.members.values_mut() {
            if let Some(reply) = member.syncing.take() {
                let (protocol_type, protocol) = (self.protocol_type.clone(), self.protocol.clone());
                let _ = reply.send(Ok(Synced { protocol_type, protocol, assignment: member.assignment.clone() }));
            }
        }
    }

    /// A member of this generation says that it is alive. Returns its id.
    fn check(&mut self, who: &Identity, generation: i32, now: Instant) -> Result<String, GroupError> {
        let id = self.known(who)?;
        if generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.refresh(now);
        }
        Ok(id)
    }

    pub fn heartbeat(&mut self, who: &Identity, generation: i32, now: Instant) -> Result<(), GroupError> {
        self.check(who, generation, now)?;
        if matches!(self.state, State::Preparing { .. }) { Err(GroupError::RebalanceInProgress) } else { Ok(()) }
    }

    /// Whether this member may commit offsets. Somebody outside the group may while it has no members.
    pub fn may_commit(&mut self, who: &Identity, generation: i32, now: Instant) -> Result<(), GroupError> {
        if generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        self.check(who, generation, now)?;
        if matches!(self.state, State::Completing { .. }) { Err(GroupError::RebalanceInProgress) } else { Ok(()) }
    }

    pub fn leave(&mut self, who: &Identity, now: Instant) -> Result<(), GroupError> {
        if self.given.contains_key(&who.member) {
            self.take_back(&who.member, now);
            return Ok(());
        }
        let id = self.known(who)?;
        self.remove(&id);
        self.rebalance(now);
        Ok(())
    }

    fn remove(&mut self, id: &str) {
        let Some(gone) = self.members.remove(id) else { return };
        if let Some(instance) = gone.instance {
            self.instances.remove(&instance);
        }
        if let Some(waiting) = gone.joining {
            let _ = waiting.send(Err(GroupError::UnknownMember));
        }
        if let Some(waiting) = gone.syncing {
            let _ = waiting.send(Err(GroupError::UnknownMember));
        }
    }

    /// Lets everything lapse whose time is up.
    pub fn expire(&mut self, now: Instant) {
        self.given.retain(|_, until| *until > now);
        self.members.values_mut().filter(|member| member.is_waiting()).for_each(|member| member.refresh(now));
        let is_late = |member: &Member| match self.state {
            State::Completing { until } => until <= now && member.syncing.is_none(),
            _ => false,
        };
        let dead = self.members.iter().filter(|(_, member)| member.expires <= now || is_late(member));
        let dead: Vec<String> = dead.map(|(id, _)| id.clone()).collect();
        dead.iter().for_each(|id| self.remove(id));
        match self.state {
            State::Preparing { until } if until <= now => self.complete(now),
            _ if !dead.is_empty() => self.rebalance(now),
            _ => self.complete_if_all_joined(now),
        }
    }

    /// When [`Group::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let state = match self.state {
            State::Preparing { until } | State::Completing { until } => Some(until),
            State::Empty | State::Stable => None,
        };
        self.members.values().map(|member| member.expires).chain(self.given.values().copied()).chain(state).min()
    }

    /// Nobody is in it or about to be.
    pub fn is_unused(&self) -> bool {
        self.members.is_empty() && self.given.is_empty()
    }

    pub fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Takes back an id that was given and not used.
    pub fn take_back(&mut self, id: &str, now: Instant) {
        if self.given.remove(id).is_some() {
            self.complete_if_all_joined(now);
        }
    }

    pub fn describe(&self, group: &str) -> Described {
        let member = |(id, member): (&String, &Member)| DescribedMember {
            member: id.clone(),
            instance: member.instance.clone(),
            client: member.client.clone(),
            metadata: member.metadata(&self.protocol),
            assignment: member.assignment.clone(),
        };
        Described {
            group: group.to_owned(),
            state: self.state,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            members: self.members.iter().map(member).collect(),
        }
    }
}
