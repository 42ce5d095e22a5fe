//! Rebuilds a view from the log, in a shadow table beside the live one, to check the live one or to replace it.

mod compare;

pub use compare::{Comparison, Difference};

use crate::{
    database::{Database, DatabaseError, READY, Transaction},
    kept::Kept,
    view::ErasedView,
    writer::BatchWriter,
};
use codec::Codecs;
use event_store::{Batch, BatchError, Checkpoint, Log, LogError, PartitionId, Replay, ReplayError};
use std::{collections::HashMap, sync::Arc};
use tokio::task::JoinSet;

/// Why a view could not be rebuilt. The live one is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The database failed, or another rebuild of the same view runs.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The log cannot be asked.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log cannot be read, ends before the live view's checkpoint, or has lost what was folded of it.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A batch could not be decoded, since the registry does not answer.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The database holds no rows of this build's version of the view yet.
    #[error("the database has no rows of this build's version of the view {0} yet: a node of this build makes them when it starts")]
    NotBuilt(&'static str),
    /// A task that reads a partition panicked.
    #[error("a part of the rebuild ended unexpectedly: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

/// The logs of the services, by name.
pub type Logs = HashMap<&'static str, Arc<dyn Log>>;

/// A callback that is told how many further offsets of the log were read.
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
    /// Makes the shadow of a view, empty; with `resume` it takes the shadow that an earlier rebuild for the same purpose left. The purpose,
    /// a word, is part of the shadow's name, so rebuilds for different purposes do not meet.
    ///
    /// # Errors
    /// [`RebuildError::Database`] where the shadow cannot be made; [`RebuildError::NotBuilt`] while another build's version answers.
    pub async fn begin(parts: RebuildParts<'_>) -> Result<Self, RebuildError> {
        let RebuildParts { service, view, purpose, resume, database, codecs, logs } = parts;
        let version = database.open_version(&view).await?.own;
        if version.state != READY {
            return Err(RebuildError::NotBuilt(view.name()));
        }
        let live = version.kept(&view);
        let shadow = live.shadow(purpose);
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

    /// Folds the log into the shadow, up to the live view's checkpoints of now, all partitions concurrently.
    ///
    /// # Errors
    /// The log or the database fails; a further call goes on from there.
    pub async fn catch_up(&self, progress: &Progress) -> Result<(), RebuildError> {
        let live = self.database.snapshot().await?.standing(&self.live.reader).await?;
        self.read_up_to(live, progress).await
    }

    async fn read_up_to(&self, ends: HashMap<PartitionId, Checkpoint>, progress: &Progress) -> Result<(), RebuildError> {
        let ends = ends.into_iter().map(|(source, end)| (source, end.next));
        read_up_to(&self.writer, &self.logs, ends, progress).await
    }

    /// Compares the live rows with the shadow's, both at the same checkpoints, and keeps at most `examples` differing rows. The live view
    /// may go on meanwhile, since a snapshot of it is read.
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

    /// Replaces the live view by the shadow in one transaction: a reader sees either all the old rows or all the new ones.
    ///
    /// # Errors
    /// The log or the database fails; the live view is unchanged.
    pub async fn swap(self) -> Result<(), RebuildError> {
        let mut open = self.database.begin_long().await?;
        open.lock_checkpoints(&self.live.reader).await?;
        self.read_the_rest(&mut open).await?;
        replace(&mut open, &self.live, &self.shadow).await?;
        open.commit().await?;
        self.database.tell_set_back();
        Ok(())
    }

    /// Folds into the shadow the records that the live view has read since. The live view's checkpoints are locked, so it cannot get ahead
    /// again.
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

/// The arguments of [`Rebuilding::begin`].
pub struct RebuildParts<'a> {
    /// The service that the database belongs to: `orders`, or `audit`.
    pub service: &'a str,
    /// The view.
    pub view: ErasedView,
    /// A word that names the shadow: `replay`, `rebuild`.
    pub purpose: &'a str,
    /// True to go on with the shadow of an earlier rebuild.
    pub resume: bool,
    /// The service's database.
    pub database: Database,
    /// The codecs that decode the events.
    pub codecs: Codecs,
    /// The logs that the view reads; further ones are ignored.
    pub logs: Logs,
}

/// Lets the shadow take the live view's place, with its checkpoints and letters.
pub(crate) async fn replace(open: &mut Transaction, live: &Kept, shadow: &Kept) -> Result<(), DatabaseError> {
    open.hand_checkpoints_over(&shadow.reader, &live.reader).await?;
    open.hand_letters_over(&shadow.reader, &live.reader).await?;
    for statement in open.dialect().replace(&live.table, &shadow.table) {
        open.execute(statement, Vec::new()).await?;
    }
    Ok(())
}

/// Reads partitions up to these ends, all at once; fails, once all are done, if one of them does.
pub(crate) async fn read_up_to(
    writer: &Arc<BatchWriter>,
    logs: &Logs,
    ends: impl IntoIterator<Item = (PartitionId, i64)>,
    progress: &Progress,
) -> Result<(), RebuildError> {
    let mut parts = JoinSet::new();
    for (source, end) in ends {
        let Some(log) = logs.get(&*source.service).cloned() else { continue };
        parts.spawn(read(writer.clone(), log, source, end, progress.clone()));
    }
    // A partition that cannot be read keeps none of the others back.
    let mut outcome = Ok(());
    while let Some(part) = parts.join_next().await {
        outcome = outcome.and(part.map_err(RebuildError::from).and_then(|read| read));
    }
    outcome
}

async fn read(
    writer: Arc<BatchWriter>,
    log: Arc<dyn Log>,
    source: PartitionId,
    until: i64,
    progress: Progress,
) -> Result<(), RebuildError> {
    let from = writer.start(&source).await?.unwrap_or_default();
    let Some(mut replay) = Replay::open(&log, source, from, until).await? else { return Ok(()) };
    while let Some(batch) = replay.next().await? {
        let decoded = writer.decode(&batch).await?;
        // In a transaction of its own: gathering, as `Joint` does, pays only for small batches.
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

pub(crate) async fn discard(database: &Database, shadow: &Kept) -> Result<(), RebuildError> {
    let mut open = database.begin_long().await?;
    open.execute(database.dialect().drop(&shadow.table), Vec::new()).await?;
    open.forget_checkpoints(&shadow.reader).await?;
    open.forget_letters(&shadow.reader).await?;
    Ok(open.commit().await?)
}
