//! Writes batches into the views of one database: rows and checkpoints in one transaction.

use crate::{
    database::{ANSWER, Aside, Database, DatabaseError, DeadLetterRow, Transaction},
    kept::Kept,
    metrics,
};
use codec::{Codecs, DecodeError, Learned};
use event_sourcing::{AnyEvent, Recorded};
use event_store::{Batch, BatchError, Checkpoint, Counted, PartitionId};
use parking_lot::{Mutex, RwLock};
use std::{collections::HashMap, sync::Arc};

/// How often in a row the time that a partition's statements may take is doubled.
const DOUBLINGS: u32 = 3;

/// Decodes batches and writes them into the views of one database.
pub(crate) struct BatchWriter {
    name: String,
    database: Database,
    views: RwLock<Arc<[Kept]>>,
    codecs: Codecs,
    /// How often in a row a partition's batch took longer than it was allowed to.
    late: Mutex<HashMap<PartitionId, u32>>,
}

/// A record with its decoded event, or the reason why it cannot be decoded.
pub(crate) struct Decoded {
    record: Counted,
    event: Result<Recorded<AnyEvent>, String>,
}

/// How a batch is folded: all records at once, or record by record, which finds the record that cannot be applied and puts it aside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    AtOnce,
    EachRecord,
}

impl BatchWriter {
    /// Makes the views' missing tables. The name stands in metrics and logs.
    pub(crate) async fn new(name: &str, database: Database, views: Vec<Kept>, codecs: Codecs) -> Result<Self, DatabaseError> {
        database.create(views.iter().map(|kept| &kept.table)).await?;
        let views = RwLock::new(views.into());
        Ok(Self { name: name.to_owned(), database, views, codecs, late: Mutex::default() })
    }

    /// The name that stands in metrics and logs.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The view of this name, where its batches are written.
    pub(crate) fn kept(&self, view: &str) -> Option<Kept> {
        self.views().iter().find(|kept| kept.view.name() == view).cloned()
    }

    /// Writes this view's batches, too, from the next one on.
    pub(crate) fn attach(&self, kept: Kept) {
        let mut views = self.views.write();
        let others = views.iter().filter(|one| one.view.name() != kept.view.name()).cloned();
        *views = others.chain([kept.clone()]).collect();
    }

