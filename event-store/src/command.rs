//! A command's circumstances, its answers, and where commands are sent.

use crate::{Cause, Position, Rejection};
use event_sourcing::{Aggregate, Details, Timestamp};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The circumstances of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandMeta {
    /// Names the command: the same id and the same command get the first answer again.
    pub command_id: Uuid,
    /// When the edge took it; becomes the events' `ce_time`.
    pub time: Timestamp,
    /// The version that the caller has seen (`If-Match`); the command is refused when it is another.
    pub expected_version: Option<u64>,
    /// The account that the aggregate must belong to ([`Aggregate::belongs_to`]): the caller may give commands to their own things only. None where
    /// they may give them to everybody's.
    pub only_of: Option<Uuid>,
    /// Who asked, and why.
    pub cause: Cause,
}

impl CommandMeta {
    /// The circumstances of a question, which leaves no record.
    pub(crate) fn question() -> Self {
        let cause = Cause { actor: String::new(), correlation_id: String::new(), causation_id: None, traceparent: None };
        Self { command_id: Uuid::nil(), time: Timestamp(0), expected_version: None, only_of: None, cause }
    }
}

/// The command is done, and its events are in the log for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The aggregate's version after the command.
    pub version: u64,
    /// The last record that the answer rests on: a view that has applied it shows the command's effect.
    pub position: Position,
    /// How many events the command made; 0 when there was nothing left to do.
    pub events: u32,
    /// True when this repeats the answer of an earlier delivery of the same command.
    pub repeated: bool,
}

/// Why a command was not done. Only `Unavailable` may be tried again as it is.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A business rule said no.
    #[error(transparent)]
    Refused(Refused),
    /// The caller has seen another version than the aggregate has.
    #[error("expected version {expected}, the aggregate is at {actual}")]
    Conflict {
        /// The caller's version.
        expected: u64,
        /// The aggregate's version.
        actual: u64,
    },
    /// The command id was used before, for another command.
    #[error("this idempotency key was used before, for another command")]
    KeyReused,
    /// The aggregate's code panicked on this command: a defect of the build. Nothing was appended.
    #[error("the aggregate met a defect: {0}")]
    Defect(String),
    /// The log never takes an event of this command, and none of its events counts.
    #[error(transparent)]
    Rejected(Rejected),
    /// It was not done, or nobody knows yet; it is safe to ask again with the same command id.
    #[error(transparent)]
    Unavailable(Unavailable),
}

/// A business rule said no: the contents of an [`event_sourcing::Refusal`], in a form that travels between nodes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// The rule's stable name in kebab case: `insufficient-stock`.
    pub code: String,
    /// The rule and its bounds, for a person.
    pub message: String,
    /// The field that broke the rule, where one did.
    pub field: Option<String>,
    /// True when the aggregate does not exist.
    pub not_found: bool,
    /// What the program that sent the command may need to go on.
    pub details: Option<Details>,
}

impl Refused {
    /// The answer to a command for an aggregate that is not there, as far as the caller may know.
    pub(crate) fn not_found(kind: &str, id: Uuid) -> Self {
        Self { code: "not-found".to_owned(), message: format!("there is no {kind} {id}"), field: None, not_found: true, details: None }
    }
}

impl<R: event_sourcing::Refusal> From<&R> for Refused {
    fn from(refusal: &R) -> Self {
        let field = refusal.field().map(str::to_owned);
        let (code, message) = (refusal.code().to_owned(), refusal.to_string());
        Self { code, message, field, not_found: refusal.is_not_found(), details: refusal.details() }
    }
}

/// The log never takes an event of the command, as its topic is set now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejected {
    /// [`Rejected::TOO_LARGE`], or `event-refused`.
    pub code: String,
    /// The reason, for a person.
    pub message: String,
}

impl Rejected {
    /// The code of an event that is larger than the log allows.
    pub const TOO_LARGE: &str = "event-too-large";

    /// The answer to a command whose largest record has so many bytes.
    pub(crate) fn new(rejection: Rejection, service: &str, bytes: usize) -> Self {
        let (code, why) = match rejection {
            Rejection::TooLarge => {
                let why = format!(
                    "an event of this command makes a record of {bytes} bytes, which is more than the topic's max.message.bytes allows"
                );
                (Self::TOO_LARGE, why)
            }
            Rejection::Invalid | Rejection::NotAllowed => ("event-refused", rejection.to_string()),
        };
        Self { code: code.to_owned(), message: format!("the log of {service} does not take it: {why}; nothing was done") }
    }
}

/// The command could not be settled now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unavailable {
    /// The reason, for a person.
    pub reason: String,
    /// When to ask again, in milliseconds.
    pub retry_after_millis: u64,
    /// True when the command may have been done all the same; false when it certainly was not.
    pub in_doubt: bool,
}

/// Somewhere that commands of an aggregate can be sent: the owner of its partition, here or on another node.
#[async_trait::async_trait]
pub trait Execute<A: Aggregate>: Send + Sync + 'static {
    /// Decides the command on the aggregate's state and appends its events; returns when the outcome is settled.
    async fn execute(&self, id: Uuid, command: A::Command, meta: CommandMeta) -> Result<Accepted, CommandError>;

    /// The aggregate's version (0 where there is none) at some moment between this question and its answer, and a position at or below
    /// which everything stands that was acknowledged before the question: a strong read.
    async fn read(&self, id: Uuid) -> Result<Accepted, CommandError>;

    /// The partition that the aggregate lives in, where that is known here.
    fn partition_of(&self, _id: Uuid) -> Option<i32> {
        None
    }
}

/// The node that writes a partition, as far as this node has heard. It may be out of date: safety never rests on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The node's name.
    pub node: String,
    /// Where its node-to-node server listens: `host:port`.
    pub address: String,
    /// The offset of its claim.
    pub run: i64,
}

/// The owners of this node's own partitions.
#[async_trait::async_trait]
pub trait LocalOwner<A: Aggregate>: Send + Sync + 'static {
    /// The partition that the aggregate lives in.
    fn partition_of(&self, id: Uuid) -> i32;

    /// As [`Execute::execute`], or none when this node does not own the partition.
    async fn try_execute(&self, id: Uuid, command: A::Command, meta: CommandMeta) -> Option<Result<Accepted, CommandError>>;

    /// As [`Execute::read`], or none when this node does not own the partition.
    async fn try_read(&self, id: Uuid) -> Option<Result<Accepted, CommandError>>;

    /// Takes the aggregate's partition over, since its owner is gone, without waiting for the group to place it: safety rests on the claim
    /// alone. True once this node writes it; false where it may not take it over (again so soon), or does not write it in time.
    async fn take_over(&self, id: Uuid) -> bool;
}

/// Tells who owns a partition.
pub trait Directory: Send + Sync + 'static {
    /// The owner that was announced last, if any was.
    fn owner(&self, service: &str, partition: i32) -> Option<Owner>;

    /// The nodes that own any partition of any service, by name, with their addresses. Of any service: all nodes that look for one to take
    /// a partition over must choose among the same nodes, or they could choose different ones.
    fn nodes(&self) -> BTreeMap<String, String>;
}
