use crate::{Command, Event};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// A consistency boundary: decides commands on its own state and folds its own events.
///
/// `Default` is the state "not created yet". The shape (decide by reference, infallible fold by reference) follows the
/// decider pattern, so that deciding cannot mutate and replay clones nothing.
pub trait Aggregate: Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The field's name for this kind of aggregate, in the singular: `order`.
    const NAME: &'static str;
    /// The version of `apply` and of the state's form: a snapshot of another version is thrown away. It has no default, since an aggregate
    /// that forgot it would take an outdated snapshot for its state.
    const FOLD: u64;
    /// The commands that it decides.
    type Command: Command;
    /// The events that it makes and folds.
    type Event: Event;
    /// Why a command was refused.
    type Error: Refusal;

    /// Decides: the events that the command makes, none when there is nothing left to do, or a refusal.
    ///
    /// # Errors
    /// A business rule says no.
    fn handle(&self, command: Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// Folds one event that has happened. It cannot fail: what happened, happened.
    fn apply(&mut self, event: &Self::Event);

    /// The account that the aggregate of this id belongs to, where it belongs to one. A caller who may give commands to their own things only
    /// is answered as if any other did not exist, by the state on which the command is decided.
    fn belongs_to(&self, _id: Uuid) -> Option<Uuid> {
        None
    }
}

/// A business rule said no. The `Display` text names the rule and its bounds for a person.
pub trait Refusal: std::error::Error + Send + Sync + 'static {
    /// A stable, machine-readable name of the rule in kebab case: `insufficient-stock`.
    fn code(&self) -> &'static str;

    /// The field of the command that broke the rule, where one did.
    fn field(&self) -> Option<&'static str> {
        None
    }

    /// True when the aggregate that the command speaks of does not exist (a 404 at the edge).
    fn is_not_found(&self) -> bool {
        false
    }

    /// What a program that sends the command may need to go on, where words and a code are not enough. People do not see it.
    fn details(&self) -> Option<Details> {
        None
    }
}

/// What a refusal tells a program: any value that serde knows, in a form that travels between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details(serde_json::Value);

impl Details {
    /// The details that this value is; none where JSON cannot say it.
    pub fn of(value: &impl serde::Serialize) -> Option<Self> {
        serde_json::to_value(value).ok().map(Self)
    }

    /// The value; none where these are details of something else.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        T::deserialize(&self.0).ok()
    }

    /// As JSON, for the wire.
    pub fn to_json(&self) -> String {
        self.0.to_string()
    }

    /// From [`Details::to_json`]'s text; none where it is no JSON.
    pub fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok().map(Self)
    }
}

/// A refusal that carries nothing but its rule, for domains whose refusals are few.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Rule {
    /// The rule's stable name in kebab case.
    pub code: &'static str,
    /// The rule and its bounds, for a person.
    pub words: &'static str,
}

impl Refusal for Rule {
    fn code(&self) -> &'static str {
        self.code
    }
}
