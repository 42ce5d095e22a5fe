//! Sends commands to the aggregates of a system, for callers that do not know their types.

use crate::{Accepted, CommandError, CommandMeta, Execute, Unavailable};
use event_sourcing::{Aggregate, AnyCommand, Event};
use std::{any::Any, collections::BTreeMap, sync::Arc};
use uuid::Uuid;

/// After how many milliseconds to ask again for a command that this build cannot read: an upgrade may have reached this node by then.
const UPGRADE_PAUSE: u64 = 1_000;

/// An [`Execute`] for the aggregates of each service of a system. Cheap to clone.
#[derive(Clone, Default)]
pub struct Aggregates(Arc<BTreeMap<&'static str, Arc<dyn ExecuteAny>>>);

#[async_trait::async_trait]
trait ExecuteAny: Send + Sync {
    async fn execute(&self, command: AnyCommand, meta: CommandMeta) -> Result<Accepted, CommandError>;
    async fn read(&self, id: Uuid) -> Result<Accepted, CommandError>;
    fn partition_of(&self, id: Uuid) -> Option<i32>;
    fn typed(&self) -> &dyn Any;
}

struct Typed<A: Aggregate>(Arc<dyn Execute<A>>);

#[async_trait::async_trait]
impl<A: Aggregate> ExecuteAny for Typed<A> {
    async fn execute(&self, command: AnyCommand, meta: CommandMeta) -> Result<Accepted, CommandError> {
        let id = command.aggregate_id;
        let unreadable = |error: event_sourcing::UnreadableCommand| Unavailable {
            reason: error.to_string(),
            retry_after_millis: UPGRADE_PAUSE,
            in_doubt: false,
        };
        let command = command.read::<A>().map_err(|error| CommandError::Unavailable(unreadable(error)))?;
        self.0.execute(id, command, meta).await
    }

    async fn read(&self, id: Uuid) -> Result<Accepted, CommandError> {
        self.0.read(id).await
    }

    fn partition_of(&self, id: Uuid) -> Option<i32> {
        self.0.partition_of(id)
    }

    fn typed(&self) -> &dyn Any {
        &self.0
    }
}

impl Aggregates {
    /// Adds the [`Execute`] for the aggregates of one service.
    #[must_use]
    pub fn with<A: Aggregate>(mut self, execute: Arc<dyn Execute<A>>) -> Self {
        Arc::make_mut(&mut self.0).insert(A::Event::SERVICE, Arc::new(Typed(execute)));
        self
    }

    /// The [`Execute`] for aggregates whose type the caller knows; none where the system has no such service.
    pub fn typed<A: Aggregate>(&self) -> Option<Arc<dyn Execute<A>>> {
        self.0.get(A::Event::SERVICE)?.typed().downcast_ref::<Arc<dyn Execute<A>>>().cloned()
    }

    /// As [`Execute::execute`], wherever the aggregate lives.
    ///
    /// # Errors
    /// As [`Execute::execute`]; a defect where the system has no such service.
    pub async fn execute(&self, command: AnyCommand, meta: CommandMeta) -> Result<Accepted, CommandError> {
        self.of(&command.service)?.execute(command, meta).await
    }

    /// As [`Execute::read`], wherever the aggregate lives.
    ///
    /// # Errors
    /// As [`Execute::read`]; a defect where the system has no such service.
    pub async fn read(&self, service: &str, id: Uuid) -> Result<Accepted, CommandError> {
        self.of(service)?.read(id).await
    }

    /// As [`Execute::partition_of`]; none where the system has no such service.
    pub fn partition_of(&self, service: &str, id: Uuid) -> Option<i32> {
        self.0.get(service)?.partition_of(id)
    }

    fn of(&self, service: &str) -> Result<&Arc<dyn ExecuteAny>, CommandError> {
        self.0.get(service).ok_or_else(|| CommandError::Defect(format!("{service} takes no commands")))
    }
}
