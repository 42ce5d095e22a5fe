//! An owner's aggregates and answered commands, kept in a file of its own machine, so that a restart costs the log's tail and not its
//! history, and so that not everything need be in memory.
//!
//! A snapshot is a cache. Only the log is the truth: a file that is missing, torn, of another log, of other rules or wrong in any other way
//! is [discovered](crate::recover) and thrown away, and the history is read again.

mod block;
mod shelf;
#[cfg(test)]
mod tests;

use crate::{
    Checkpoint,
    guarded::guarded,
    live::{Changed, Folded},
    remembered::{Bounds, Remembered},
};
use block::Stored;
use event_sourcing::Aggregate;
use parking_lot::RwLock;
use redb::{Database, ReadableDatabase, TableDefinition, TableError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shelf::{Added, Shelf};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use uuid::Uuid;

const AGGREGATES: &str = "aggregates";
const COMMANDS: &str = "commands";
const STAND: TableDefinition<(), &[u8]> = TableDefinition::new("stand");

/// Segments are merged only up to this many aggregates: no save takes longer than it takes to write these.
const AGGREGATES_OF_A_SEGMENT: usize = 4_000_000;
/// Segments of command ids are merged only up to a tenth of all that are remembered, since a segment is forgotten as a whole.
const SEGMENTS_OF_COMMANDS: usize = 10;

/// How many bytes of one file redb may keep in memory; the system's page cache has the rest.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// Another owner has it open, in this process or in another.
    #[error("another process uses it")]
    Locked,
    #[error(transparent)]
    Store(redb::Error),
    #[error("there is no place for it: {0}")]
    Place(#[from] std::io::Error),
    #[error("a value does not have the form that it should: {0}")]
    Form(#[from] postcard::Error),
    #[error("a value is not the one that was written")]
    Rotten,
    #[error("its code met a defect: {0}")]
    Defect(String),
}

macro_rules! from_redb {
    ($($error:ident)*) => {
        $(impl From<redb::$error> for SnapshotError {
            fn from(error: redb::$error) -> Self {
                match error.into() {
                    redb::Error::DatabaseAlreadyOpen => Self::Locked,
                    other => Self::Store(other),
                }
            }
        })*
    };
}

from_redb! { DatabaseError TransactionError TableError StorageError CommitError }

/// The place of the saved fold, and the marks by which to know its rules and its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stand {
    /// The fingerprint of the rules by which it was folded.
    pub fingerprint: u64,
    pub next: i64,
    pub claim: Option<i64>,
    /// The `ce_id` of the record before `next`: another log has another one there.
    pub anchor: String,
    /// Whether it holds an aggregate that could not be folded: a later build, or a later attempt, may be able to fold it.
    pub unreadable: bool,
}

impl Stand {
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint::new(self.next, self.claim)
    }
}

/// All that changed since the last save, at one place of the log.
pub(crate) struct Save<A> {
    pub stand: Stand,
    pub aggregates: Arc<Changed<A>>,
    pub commands: Vec<(Uuid, Remembered)>,
    pub bounds: Bounds,
}

/// The snapshot file of one partition, open.
pub(crate) struct Snapshots {
    database: Database,
    saved: RwLock<Saved>,
    path: PathBuf,
    pub fingerprint: u64,
}

/// The last save, open for lookups.
struct Saved {
    aggregates: Shelf,
    commands: Shelf,
}

impl Saved {
    pub fn open(database: &Database, before: Option<&Self>) -> Result<Self, SnapshotError> {
        let read = database.begin_read()?;
        let aggregates = Shelf::open(AGGREGATES, &read, before.map(|before| &before.aggregates))?;
        let commands = Shelf::open(COMMANDS, &read, before.map(|before| &before.commands))?;
        Ok(Self { aggregates, commands })
    }
}

