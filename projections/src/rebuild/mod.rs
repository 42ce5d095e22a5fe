//! Making a view anew from the log, in a shadow table beside the live one: to prove the live one, or to take its place.

mod compare;

pub use compare::{Comparison, Difference};

use crate::{
    database::{Database, DatabaseError, Transaction},
    kept::Kept,
    view::ErasedView,
    writer::BatchWriter,
};
use codec::Codecs;
use event_store::{Batch, BatchError, Checkpoint, Log, LogError, PartitionId, Replay};
use std::{collections::HashMap, sync::Arc};
use tokio::task::JoinSet;

/// Why a view could not be made anew. The live one is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The database failed, or another rebuild of the same view runs.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The log cannot be read, or is shorter than what the live view has seen.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A batch could not be taken.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A part of the work ended without an outcome.
    #[error("a part of the rebuild ended unexpectedly: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

/// The logs of the services, by name.
pub type Logs = HashMap<&'static str, Arc<dyn Log>>;

/// Is told how many records of the log were read further.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// A view and its shadow.
pub struct Rebuilding {
    database: Database,
    live: Kept,
    shadow: Kept,
    writer: Arc<BatchWriter>,
    logs: Logs,
}

impl Rebuilding {
    /// Makes the shadow of a view, empty, or as an earlier rebuild for the same purpose left it where `resume` is set. The purpose (a
    /// word) keeps rebuilds for different ends apart.
    ///
    /// # Errors
    /// [`RebuildError::Database`] where the shadow cannot be made.
    pub async fn begin(parts: RebuildParts<'_>) -> Result<Self, RebuildError> {
        let RebuildParts { service, view, purpose, resume, database, codecs, logs } = parts;
        let (live, shadow) = (Kept::live(view.clone()), Kept::shadow(view, purpose));
        if !resume {
            discard(&database, &shadow).await?;
        }
        let writer = BatchWriter::new(&format!("{service}/{purpose}"), database.clone(), vec![shadow.clone()], codecs).await?;
        Ok(Self { database, live, shadow, writer: Arc::new(writer), logs })
    }

    /// How many offsets of the log the shadow is behind the live view.
    ///
    /// # Errors
    /// [`RebuildError::Database`] where the checkpoints cannot be read.
    pub async fn behind(&self) -> Result<u64, RebuildError> {
        let mut open = self.database.snapshot().await?;
        let (live, shadow) = (open.standing(&self.live.reader).await?, open.standing(&self.shadow.reader).await?);
        Ok(live.iter().map(|(source, at)| at.next.saturating_sub(next(&shadow, source)).max(0) as u64).sum())
    }

    /// Folds the log into the shadow, up to where the live view stands now. Partitions are read side by side.
    ///
    /// # Errors
    /// The log or the database fails; asking again goes on from there.
    pub async fn catch_up(&self, progress: &Progress) -> Result<(), RebuildError> {
        let live = self.database.snapshot().await?.standing(&self.live.reader).await?;
        self.read_up_to(live, progress).await
    }

    async fn read_up_to(&self, ends: HashMap<PartitionId, Checkpoint>, progress: &Progress) -> Result<(), RebuildError> {
        let mut parts = JoinSet::new();
        for (source, end) in ends {
            let Some(log) = self.logs.get(&*source.service).cloned() else { continue };
            parts.spawn(read(self.writer.clone(), log, source, end.next, progress.clone()));
        }
        while let Some(part) = parts.join_next().await {
            part??;
        }
        Ok(())
    }

    /// Compares the live rows with the shadow's, both as they are at the same place of the log; at most `examples` differing rows are
    /// kept. The live view may go on meanwhile.
    ///
    /// # Errors
    /// The log or the database fails.
    pub async fn compare(&self, examples: usize, progress: &Progress) -> Result<Comparison, RebuildError> {
        self.catch_up(progress).await?;
        let mut live = self.database.snapshot().await?;
        let standing = live.standing(&self.live.reader).await?;
        self.read_up_to(standing.clone(), progress).await?;
        let mut shadow = self.database.snapshot().await?;
        let same_place = shadow.standing(&self.shadow.reader).await? == standing;
        let comparison = compare::compare((&mut live, &self.live.table), (&mut shadow, &self.shadow.table), examples).await?;
        Ok(Comparison { view: self.live.view.name(), same_place, ..comparison })
    }

