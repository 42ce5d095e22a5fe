//! Redriving dead letters: an aggregate's records, put aside by a view, are folded after all, in the log's order.

use crate::{
    database::DeadLetterRow,
    runner::{ViewRunner, applied},
};
use event_store::BatchError;
use serde::Serialize;
use uuid::Uuid;

/// What a redrive came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Redriven {
    /// Letters that were taken after all.
    pub redriven: usize,
    /// Letters that are left: the one that could not be taken, and those behind it.
    pub left: usize,
    /// Why the first of those that are left could not be taken.
    pub stopped_by: Option<String>,
}

/// Takes up what a reader has put aside.
#[async_trait::async_trait]
pub trait Redrive: Send + Sync + 'static {
    /// The names of the readers whose letters it redrives.
    fn readers(&self) -> Vec<String>;

    /// Takes an aggregate's letters in order, up to the first that still cannot be taken. Asking again goes on from there.
    async fn redrive(&self, reader: &str, aggregate: Uuid) -> Result<Redriven, BatchError>;
}

#[async_trait::async_trait]
impl Redrive for ViewRunner {
    fn readers(&self) -> Vec<String> {
        self.names()
    }

    async fn redrive(&self, reader: &str, aggregate: Uuid) -> Result<Redriven, BatchError> {
        let Some(kept) = self.kept(reader) else { return Ok(Redriven::default()) };
        let mut open = self.database().begin().await?;
        // The projector waits: what it reads meanwhile of this aggregate must find it either parked or taken up.
        open.lock_checkpoints(reader).await?;
        let mut letters = self.database().letters_of(reader, aggregate).await?.into_iter();
        let (mut done, mut stopped_by) = (Vec::new(), None);
        for letter in letters.by_ref() {
            let failed = match self.decode_one(&letter.counted()?).await? {
                Ok(event) => applied(open.try_keep(kept, &event).await)?,
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = failed {
                open.park(vec![DeadLetterRow { reason: why.clone(), ..letter }]).await?;
                stopped_by = Some(why);
                break;
            }
            done.push(letter.id);
        }
        let left = letters.len() + usize::from(stopped_by.is_some());
        let redriven = done.len();
        open.unpark(done).await?;
        open.commit().await?;
        Ok(Redriven { redriven, left, stopped_by })
    }
}
