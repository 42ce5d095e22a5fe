//! What the reactors need of the databases, in their words.

use consumers::{Checkpoints, Deadlines, mail::Contacts};
use domain::{Email, OrderId, Timestamp, UserId};
use event_store::{Batch, BatchError, Checkpoint, PartitionId};
use projections::Database;

/// A service's database, as its reactors see it.
pub struct Reacting(pub Database);

#[async_trait::async_trait]
impl Checkpoints for Reacting {
    async fn checkpoint(&self, reader: &str, source: &PartitionId) -> Result<Checkpoint, BatchError> {
        Ok(self.0.checkpoint(reader, source).await?)
    }

    async fn advance(&self, reader: &str, batch: &Batch) -> Result<(), BatchError> {
        Ok(self.0.advance(reader, batch).await?)
    }
}

#[async_trait::async_trait]
impl Deadlines for Reacting {
    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<(OrderId, Timestamp)>, String> {
        let due = projections::due(&self.0, now, limit).await.map_err(|error| error.to_string())?;
        Ok(due.into_iter().map(|deadline| (deadline.order_id, deadline.due_at)).collect())
    }
}

#[async_trait::async_trait]
impl Contacts for Reacting {
    async fn email_of(&self, user: UserId) -> Result<Option<Email>, String> {
        let contact = projections::email_of(&self.0, user).await.map_err(|error| error.to_string())?;
        Ok(contact.map(|contact| contact.email))
    }
}