    /// Puts the shadow in the live view's place, in one transaction: whoever reads sees the old rows or the new ones, never less.
    ///
    /// # Errors
    /// The log or the database fails; the live view stays.
    pub async fn swap(self) -> Result<(), RebuildError> {
        let mut open = self.database.begin().await?;
        open.lock_checkpoints(&self.live.reader).await?;
        self.read_the_rest(&mut open).await?;
        open.hand_checkpoints_over(&self.shadow.reader, &self.live.reader).await?;
        open.hand_letters_over(&self.shadow.reader, &self.live.reader).await?;
        for statement in self.database.dialect().replace(&self.live.table, &self.shadow.table) {
            open.execute(statement, Vec::new()).await?;
        }
        open.commit().await?;
        self.database.tell_moved();
        Ok(())
    }

    /// What the live view has read since, while its checkpoints are locked: it cannot run away any more.
    async fn read_the_rest(&self, open: &mut Transaction) -> Result<(), RebuildError> {
        let (live, shadow) = (open.standing(&self.live.reader).await?, open.standing(&self.shadow.reader).await?);
        for (source, at) in live {
            let from = shadow.get(&source).copied().unwrap_or_default();
            let Some(log) = self.logs.get(&*source.service) else { continue };
            let Some(mut rest) = Replay::open(log, source, from, at.next).await? else { continue };
            while let Some(batch) = rest.next().await? {
                let decoded = self.writer.decode(&batch).await?;
                self.writer.write_carefully(open, &batch, &decoded).await?;
            }
        }
        Ok(())
    }

    /// Removes the shadow.
    ///
    /// # Errors
    /// [`RebuildError::Database`] where the database does not answer.
    pub async fn discard(self) -> Result<(), RebuildError> {
        discard(&self.database, &self.shadow).await
    }
}

/// What a rebuild is made of.
pub struct RebuildParts<'a> {
    /// Whose database: `orders`, or `audit`.
    pub service: &'a str,
    /// The view.
    pub view: ErasedView,
    /// A word that names the shadow: `replay`, `rebuild`.
    pub purpose: &'a str,
    /// Go on with a shadow that is there already.
    pub resume: bool,
    /// The service's database.
    pub database: Database,
    /// How bytes become events.
    pub codecs: Codecs,
    /// The logs that the view reads, at least.
    pub logs: Logs,
}

async fn read(
    writer: Arc<BatchWriter>,
    log: Arc<dyn Log>,
    source: PartitionId,
    until: i64,
    progress: Progress,
) -> Result<(), RebuildError> {
    let from = writer.start(&source).await?;
    let Some(mut replay) = Replay::open(&log, source, from, until).await? else { return Ok(()) };
    while let Some(batch) = replay.next().await? {
        let decoded = writer.decode(&batch).await?;
        // By itself: nothing is gathered where nothing else comes.
        writer.write(&batch, &decoded).await?;
        progress(read_of(&batch));
    }
    Ok(())
}

fn read_of(batch: &Batch) -> u64 {
    u64::try_from(batch.to.next - batch.from.next).unwrap_or(0)
}

fn next(standing: &HashMap<PartitionId, Checkpoint>, source: &PartitionId) -> i64 {
    standing.get(source).map_or(0, |at| at.next)
}

async fn discard(database: &Database, shadow: &Kept) -> Result<(), RebuildError> {
    let mut open = database.begin().await?;
    open.execute(database.dialect().drop(&shadow.table), Vec::new()).await?;
    open.forget_checkpoints(&shadow.reader).await?;
    open.forget_letters(&shadow.reader).await?;
    Ok(open.commit().await?)
}
