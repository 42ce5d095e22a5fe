//! What an owner knows, kept in a file of its own machine, so that a restart costs the log's tail and not its history, and so that
//! not everything need be in memory.
//!
//! A snapshot is a cache. The log alone says what is so: a file that is missing, torn, stale, of another log, of other rules or
//! wrong in any other way is [discovered](recover) and thrown away, and the history is read again.

mod recover;
mod saver;
#[cfg(test)]
mod tests;

pub(crate) use recover::{Origin, recover};
pub(crate) use saver::Saver;

use crate::{
    Checkpoint,
    fold::guarded,
    live::Folded,
    remembered::{Bounds, Remembered},
};
use domain::{Aggregate, Timestamp};
use parking_lot::RwLock;
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use uuid::Uuid;

const AGGREGATES: TableDefinition<u128, &[u8]> = TableDefinition::new("aggregates");
const COMMANDS: TableDefinition<u128, &[u8]> = TableDefinition::new("commands");
/// The commands by the offset of their last record, with its time: the oldest are forgotten first.
const ORDER: TableDefinition<(i64, u128), i64> = TableDefinition::new("order");
const STAND: TableDefinition<(), &[u8]> = TableDefinition::new("stand");

/// What redb may keep of one file in memory; the system's page cache has the rest.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// Another process has it open.
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

/// Where the saved fold stands, and of what it is a fold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stand {
    /// Of the rules by which it was folded.
    pub fingerprint: u64,
    pub next: i64,
    pub claim: Option<i64>,
    /// The `ce_id` of the record before `next`: another log has another one there.
    pub anchor: String,
    /// Whether it holds an aggregate that could not be folded: a later build, or another day, may be able to.
    pub unreadable: bool,
}

impl Stand {
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { next: self.next, claim: self.claim }
    }
}

/// All that changed since the last save, at one place of the log.
pub(crate) struct Save<A> {
    pub stand: Stand,
    pub aggregates: Vec<(Uuid, Arc<Folded<A>>)>,
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

type Table = ReadOnlyTable<u128, &'static [u8]>;

/// The last save, open to be looked up in: to open a table costs as much as to find something in it.
#[derive(Default)]
struct Saved {
    aggregates: Option<Table>,
    commands: Option<Table>,
}

impl Saved {
    fn open(database: &Database) -> Result<Self, SnapshotError> {
        let read = database.begin_read()?;
        let open = |table| match read.open_table(table) {
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            table => table.map(Some),
        };
        Ok(Self { aggregates: open(AGGREGATES)?, commands: open(COMMANDS)? })
    }
}

fn found<V: DeserializeOwned>(table: Option<&Table>, id: Uuid) -> Result<Option<V>, SnapshotError> {
    let looking = || {
        let Some(bytes) = table.map(|table| table.get(id.as_u128())).transpose()?.flatten() else { return Ok(None) };
        unsealed(id.as_u128(), bytes.value()).map(Some)
    };
    guarded(looking).unwrap_or_else(|defect| Err(SnapshotError::Defect(defect)))
}

impl Snapshots {
    /// Opens the file, or makes an empty one; every page of it is checked.
    fn open(path: &Path, fingerprint: u64) -> Result<(Self, Option<Stand>), SnapshotError> {
        let opening = || {
            let database = Database::builder().set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true).create(path)?;
            let (stand, saved) = (stand_of(&database)?, RwLock::new(Saved::open(&database)?));
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
        found(self.saved.read().aggregates.as_ref(), id)
    }

    /// The first answer to a command, where it was saved.
    pub fn command(&self, id: Uuid) -> Result<Option<Remembered>, SnapshotError> {
        found(self.saved.read().commands.as_ref(), id)
    }

    /// Writes all of it, or nothing. What is written in the order of its keys finds each page once.
    pub fn save<A: Aggregate>(&self, mut save: Save<A>) -> Result<(), SnapshotError> {
        save.aggregates.sort_unstable_by_key(|(id, _)| *id);
        save.commands.sort_unstable_by_key(|(id, _)| *id);
        let write = self.database.begin_write()?;
        {
            let mut aggregates = write.open_table(AGGREGATES)?;
            for (id, folded) in save.aggregates {
                aggregates.insert(id.as_u128(), sealed(id.as_u128(), folded.as_ref())?.as_slice())?;
            }
            write.open_table(STAND)?.insert((), sealed(0, &save.stand)?.as_slice())?;
            save_commands(&write, save.commands, save.bounds)?;
        }
        write.commit()?;
        *self.saved.write() = Saved::open(&self.database)?;
        Ok(())
    }
}

fn stand_of(database: &Database) -> Result<Option<Stand>, SnapshotError> {
    match database.begin_read()?.open_table(STAND) {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        table => table?.get(())?.map(|bytes| unsealed(0, bytes.value())).transpose(),
    }
}

fn save_commands(write: &redb::WriteTransaction, mut save: Vec<(Uuid, Remembered)>, bounds: Bounds) -> Result<(), SnapshotError> {
    let (mut commands, mut order) = (write.open_table(COMMANDS)?, write.open_table(ORDER)?);
    for (id, remembered) in &save {
        commands.insert(id.as_u128(), sealed(id.as_u128(), remembered)?.as_slice())?;
    }
    save.sort_unstable_by_key(|(_, remembered)| remembered.offset);
    for (id, remembered) in &save {
        order.insert((remembered.offset, id.as_u128()), remembered.time.0)?;
    }
    loop {
        let Some((offset, id, time)) = oldest(&order)? else { return Ok(()) };
        if !bounds.forget(usize::try_from(order.len()?).unwrap_or(usize::MAX), time) {
            return Ok(());
        }
        order.remove((offset, id))?;
        let known = commands.get(id)?.map(|bytes| unsealed::<Remembered>(id, bytes.value())).transpose()?;
        // Unless the same id was used again since.
        if known.is_some_and(|known| known.offset == offset) {
            commands.remove(id)?;
        }
    }
}

fn oldest(order: &redb::Table<'_, (i64, u128), i64>) -> Result<Option<(i64, u128, Timestamp)>, SnapshotError> {
    let first = order.first()?;
    Ok(first.map(|(command, time)| {
        let (offset, id) = command.value();
        (offset, id, Timestamp(time.value()))
    }))
}

/// A value's bytes, and a checksum over them and the key that they belong to: redb itself checks pages on opening only.
fn sealed(key: u128, value: &impl Serialize) -> Result<Vec<u8>, postcard::Error> {
    let mut bytes = postcard::to_allocvec(value)?;
    let sum = checksum(key, &bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    Ok(bytes)
}

fn unsealed<V: DeserializeOwned>(key: u128, bytes: &[u8]) -> Result<V, SnapshotError> {
    let (value, sum) = bytes.split_last_chunk::<4>().ok_or(SnapshotError::Rotten)?;
    if checksum(key, value) != u32::from_le_bytes(*sum) {
        return Err(SnapshotError::Rotten);
    }
    Ok(postcard::from_bytes(value)?)
}

fn checksum(key: u128, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&key.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}
