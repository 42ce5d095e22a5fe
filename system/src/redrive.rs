//! Redrives the letters of a service's reactors: records that could not be read, and errands that were given up.

use consumers::Reactors;
use event_store::BatchError;
use projections::{Database, DeadLetterRow, Redrive, Redriven};
use std::sync::Arc;
use uuid::Uuid;

/// The reactors of a service, and the database with their letters.
pub(crate) struct ReactorRedrive {
    pub database: Database,
    pub reactors: Arc<Reactors>,
}

#[async_trait::async_trait]
impl Redrive for ReactorRedrive {
    /// Always true: an errand's letter bears its reactor's name, and reactors are named only by their reactions. The service's views are
    /// asked first.
    fn redrives(&self, _reader: &str) -> bool {
        true
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

    async fn redrive_errand(&self, id: &str) -> Result<Redriven, BatchError> {
        Ok(match self.reactors.redrive(id).await {
            Ok(()) => Redriven { redriven: 1, left: 0, stopped_by: None },
            Err(why) => Redriven { redriven: 0, left: 1, stopped_by: Some(why) },
        })
    }

    async fn drop_errand(&self, id: &str) -> Result<bool, BatchError> {
        self.reactors.drop_errand(id).await.map_err(BatchError::Failed)
    }
}
