//! Keeps the views of one database: rows and checkpoints of a batch in one transaction.

use crate::{
    database::{Database, DatabaseError},
    metrics,
    view::ErasedView,
    views_of,
};
use event_store::{Batch, BatchError, BatchHandler, Checkpoint, Counted, PartitionId, Recorded};
use schemas::{AnyEvent, DecodeError, Schemas};
use std::{collections::HashMap, time::Instant};

/// A database and the views that it holds.
pub struct ViewRunner {
    name: String,
    database: Database,
    views: Vec<ErasedView>,
    schemas: Schemas,
}

impl ViewRunner {
    /// The views of a service, whose tables are made where they are missing.
    pub async fn new(service: &str, database: Database, schemas: Schemas) -> Result<Self, DatabaseError> {
        Self::with_views(service, database, views_of(service), schemas).await
    }

    /// Views of your own; `name` stands in metrics and logs.
    pub async fn with_views(name: &str, database: Database, views: Vec<ErasedView>, schemas: Schemas) -> Result<Self, DatabaseError> {
        database.create(views.iter().map(|view| view.table())).await?;
        Ok(Self { name: name.to_owned(), database, views, schemas })
    }

    /// The views that read this log.
    fn readers(&self, source: &PartitionId) -> impl Iterator<Item = &ErasedView> {
        self.views.iter().filter(|view| view.sources().contains(&&*source.service))
    }

    /// The least of the views' checkpoints: what any of them still needs begins there.
    fn least(&self, source: &PartitionId, standing: &HashMap<String, Checkpoint>) -> Checkpoint {
        self.readers(source).map(|view| at(view, standing)).min_by_key(|checkpoint| checkpoint.next).unwrap_or_default()
    }

    /// The batch's records, decoded. One that never can be is counted, said and left out; one whose schema is not known *yet*
    /// holds the batch back, since a registry that is down for a minute must not cost a view its events.
    async fn decode(&self, batch: &Batch) -> Result<Vec<Recorded<AnyEvent>>, BatchError> {
        let mut events = Vec::with_capacity(batch.records.len());
        for record in &batch.records {
            match self.decode_one(record).await {
                Ok(event) => events.push(record.with(event)),
                Err(error @ DecodeError::UnknownSchema(_)) => return Err(BatchError::Failed(format!("{}: {error}", record.position))),
                Err(error @ (DecodeError::Framing(_) | DecodeError::ForeignRecord(_) | DecodeError::Body { .. })) => {
                    leave_out(record, &error);
                }
            }
        }
        Ok(events)
    }

    async fn decode_one(&self, record: &Counted) -> Result<AnyEvent, DecodeError> {
        let decode = || AnyEvent::decode(&record.position.service, &record.event, &self.schemas);
        match decode() {
            Err(DecodeError::UnknownSchema(id)) if self.schemas.learn(id).await => decode(),
            decoded => decoded,
        }
    }

    async fn write(&self, batch: &Batch, events: &[Recorded<AnyEvent>]) -> Result<(), DatabaseError> {
        let mut open = self.database.begin().await?;
        let standing = open.checkpoints(&batch.source).await?;
        if self.least(&batch.source, &standing).next != batch.from.next {
            return Err(DatabaseError::Moved(batch.source.clone()));
        }
        for view in self.readers(&batch.source) {
            let at = at(view, &standing);
            if at.next < batch.to.next {
                // The checkpoint comes first: its lock keeps a second projector from loading rows that are about to change.
                open.advance(view.name(), &batch.source, at, batch.to).await?;
                let new = events.partition_point(|event| event.position.offset < at.next);
                open.keep(&**view, &events[new..]).await?;
            }
        }
        open.commit().await
    }
}

fn leave_out(record: &Counted, error: &DecodeError) {
    metrics::UNDECODABLE.with_label_values(&[&*record.position.service]).inc();
    tracing::error!(position = %record.position, type_name = %record.type_name, %error, "a record cannot be decoded and is left out");
}

fn at(view: &ErasedView, standing: &HashMap<String, Checkpoint>) -> Checkpoint {
    standing.get(view.name()).copied().unwrap_or_default()
}

#[async_trait::async_trait]
impl BatchHandler for ViewRunner {
    async fn start(&self, source: &PartitionId) -> Result<Checkpoint, BatchError> {
        let standing = self.database.checkpoints(source).await?;
        Ok(self.least(source, &standing))
    }

    async fn apply(&self, batch: &Batch) -> Result<(), BatchError> {
        let began = Instant::now();
        let events = self.decode(batch).await?;
        self.write(batch, &events).await?;
        self.database.tell_moved();
        metrics::applied(&self.name, batch, began.elapsed());
        Ok(())
    }
}
