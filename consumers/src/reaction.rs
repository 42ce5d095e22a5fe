//! Reactions: the commands and effects that an event leads to, as data.

use event_sourcing::{Aggregate, AnyCommand, AnyEvent, FromLog, Recorded, Sources};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, sync::Arc};
use uuid::Uuid;

/// A command or an effect that an event leads to, and the name of the reactor that asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reaction {
    /// The reactor: `reserve-stock`. The ids of commands are made from it, so it never changes.
    pub reactor: &'static str,
    /// The command or the effect.
    pub task: Task,
}

/// A command to be sent or an effect to be performed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// A command to an aggregate.
    Command(AnyCommand),
    /// An effect outside of the log.
    Effect(Effect),
}

/// Something to be done outside of the log. Whoever performs it must treat a second request under the same key as a repeat of the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Its kind: `capture-payment`. The kind decides who performs it.
    pub kind: String,
    /// The aggregate that it is for. Order is kept among all reactions of one aggregate's events to the same target.
    pub target: Uuid,
    /// Identifies it to the world outside.
    pub key: String,
    /// Further data for the performer.
    pub payload: Value,
    /// A question to an aggregate, which refuses it where the effect need not be performed any more: its outcome is recorded, say. It is
    /// asked before each attempt that may repeat an earlier one.
    pub question: Option<AnyCommand>,
}

impl Effect {
    /// An effect for an aggregate, under a key that is the aggregate's id.
    pub fn new(kind: &str, target: Uuid) -> Self {
        Self { kind: kind.to_owned(), target, key: target.to_string(), payload: Value::Null, question: None }
    }

    /// Sets another key, where the aggregate has several such effects.
    #[must_use]
    pub fn keyed(self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self }
    }

    /// Adds data for the performer.
    #[must_use]
    pub fn with(self, payload: &impl Serialize) -> Self {
        let payload = serde_json::to_value(payload).expect("a payload is made of structs, texts, numbers and lists, which is always JSON");
        Self { payload, ..self }
    }

    /// Adds the question: a repeat performs the effect only if its target, of type `A`, does not refuse it.
    #[must_use]
    pub fn while_allowed<A: Aggregate>(self, question: &A::Command) -> Self {
        Self { question: Some(AnyCommand::to::<A>(self.target, question)), ..self }
    }
}

impl Reaction {
    /// A command to an aggregate of type `A`.
    pub fn command<A: Aggregate>(reactor: &'static str, id: Uuid, command: &A::Command) -> Self {
        Self { reactor, task: Task::Command(AnyCommand::to::<A>(id, command)) }
    }

    /// An effect outside of the log.
    pub fn effect(reactor: &'static str, effect: Effect) -> Self {
        Self { reactor, task: Task::Effect(effect) }
    }
}

impl Task {
    /// The aggregate that it is about.
    pub fn target(&self) -> Uuid {
        match self {
            Self::Command(command) => command.aggregate_id,
            Self::Effect(effect) => effect.target,
        }
    }

    /// Its kind, in a word or two, for people: `capture-payment`, or `a command to orders`.
    pub fn kind(&self) -> String {
        match self {
            Self::Command(command) => format!("a command to {}", command.service),
            Self::Effect(effect) => effect.kind.clone(),
        }
    }
}

/// A reactor's function, its event type erased.
type React = dyn Fn(&Recorded<AnyEvent>) -> Vec<Reaction> + Send + Sync;

/// A pure function from events to reactions.
#[derive(Clone)]
pub struct Reactor {
    sources: Sources,
    react: Arc<React>,
}

impl Reactor {
    /// Reacts to the events of `E`.
    pub fn of<E: FromLog>(react: fn(&Recorded<E>) -> Vec<Reaction>) -> Self {
        let erased = move |record: &Recorded<AnyEvent>| E::of(&record.event).map_or_else(Vec::new, |event| react(&record.with(event)));
        Self { sources: E::SOURCES, react: Arc::new(erased) }
    }

    /// The services whose events it reads.
    pub fn sources(&self) -> Sources {
        self.sources
    }

    /// The reactions to an event; none where the reactor does not read it.
    pub fn react(&self, event: &Recorded<AnyEvent>) -> Vec<Reaction> {
        (self.react)(event)
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").field("sources", &self.sources).finish_non_exhaustive()
    }
}
