//! A reaction on its way: the command or effect, the event that it reacts to, and how often it was tried.

use crate::{Patience, Reaction, Task};
use event_sourcing::{AnyEvent, Cause, Position, Recorded, Timestamp};
use event_store::PartitionId;
use std::collections::HashMap;
use uuid::Uuid;

/// Whether an errand is still tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is tried again when it is due.
    Waiting,
    /// It was given up: a person decides.
    Dead,
}

/// A reaction on its way. An errand that is put by is a row of the service's database.
#[derive(Clone, Debug, PartialEq)]
pub struct Errand {
    /// `<event id>/<reactor>/<index>`: the same at every delivery of the event.
    pub id: String,
    /// The reactor that asked for it.
    pub reactor: String,
    /// Its index among this reactor's reactions to the event, from 0.
    pub index: u32,
    /// The event's position.
    pub position: Position,
    /// Its index among all reactions to the event, from 0: the order in which the reactors asked for them.
    pub number: u32,
    /// The aggregate whose event it is.
    pub source_aggregate: Uuid,
    /// The event's id.
    pub event_id: String,
    /// The event's actor, correlation, causation and trace.
    pub cause: Cause,
    /// The aggregate that it is about. It stays the same when the task changes.
    pub target: Uuid,
    /// The command or effect. Once an effect is done, the command that records it takes its place.
    pub task: Task,
    /// Whether it is still tried.
    pub status: Status,
    /// How many failed attempts count against it.
    pub attempts: u32,
    /// How many attempts failed, whoever was at fault.
    pub tries: u32,
    /// When it was asked for; redriving it begins anew.
    pub since: Timestamp,
    /// When it is tried next.
    pub due: Timestamp,
    /// Why the last attempt failed.
    pub reason: String,
}

/// The two aggregates among whose errands order is kept: whose event it was, and whom the errand is about.
pub(crate) type Pair = (Uuid, Uuid);

impl Errand {
    /// The errands of an event's reactions.
    pub(crate) fn all(event: &Recorded<AnyEvent>, reactions: Vec<Reaction>, now: Timestamp) -> Vec<Self> {
        let mut counts: HashMap<&'static str, u32> = HashMap::new();
        let errand = |(number, Reaction { reactor, task }): (u32, Reaction)| {
            let count = counts.entry(reactor).or_default();
            let index = std::mem::replace(count, *count + 1);
            Self {
                id: format!("{}/{reactor}/{index}", event.event_id),
                reactor: reactor.to_owned(),
                index,
                position: event.position.clone(),
                number,
                source_aggregate: event.aggregate_id,
                event_id: event.event_id.clone(),
                cause: event.cause.clone(),
                target: task.target(),
                task,
                status: Status::Waiting,
                attempts: 0,
                tries: 0,
                since: now,
                due: now,
                reason: String::new(),
            }
        };
        (0..).zip(reactions).map(errand).collect()
    }

    /// The aggregate whose event it is, and the one that the errand is about.
    pub(crate) fn pair(&self) -> Pair {
        (self.source_aggregate, self.target)
    }

    /// The partition of the event.
    pub fn source(&self) -> PartitionId {
        PartitionId { service: self.position.service.clone(), partition: self.position.partition }
    }

    /// Notes a failed attempt, and when the next one is due.
    pub(crate) fn postpone(&mut self, reason: String, counts: bool, patience: &Patience, now: Timestamp) {
        self.tries += 1;
        self.attempts += u32::from(counts);
        let pause = i64::try_from(patience.pause(self.tries).as_millis()).unwrap_or(i64::MAX);
        self.due = now.plus_millis(pause);
        self.reason = reason;
    }

    /// True when its attempts or its time are used up.
    pub(crate) fn is_used_up(&self, patience: &Patience, now: Timestamp) -> bool {
        let within = i64::try_from(patience.within.as_millis()).unwrap_or(i64::MAX);
        self.attempts >= patience.attempts || now.0.saturating_sub(self.since.0) >= within
    }
}
