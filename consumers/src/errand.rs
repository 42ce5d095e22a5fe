//! A reaction on its way: what is to be done, for which event, and how often it was tried.

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
    /// Its attempts are used up: a person decides.
    Dead,
}

/// A reaction on its way. Put by it is a row of the service's database.
#[derive(Clone, Debug, PartialEq)]
pub struct Errand {
    /// `<event id>/<reactor>/<index>`: the same at every delivery of the event.
    pub id: String,
    /// The reactor that asks for it.
    pub reactor: String,
    /// Which of the reactor's reactions to the event it is, from 0.
    pub index: u32,
    /// Where the event stands.
    pub position: Position,
    /// Which of all reactions to the event it is, from 0: the order in which they were asked for.
    pub number: u32,
    /// Whose event it is.
    pub source_aggregate: Uuid,
    /// The event's id.
    pub event_id: String,
    /// Who and why, as the event has it.
    pub cause: Cause,
    /// The aggregate that it is about. It stays the same when the task changes.
    pub target: Uuid,
    /// What is to be done. An effect that is done becomes the command that records it.
    pub task: Task,
    /// Whether it is still tried.
    pub status: Status,
    /// How many attempts failed by its own fault.
    pub attempts: u32,
    /// How many attempts failed, whoever was at fault.
    pub tries: u32,
    /// When it was asked for first; redriving it begins anew.
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

    /// Whose event and whom it is about.
    pub(crate) fn pair(&self) -> Pair {
        (self.source_aggregate, self.target)
    }

    /// The partition of the event.
    pub fn source(&self) -> PartitionId {
        PartitionId { service: self.position.service.clone(), partition: self.position.partition }
    }

    /// Notes an attempt that failed, and when the next one is.
    pub(crate) fn postpone(&mut self, reason: String, counts: bool, patience: &Patience, now: Timestamp) {
        self.tries += 1;
        self.attempts += u32::from(counts);
        let pause = i64::try_from(patience.pause(self.tries).as_millis()).unwrap_or(i64::MAX);
        self.due = now.plus_millis(pause);
        self.reason = reason;
    }

    /// True when it is not to be tried any more by itself.
    pub(crate) fn is_used_up(&self, patience: &Patience, now: Timestamp) -> bool {
        let within = i64::try_from(patience.within.as_millis()).unwrap_or(i64::MAX);
        self.attempts >= patience.attempts || now.0.saturating_sub(self.since.0) >= within
    }
}
