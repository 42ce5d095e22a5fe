//! Given what happened, when this is asked, then that happens: the language in which the decisions are tested.
//!
//! ```ignore
//! given::<User>([]).when(UserCommand::Close { reason: None }).refused("unknown-user");
//! ```

use crate::{Aggregate, Refusal};
use std::fmt::Debug;

/// The state that `events` lead to.
pub fn fold<'a, A: Aggregate>(events: impl IntoIterator<Item = &'a A::Event>) -> A {
    let mut state = A::default();
    events.into_iter().for_each(|event| state.apply(event));
    state
}

/// Begins a scenario: `events` have happened.
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let events: Vec<_> = events.into_iter().collect();
    Given { state: fold(&events) }
}

/// An aggregate with a past.
#[derive(Clone, Debug)]
pub struct Given<A> {
    state: A,
}

impl<A: Aggregate> Given<A> {
    /// The state that the past led to.
    pub fn state(&self) -> &A {
        &self.state
    }

    /// Asks for `command`.
    pub fn when(self, command: A::Command) -> Decided<A> {
        Decided { outcome: self.state.handle(command), state: self.state }
    }
}

/// An aggregate that has decided a command.
pub struct Decided<A: Aggregate> {
    state: A,
    outcome: Result<Vec<A::Event>, A::Error>,
}

impl<A: Aggregate> Decided<A>
where
    A::Event: Debug + PartialEq,
{
    /// Fails unless exactly these events were made; answers the past with them added.
    #[track_caller]
    pub fn then(mut self, expected: impl IntoIterator<Item = A::Event>) -> Given<A> {
        let expected: Vec<_> = expected.into_iter().collect();
        match self.outcome {
            Ok(events) => assert_eq!(events, expected, "left is what was decided, right what was expected"),
            Err(refusal) => panic!("expected {expected:?}, was refused: {} ({refusal})", refusal.code()),
        }
        expected.iter().for_each(|event| self.state.apply(event));
        Given { state: self.state }
    }

    /// Fails unless the command was accepted and made no event.
    #[track_caller]
    pub fn then_nothing(self) -> Given<A> {
        self.then([])
    }

    /// Fails unless the command was refused under the rule named `code`.
    #[track_caller]
    pub fn refused(self, code: &str) -> Refused<A::Error> {
        match self.outcome {
            Ok(events) => panic!("expected the refusal {code}, was decided: {events:?}"),
            Err(refusal) => {
                assert_eq!(refusal.code(), code, "left is the rule that refused, right the expected one: {refusal}");
                Refused { refusal }
            }
        }
    }

    /// Fails unless the command was refused under the rule named `code` because the aggregate does not exist.
    #[track_caller]
    pub fn not_found(self, code: &str) {
        let refused = self.refused(code);
        assert!(refused.refusal.is_not_found(), "{code} must count as not found");
    }
}

/// A command that was refused.
#[derive(Debug)]
pub struct Refused<E> {
    refusal: E,
}

impl<E: Refusal> Refused<E> {
    /// Fails unless the refusal blames this field of the command.
    #[track_caller]
    pub fn on(self, field: &str) -> Self {
        assert_eq!(self.refusal.field(), Some(field), "left is the field that was blamed, right the expected one");
        self
    }

    /// Fails unless the refusal is put into exactly these words.
    #[track_caller]
    pub fn saying(self, words: &str) -> Self {
        assert_eq!(self.refusal.to_string(), words);
        self
    }
}
