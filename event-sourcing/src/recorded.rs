//! An event as the log holds it.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, ops::Deref, str::FromStr, sync::Arc};
use uuid::Uuid;

/// A place in a service's log: `orders/3/1234` (service, partition, offset).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The service's name: `orders`.
    pub service: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
    /// The offset, from 0.
    pub offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.service, self.partition, self.offset)
    }
}

/// Text that is no position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a position is <service>/<partition>/<offset>, such as orders/3/1234; {0:?} is not")]
pub struct InvalidPosition(String);

impl FromStr for Position {
    type Err = InvalidPosition;
    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let parse = || {
            let mut parts = text.split('/');
            let (service, partition, offset) = (parts.next()?, parts.next()?, parts.next()?);
            let complete = parts.next().is_none() && !service.is_empty();
            let (partition, offset) = (partition.parse().ok().filter(|p| *p >= 0)?, offset.parse().ok().filter(|o| *o >= 0)?);
            complete.then(|| Position { service: service.into(), partition, offset })
        };
        parse().ok_or_else(|| InvalidPosition(text.chars().take(80).collect()))
    }
}

/// Who made an event and what led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Who asked: a user, a merchant, a reactor (`reactor/reserve-stock`).
    pub actor: String,
    /// The same for everything that one request set off.
    pub correlation_id: String,
    /// The `event_id` of the event that led to this one, where one did.
    pub causation_id: Option<String>,
    /// W3C trace context of the request, where there was one.
    pub traceparent: Option<String>,
}

/// The circumstances of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Where it stands in the log.
    pub position: Position,
    /// The aggregate whose event it is.
    pub aggregate_id: Uuid,
    /// The aggregate's version after this event, from 1 without a gap.
    pub version: u64,
    /// `<command id>/<i>`: unique in the log.
    pub event_id: String,
    /// The Avro record's full name: `daybook.order.OrderPlaced`.
    pub type_name: Arc<str>,
    /// When the command was taken, by the node's clock; the order of events is the log's, not the clock's.
    pub time: Timestamp,
    /// Who made it, and what led to it.
    pub cause: Cause,
}

impl Context {
    /// The id of the command that made this event.
    pub fn command_id(&self) -> &str {
        self.event_id.rsplit_once('/').map_or(self.event_id.as_str(), |(command, _)| command)
    }
}

/// An event with its circumstances, which all readers of it share: `record.version` is the context's. `E` is the decoded event, or
/// the framed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded<E> {
    /// The circumstances.
    pub context: Arc<Context>,
    /// The event.
    pub event: E,
}

impl<E> Recorded<E> {
    /// An event in its circumstances.
    pub fn new(context: Context, event: E) -> Self {
        Self { context: Arc::new(context), event }
    }

    /// The same record with its event replaced.
    pub fn with<F>(&self, event: F) -> Recorded<F> {
        Recorded { context: self.context.clone(), event }
    }
}

impl<E> Deref for Recorded<E> {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.context
    }
}
