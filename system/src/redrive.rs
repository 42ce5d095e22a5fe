//! Redrives the letters of a service's reactors: records that could not be read, and errands that were given up.

use consumers::Reactors;
use event_store::{BatchError, Counted};
use projections::{Database, Redrive, Redriven};
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
        let (database, reactors, reader) = (self.database.clone(), self.reactors.clone(), reader.to_owned());
        // In a task of its own: a caller that hangs up must not cut it off between a letter's reactions and its end.
        let redriving = tokio::spawn(async move {
            let take_up = |record: Counted| {
                let reactors = reactors.clone();
                async move { reactors.take_up(&record).await }
            };
            database.redrive_each(&reader, aggregate, take_up).await
        });
        redriving.await.map_err(|error| BatchError::Failed(error.to_string()))?
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
