//! Opening a snapshot, and the checks that it must pass to be believed.

use crate::{
    LogError, PartitionId, WriterConfig,
    anchor::record_at,
    fold::{Fold, is_last},
    log::Log,
    snapshots::{SnapshotError, Snapshots, Stand},
};
use codec::Schemas;
use event_sourcing::Aggregate;
use sha2::{Digest, Sha256};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// To be raised when the file's form changes, or the way in which this crate folds a record.
const FORMAT: u64 = 3;
/// How long to wait for an owner that stops to close its file.
const LET_GO: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

/// The partition that a fold reads, and where its snapshots are.
#[derive(Clone)]
pub(crate) struct Origin {
    pub log: Arc<dyn Log>,
    pub source: PartitionId,
    pub schemas: Schemas,
    pub config: WriterConfig,
    /// The directory of the snapshots, where any are kept.
    pub snapshots: Option<PathBuf>,
}

impl Origin {
    fn path(&self) -> Option<PathBuf> {
        let PartitionId { service, partition } = &self.source;
        self.snapshots.as_ref().map(|directory| directory.join(format!("{service}-{partition}.redb")))
    }

    fn fold<A: Aggregate>(&self) -> Fold<A> {
        Fold::new(self.source.clone(), self.schemas.clone(), self.config)
    }
}

/// The fold as the snapshot has it; an empty one where no snapshot can be believed.
pub(crate) async fn recover<A: Aggregate>(origin: &Origin) -> Fold<A> {
    let Some(path) = origin.path() else { return origin.fold() };
    let fingerprint = fingerprint::<A>(origin);
    match off_thread(move || open_or_begin(&path, fingerprint)).await {
        Ok((snapshots, Some(stand))) if !is_of_this_log(origin, &stand).await => begin_anew(origin, snapshots).await,
        Ok((snapshots, stand)) => {
            let next = stand.as_ref().map(|stand| stand.next);
            tracing::info!(service = %origin.source.service, partition = origin.source.partition, next, "snapshots are kept");
            origin.fold().on(snapshots, stand)
        }
        Err(error) => without(origin, &error),
    }
}

fn without<A: Aggregate>(origin: &Origin, error: &SnapshotError) -> Fold<A> {
    tracing::warn!(service = %origin.source.service, partition = origin.source.partition, %error, "no snapshots are kept");
    origin.fold()
}

async fn begin_anew<A: Aggregate>(origin: &Origin, old: Snapshots) -> Fold<A> {
    let fresh = off_thread(move || {
        let (path, fingerprint) = (old.path().to_owned(), old.fingerprint);
        drop(old);
        Snapshots::begin_anew(&path, fingerprint)
    });
    match fresh.await {
        Ok(snapshots) => origin.fold().on(snapshots, None),
        Err(error) => without(origin, &error),
    }
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T, SnapshotError> + Send + 'static) -> Result<T, SnapshotError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(SnapshotError::Defect(error.to_string())))
}

/// Opens the file if it is whole and was folded by these rules; otherwise begins an empty one in its place.
fn open_or_begin(path: &Path, fingerprint: u64) -> Result<(Snapshots, Option<Stand>), SnapshotError> {
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let why = match open_patiently(path, fingerprint) {
        Err(SnapshotError::Locked) => return Err(SnapshotError::Locked),
        Err(error) => error.to_string(),
        Ok((_, Some(stand))) if stand.fingerprint != fingerprint => "it was folded by other rules".to_owned(),
        Ok((_, Some(stand))) if stand.unreadable => "it holds an aggregate that could not be folded".to_owned(),
        Ok(found) => return Ok(found),
    };
    tracing::warn!(path = %path.display(), why, "a snapshot is thrown away");
    Snapshots::begin_anew(path, fingerprint).map(|snapshots| (snapshots, None))
}

/// Opens the file; while it is locked, waits, since an owner on this node that has just stopped may still be saving.
fn open_patiently(path: &Path, fingerprint: u64) -> Result<(Snapshots, Option<Stand>), SnapshotError> {
    for _ in 0..LET_GO.as_millis() / PAUSE.as_millis() {
        match Snapshots::open(path, fingerprint) {
            Err(SnapshotError::Locked) => std::thread::sleep(PAUSE),
            opened => return opened,
        }
    }
    Snapshots::open(path, fingerprint)
}

/// Whether the log is the one that was folded, and has lost no record of it. Tries until the log answers.
async fn is_of_this_log(origin: &Origin, stand: &Stand) -> bool {
    let PartitionId { service, partition } = &origin.source;
    loop {
        match find(origin, stand).await {
            Ok(true) => return true,
            Ok(false) => {
                tracing::warn!(%service, partition, next = stand.next, "a snapshot is thrown away: it is of another log, or the log has lost records");
                return false;
            }
            Err(error) => tracing::warn!(%service, partition, %error, "the snapshot cannot be compared with the log yet"),
        }
        tokio::time::sleep(PAUSE * 10).await;
    }
}

/// Whether the record before the snapshot's `next` is still the one that was folded.
async fn find(origin: &Origin, stand: &Stand) -> Result<bool, LogError> {
    if stand.next == 0 {
        return Ok(true);
    }
    let last = record_at(&*origin.log, origin.source.partition, stand.next - 1).await?;
    Ok(last.is_some_and(|last| is_last(&origin.source, &last, stand.checkpoint(), &stand.anchor)))
}

fn fingerprint<A: Aggregate>(origin: &Origin) -> u64 {
    let PartitionId { service, partition } = &origin.source;
    let mut hash = Sha256::new();
    let events = origin.schemas.records().fingerprint();
    let of = origin.config.partitions.unwrap_or_default();
    hash.update(format!("{FORMAT} {:x} {events:x} {} {service} {partition}/{of}", A::FOLD, A::NAME));
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    u64::from_be_bytes(first)
}
