//! How an effect ends.

use crate::Effect;
use event_sourcing::AnyCommand;

/// How an effect ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is done; the command, where there is one, records that.
    Done(Option<AnyCommand>),
    /// The world outside refused for good; the command, where there is one, records that.
    Refused(Option<AnyCommand>),
    /// As far as is known it is not done. It is tried again.
    NotNow(NotNow),
}

/// Why an effect is not done yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotNow {
    /// The reason, for a person.
    pub reason: String,
    /// Where the fault lies.
    pub fault: Fault,
}

/// Where the fault lies when an effect is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This effect: its destination answers, and refuses it. The attempt counts, and the destination is not blamed.
    Effect,
    /// This effect or its destination, nobody can tell which: an error, or no answer. The attempt counts, until so many different effects
    /// end like this that the destination is blamed.
    Unclear,
    /// Its destination, which answers nobody: the attempt does not count.
    Destination,
    /// Our own system (a view that is behind, say): the attempt does not count, and the destination is not blamed.
    Ours,
}

impl NotNow {
    /// Not done, for this reason.
    pub fn new(fault: Fault, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), fault }
    }
}

/// Performs the effects of a kind.
#[async_trait::async_trait]
pub trait Perform: Send + Sync + 'static {
    /// Performs an effect. It is cut off at its destination's time limit.
    async fn perform(&self, effect: &Effect) -> Outcome;

    /// The command that records that the effect is given up, where that is to be recorded. The errand stays among the dead letters in any
    /// case.
    fn give_up(&self, _effect: &Effect, _reason: &str) -> Option<AnyCommand> {
        None
    }
}
