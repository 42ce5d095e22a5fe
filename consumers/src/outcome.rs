//! How an effect ends.

use crate::Effect;
use event_sourcing::AnyCommand;

/// How an effect ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is done; the command records that, where it is to be recorded.
    Done(Option<AnyCommand>),
    /// The world outside said no for good; the command records that.
    Refused(Option<AnyCommand>),
    /// It is not done, as far as anybody knows. It is tried again.
    NotNow(NotNow),
}

/// Why an effect is not done yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotNow {
    /// The reason, for a person.
    pub reason: String,
    /// What is at fault.
    pub fault: Fault,
}

/// What is at fault when an effect is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This effect: its destination answers, and refuses it. The attempt counts, and says nothing against the destination.
    Effect,
    /// This effect or its destination, for all that anybody can tell: an error, or silence. The attempt counts, until so many different effects
    /// end so that the destination is blamed.
    Unclear,
    /// Its destination, which answers nobody: no attempt is used up.
    Destination,
    /// Ourselves (a view that is behind, say): no attempt is used up, and the destination is not blamed.
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
    /// Performs an effect. Cut off at its destination's time limit.
    async fn perform(&self, effect: &Effect) -> Outcome;

    /// What records that the effect's attempts are used up, where that is to be recorded. It stays among the dead letters all the same.
    fn give_up(&self, _effect: &Effect, _reason: &str) -> Option<AnyCommand> {
        None
    }
}