    /// Writes no further batch of the view of this name.
    pub(crate) fn detach(&self, view: &str) -> Option<Kept> {
        let mut views = self.views.write();
        let kept = views.iter().find(|one| one.view.name() == view).cloned();
        *views = views.iter().filter(|one| one.view.name() != view).cloned().collect();
        kept
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// The views whose batches are written now. A batch is written into those that were there when it began.
    pub(crate) fn views(&self) -> Arc<[Kept]> {
        self.views.read().clone()
    }

    /// Where to begin reading a partition; none where nobody keeps a view of it.
    pub(crate) async fn start(&self, source: &PartitionId) -> Result<Option<Checkpoint>, DatabaseError> {
        let (standing, views) = (self.database.checkpoints(source).await?, self.views());
        Ok(reading(&views, source).next().map(|_| least(&views, source, &standing)))
    }

    /// Where the views of a partition stand.
    pub(crate) async fn places(&self, source: &PartitionId) -> Result<Vec<Checkpoint>, DatabaseError> {
        let (standing, views) = (self.database.checkpoints(source).await?, self.views());
        Ok(reading(&views, source).map(|kept| at(kept, &standing)).collect())
    }

    /// The furthest checkpoint of anybody in a partition.
    pub(crate) async fn furthest(&self, source: &PartitionId) -> Result<Checkpoint, DatabaseError> {
        let standing = self.database.checkpoints(source).await?;
        Ok(standing.into_values().max_by_key(|checkpoint| checkpoint.next).unwrap_or_default())
    }

    /// Decodes the batch's records. A record that can never be decoded is put aside later, by the fold. A record whose schema cannot be
    /// learned *now* fails the whole batch, to be tried again: a registry that is down for a minute must not cost a view its events.
    pub(crate) async fn decode(&self, batch: &Batch) -> Result<Vec<Decoded>, BatchError> {
        let mut decoded = Vec::with_capacity(batch.records.len());
        for record in &batch.records {
            let event = self.decode_one(record).await?.map_err(|error| error.to_string());
            decoded.push(Decoded { record: record.clone(), event });
        }
        Ok(decoded)
    }

    /// Decodes a record: the event, or the error that makes it undecodable for good. Fails while the registry does not answer, since only
    /// it can tell.
    pub(crate) async fn decode_one(&self, record: &Counted) -> Result<Result<Recorded<AnyEvent>, DecodeError>, BatchError> {
        let decode = || self.codecs.decode(&record.position.service, &record.event);
        let decoded = match decode() {
            Err(DecodeError::UnknownSchema(id)) => match self.codecs.schemas().learn(id).await {
                Learned::Known => decode(),
                Learned::NeverGiven => Err(DecodeError::UnknownSchema(id)),
                Learned::NotNow => return Err(BatchError::Failed(format!("{}: schema id {id} cannot be learned now", record.position))),
            },
            decoded => decoded,
        };
        Ok(decoded.map(|event| record.with(event)))
    }

    /// Writes one batch in a transaction of its own. If a record in it cannot be applied, writes it again record by record, which puts that
    /// record aside.
    pub(crate) async fn write(&self, batch: &Batch, decoded: &[Decoded]) -> Result<(), DatabaseError> {
        match self.write_with(batch, decoded, Care::AtOnce).await {
            Err(error) if error.is_poison() => {
                tracing::warn!(database = self.name, source = ?batch.source, %error, "a batch holds something that cannot be applied: record by record");
                self.write_with(batch, decoded, Care::EachRecord).await
            }
            settled => settled,
        }
    }

    /// A batch that took too long is allowed twice the time at its next attempt: a server that is slow must not stop a view for good.
    async fn write_with(&self, batch: &Batch, decoded: &[Decoded], care: Care) -> Result<(), DatabaseError> {
        let late = self.late.lock().get(&batch.source).copied().unwrap_or(0);
        let written = self.write_within(batch, decoded, care, late).await;
        match &written {
            Err(error) if error.is_late() => drop(self.late.lock().insert(batch.source.clone(), (late + 1).min(DOUBLINGS))),
            Ok(()) if late > 0 => drop(self.late.lock().remove(&batch.source)),
            Ok(()) | Err(_) => {}
        }
        written
    }

    async fn write_within(&self, batch: &Batch, decoded: &[Decoded], care: Care, late: u32) -> Result<(), DatabaseError> {
        let mut open = self.database.begin().await?;
        if late > 0 {
            open.allow(ANSWER * 2_u32.pow(late)).await?;
        }
        self.write_in(&mut open, batch, decoded, care).await?;
        self.commit(open).await
    }

    pub(crate) async fn commit(&self, open: Transaction) -> Result<(), DatabaseError> {
        open.commit().await?;
        metrics::TRANSACTIONS.with_label_values(&[&self.name]).inc();
        Ok(())
    }

    /// Writes a batch record by record within the caller's transaction.
    pub(crate) async fn write_carefully(&self, open: &mut Transaction, batch: &Batch, decoded: &[Decoded]) -> Result<(), DatabaseError> {
        self.write_in(open, batch, decoded, Care::EachRecord).await
    }

    /// Writes a batch view by view, since the views' checkpoints may differ. Records of aggregates that a view has put aside join its dead
    /// letters.
    async fn write_in(&self, open: &mut Transaction, batch: &Batch, decoded: &[Decoded], care: Care) -> Result<(), DatabaseError> {
        let standing = open.checkpoints(&batch.source).await?;
        let views = self.views();
        if reading(&views, &batch.source).next().is_none() {
            return Ok(());
        }
        if least(&views, &batch.source, &standing).next != batch.from.next {
            return Err(DatabaseError::Moved(batch.source.clone()));
        }
        let places: Vec<_> = reading(&views, &batch.source).map(|kept| (kept, at(kept, &standing))).collect();
        if !places.iter().all(|(_, at)| batch.passes(*at)) {
            // A view that stands further on was made of records that are no more: its reader looks at the log again, and finds that out.
            return Err(DatabaseError::Moved(batch.source.clone()));
        }
        let behind: Vec<_> = places.into_iter().filter(|(_, at)| at.next < batch.to.next).collect();
        // The checkpoints come first: their locks keep a second projector from loading rows that are about to change, and wait for a redrive,
        // which may take dead letters away.
        for (kept, at) in &behind {
            open.advance(&kept.reader, &batch.source, *at, batch.to).await?;
        }
        let mut aside = open.aside(behind.iter().map(|(kept, _)| kept.reader.clone()).collect(), batch).await?;
        for (kept, at) in behind {
            let new = decoded.partition_point(|one| one.record.position.offset < at.next);
            self.fold(open, kept, decoded[new..].iter(), &mut aside, care).await?;
        }
        Ok(())
    }

    /// Folds the records that can be applied, skips those that were dropped for good, and puts aside those that cannot be applied, each with
    /// all later records of its aggregate.
    pub(crate) async fn fold(
        &self,
        open: &mut Transaction,
        kept: &Kept,
        decoded: impl Iterator<Item = &Decoded> + Send,
        aside: &mut Aside,
        care: Care,
    ) -> Result<(), DatabaseError> {
        let (mut fine, mut letters) = (Vec::with_capacity(decoded.size_hint().0), Vec::new());
        for Decoded { record, event } in decoded {
            let failed = match event {
                _ if aside.is_dropped(&kept.reader, record) => continue,
                _ if aside.is_parked(&kept.reader, record.aggregate_id) => {
                    letters.push(DeadLetterRow::behind(&kept.reader, record));
                    continue;
                }
                Err(why) => Some(why.clone()),
                Ok(event) if care == Care::EachRecord => applied(open.try_keep(kept, event).await)?,
                Ok(event) => {
                    fine.push(event);
                    None
                }
            };
            if let Some(why) = failed {
                aside.park(&kept.reader, record.aggregate_id);
                letters.push(self.letter(kept, record, why));
            }
        }
        open.keep(kept, &fine).await?;
        open.park(letters).await
    }

    fn letter(&self, kept: &Kept, record: &Counted, why: String) -> DeadLetterRow {
        metrics::DEAD_LETTERS.with_label_values(&[&*self.name, kept.view.name()]).inc();
        tracing::error!(position = %record.position, reader = kept.reader, why, "a record is put aside, and its aggregate with it");
        DeadLetterRow::new(&kept.reader, record, why)
    }
}

/// None if the record was applied, the reason if it can never be applied; an error of the database itself is passed on.
pub(crate) fn applied(outcome: Result<(), DatabaseError>) -> Result<Option<String>, DatabaseError> {
    match outcome {
        Ok(()) => Ok(None),
        Err(error) if error.is_poison() => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

/// The views that read this log.
pub(crate) fn reading<'a>(views: &'a [Kept], source: &'a PartitionId) -> impl Iterator<Item = &'a Kept> {
    views.iter().filter(|kept| kept.reads(&source.service))
}

/// The lowest of the views' checkpoints: reading from there gives each view all the records that it still needs.
fn least(views: &[Kept], source: &PartitionId, standing: &HashMap<String, Checkpoint>) -> Checkpoint {
    reading(views, source).map(|kept| at(kept, standing)).min_by_key(|checkpoint| checkpoint.next).unwrap_or_default()
}

fn at(kept: &Kept, standing: &HashMap<String, Checkpoint>) -> Checkpoint {
    standing.get(&kept.reader).copied().unwrap_or_default()
}