fn found<V: DeserializeOwned>(shelf: &Shelf, id: Uuid) -> Result<Option<V>, SnapshotError> {
    let looking = || shelf.get(id.as_u128())?.map(|bytes| Ok(postcard::from_bytes(&bytes)?)).transpose();
    guarded(looking).unwrap_or_else(|defect| Err(SnapshotError::Defect(defect)))
}

impl Snapshots {
    /// Opens the file, or makes an empty one; redb checks every page of it.
    pub fn open(path: &Path, fingerprint: u64) -> Result<(Self, Option<Stand>), SnapshotError> {
        let opening = || {
            let database = Database::builder().set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true).create(path)?;
            let (stand, saved) = (stand_of(&database)?, RwLock::new(Saved::open(&database, None)?));
            Ok((Self { database, saved, path: path.to_owned(), fingerprint }, stand))
        };
        guarded(opening).unwrap_or_else(|defect| Err(SnapshotError::Defect(defect)))
    }

    /// Throws the file away and begins an empty one in its place.
    pub fn begin_anew(path: &Path, fingerprint: u64) -> Result<Self, SnapshotError> {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Self::open(path, fingerprint).map(|(snapshots, _)| snapshots),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An aggregate as it was saved.
    pub fn aggregate<A: Aggregate>(&self, id: Uuid) -> Result<Option<Folded<A>>, SnapshotError> {
        found(&self.saved.read().aggregates, id)
    }

    /// The first answer to a command, where it was saved.
    pub fn command(&self, id: Uuid) -> Result<Option<Remembered>, SnapshotError> {
        found(&self.saved.read().commands, id)
    }

    /// Writes the whole save, or nothing.
    pub fn save<A: Aggregate>(&self, save: Save<A>) -> Result<(), SnapshotError> {
        let Save { stand, aggregates, commands, bounds } = save;
        let newest = commands.iter().map(|(_, command)| command.time).max().unwrap_or_default();
        let aggregates =
            Added { values: entries(aggregates.iter().map(|(id, folded)| (*id, folded.as_ref())))?, newest, most: AGGREGATES_OF_A_SEGMENT };
        let commands = Added { values: entries(commands)?, newest, most: bounds.most() / SEGMENTS_OF_COMMANDS };
        let write = self.database.begin_write()?;
        let saved = self.saved.read();
        saved.aggregates.add(&write, aggregates, |_, _| false)?;
        saved.commands.add(&write, commands, |count, newest| bounds.forget(count, newest))?;
        write.open_table(STAND)?.insert((), sealed(0, postcard::to_allocvec(&stand)?).as_slice())?;
        write.commit()?;
        let now = Saved::open(&self.database, Some(&saved))?;
        drop(saved);
        *self.saved.write() = now;
        Ok(())
    }
}

/// The values encoded, in the order of their ids.
fn entries(values: impl IntoIterator<Item = (Uuid, impl Serialize)>) -> Result<Vec<Stored>, SnapshotError> {
    let bytes = values.into_iter().map(|(id, value)| Ok((id.as_u128(), postcard::to_allocvec(&value)?)));
    let mut entries = bytes.collect::<Result<Vec<Stored>, SnapshotError>>()?;
    entries.sort_unstable_by_key(|(id, _)| *id);
    Ok(entries)
}

fn stand_of(database: &Database) -> Result<Option<Stand>, SnapshotError> {
    match database.begin_read()?.open_table(STAND) {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        table => table?.get(())?.map(|bytes| Ok(postcard::from_bytes(unsealed(0, bytes.value())?)?)).transpose(),
    }
}

/// Bytes with a checksum over them and the key that they belong to: redb itself checks pages on opening only.
fn sealed(key: u128, mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = checksum(key, &bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

fn unsealed(key: u128, bytes: &[u8]) -> Result<&[u8], SnapshotError> {
    let (value, sum) = bytes.split_last_chunk::<4>().ok_or(SnapshotError::Rotten)?;
    if checksum(key, value) == u32::from_le_bytes(*sum) { Ok(value) } else { Err(SnapshotError::Rotten) }
}

fn checksum(key: u128, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&key.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}
