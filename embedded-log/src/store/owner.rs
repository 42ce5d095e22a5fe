//! One process owns a directory.

use super::OpenError;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
};

const LOCK: &str = "owner.pid";
/// What the former broker leaves in its directory.
const FORMER_BROKER: &str = "broker.db";

/// The lock on a directory; the operating system lifts it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Owner {
    _lock: File,
}

impl Owner {
    /// Locks the directory and writes this process's id into the lock file.
    pub fn of(directory: &Path) -> Result<Self, OpenError> {
        let unusable = |why| OpenError::Directory { directory: directory.to_owned(), why };
        std::fs::create_dir_all(directory).map_err(unusable)?;
        if directory.join(FORMER_BROKER).exists() && !directory.join(super::FILE).exists() {
            return Err(OpenError::FormerBroker { directory: directory.to_owned() });
        }
        let path = directory.join(LOCK);
        let mut lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Owned { directory: directory.to_owned(), owner: named_in(&mut lock) }),
            Err(TryLockError::Error(why)) => return Err(unusable(why)),
        }
        write_id(&mut lock).map_err(unusable)?;
        Ok(Self { _lock: lock })
    }
}

/// The process that owns a directory's log now; none where nobody does. Makes nothing.
pub(super) fn owner_of(directory: &Path) -> Option<String> {
    let mut lock = OpenOptions::new().read(true).write(true).open(directory.join(LOCK)).ok()?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => Some(named_in(&mut lock)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

fn write_id(lock: &mut File) -> std::io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

/// The process that the lock file names. It is unknown for the moment between that process's locking and its writing.
fn named_in(lock: &mut File) -> String {
    let mut text = String::new();
    match lock.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}
