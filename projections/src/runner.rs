//! The handler of a subscription's batches that keeps the views of one database.

use crate::{
    database::{Database, DatabaseError},
    joint::Joint,
    kept::Kept,
    metrics,
    views::Views,
    writer::BatchWriter,
};
use codec::Codecs;
use event_store::{Batch, BatchError, BatchHandler, Checkpoint, PartitionId};
use std::time::{Duration, Instant};

/// How long a batch may take to be written.
const WITHIN: Duration = Duration::from_secs(60);

/// Folds batches into the views of one database.
pub struct ViewRunner {
    joint: Joint,
}

impl ViewRunner {
    /// A runner of these views; makes their missing tables. The name (a service's) stands in metrics and logs.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the tables cannot be made.
    pub async fn new(name: &str, database: Database, views: impl Into<Views>, codecs: Codecs) -> Result<Self, DatabaseError> {
        let views: Views = views.into();
        let kept = views.iter().cloned().map(Kept::live).collect();
        Ok(Self { joint: Joint::new(BatchWriter::new(name, database, kept, codecs).await?) })
    }

    /// The writer of single batches.
    pub(crate) fn writer(&self) -> &BatchWriter {
        self.joint.writer()
    }
}

#[async_trait::async_trait]
impl BatchHandler for ViewRunner {
    async fn start(&self, source: &PartitionId) -> Result<Checkpoint, BatchError> {
        Ok(self.writer().start(source).await?)
    }

    async fn apply(&self, batch: &Batch) -> Result<(), BatchError> {
        let began = Instant::now();
        // A connection that has gone silent never answers: the statement is given up, and tried again on another one.
        let kept = tokio::time::timeout(WITHIN, self.joint.keep(batch)).await;
        kept.unwrap_or_else(|_| Err(BatchError::Failed(format!("the database has not answered for {} s", WITHIN.as_secs()))))?;
        metrics::applied(self.writer().name(), batch, began.elapsed());
        Ok(())
    }
}
