//! What the reactors need of the databases, in their words.

use consumers::{Checkpoints, DeadLetters, Deadlines, READER, Reactors, mail::Contacts};
use domain::{Email, OrderId, Timestamp, UserId, order::Order, payment::Payment, product::Product, user::User};
use event_store::{Batch, BatchError, Checkpoint, CommandError, Counted, Execute, PartitionId, Position};
use projections::{Database, DeadLetterRow, Owners, Redrive, Redriven};
use std::{collections::HashSet, sync::Arc, time::Duration};
use uuid::Uuid;

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

    async fn advance_all(&self, reader: &str, batches: &[Batch]) -> Result<Vec<PartitionId>, BatchError> {
        Ok(self.0.advance_all(reader, batches).await?)
    }
}

#[async_trait::async_trait]
impl Deadlines for Reacting {
    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<(OrderId, Timestamp)>, String> {
        let due = projections::due(&self.0, now, limit).await.map_err(|error| error.to_string())?;
        Ok(due.into_iter().map(|deadline| (deadline.order_id, deadline.due_at)).collect())
    }
}

/// The addresses of users: a view, and the owners of the users, who know how far it must have come.
pub struct Addresses {
    pub database: Database,
    pub users: Arc<dyn Execute<User>>,
}

impl Addresses {
    async fn seen(&self, user: UserId) -> Result<Option<Email>, String> {
        let contact = projections::email_of(&self.database, user).await.map_err(|error| error.to_string())?;
        Ok(contact.map(|contact| contact.email))
    }
}

/// How long the view of addresses is waited for before the reactor asks again.
const VIEW_WITHIN: Duration = Duration::from_secs(5);

#[async_trait::async_trait]
impl Contacts for Addresses {
    async fn email_of(&self, user: UserId) -> Result<Option<Email>, String> {
        if let Some(email) = self.seen(user).await? {
            return Ok(Some(email));
        }
        let settled = self.users.read(user.0).await.map_err(|error| error.to_string())?.position;
        let shows = self.database.wait_until_applied("notifications", &settled, VIEW_WITHIN).await.map_err(|error| error.to_string())?;
        if shows { self.seen(user).await } else { Err(format!("the view of addresses has not applied {settled} yet")) }
    }
}

#[async_trait::async_trait]
impl DeadLetters for Reacting {
    async fn parked(&self, source: &PartitionId) -> Result<HashSet<Uuid>, String> {
        self.0.parked_by(READER, source).await.map_err(|error| error.to_string())
    }

    async fn has(&self, aggregate: Uuid) -> Result<bool, String> {
        let letters = self.0.letters_of(READER, aggregate).await.map_err(|error| error.to_string())?;
        Ok(!letters.is_empty())
    }

    async fn park(&self, record: &Counted, reason: Option<&str>) -> Result<(), String> {
        let letter = match reason {
            Some(reason) => DeadLetterRow::new(READER, record, reason),
            None => DeadLetterRow::behind(READER, record),
        };
        self.0.park(vec![letter]).await.map_err(|error| error.to_string())
    }
}

/// Redrives what the reactors of a service have put aside.
pub struct ReactorRedrive {
    /// Where it was put.
    pub database: Database,
    /// Who takes it up.
    pub reactors: Arc<Reactors>,
}

#[async_trait::async_trait]
impl Redrive for ReactorRedrive {
    fn readers(&self) -> Vec<String> {
        vec![READER.to_owned()]
    }

    async fn redrive(&self, reader: &str, aggregate: Uuid) -> Result<Redriven, BatchError> {
        let letters = self.database.letters_of(reader, aggregate).await?;
        let (all, mut redriven) = (letters.len(), 0);
        for letter in letters {
            if let Err(why) = self.reactors.take_up(&letter.counted()?).await {
                self.database.park(vec![DeadLetterRow { reason: why.clone(), ..letter }]).await?;
                return Ok(Redriven { redriven, left: all - redriven, stopped_by: Some(why) });
            }
            self.database.unpark(vec![letter.id]).await?;
            redriven += 1;
        }
        Ok(Redriven { redriven, left: 0, stopped_by: None })
    }
}

/// The ways to the owners of aggregates that strong reads ask about.
pub struct OwnersOf {
    pub users: Arc<dyn Execute<User>>,
    pub products: Arc<dyn Execute<Product>>,
    pub orders: Arc<dyn Execute<Order>>,
    pub payments: Arc<dyn Execute<Payment>>,
}

#[async_trait::async_trait]
impl Owners for OwnersOf {
    async fn settled(&self, service: &str, aggregate: Uuid) -> Result<Position, CommandError> {
        let read = match service {
            "users" => self.users.read(aggregate),
            "products" => self.products.read(aggregate),
            "orders" => self.orders.read(aggregate),
            "payments" => self.payments.read(aggregate),
            other => return Err(CommandError::Defect(format!("{other} has no owners that are asked"))),
        };
        Ok(read.await?.position)
    }
}
