//! Where the database's bytes are.

use redb::{Database, StorageBackend};
use std::{
    fs::File,
    io,
    ops::Deref,
    os::unix::fs::FileExt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// A file. It takes no lock of its own: the directory has one owner, and after a failure the same process opens the file a second time.
#[derive(Debug)]
pub(super) struct LogFile(pub File);

impl StorageBackend for LogFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}

/// One opening of the storage. When it is given up, it writes no more, so a database that somebody still reads from cannot write over what
/// its successor has written.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    storage: Arc<dyn StorageBackend>,
    is_given_up: Arc<AtomicBool>,
}

impl Opening {
    pub fn new(storage: Arc<dyn StorageBackend>) -> Self {
        Self { storage, is_given_up: Arc::default() }
    }

    pub fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
    }

    fn writable(&self) -> io::Result<&dyn StorageBackend> {
        match self.is_given_up.load(Ordering::Acquire) {
            true => Err(io::Error::other("the database was opened again")),
            false => Ok(&*self.storage),
        }
    }
}

impl StorageBackend for Opening {
    fn len(&self) -> io::Result<u64> {
        self.storage.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.storage.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.writable()?.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.writable()?.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.writable()?.write(offset, data)
    }
}

/// A database that can be closed whatever its file holds. Closing writes, and a damaged file can make that panic where nobody could do anything
/// about it.
#[derive(Debug)]
pub(super) struct OpenDatabase(Option<Database>);

impl OpenDatabase {
    pub fn new(database: Database) -> Self {
        Self(Some(database))
    }
}

impl Deref for OpenDatabase {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for OpenDatabase {
    fn drop(&mut self) {
        let database = self.0.take();
        if catch_unwind(AssertUnwindSafe(|| drop(database))).is_err() {
            tracing::error!("the log's file is damaged: it was not closed in good order");
        }
    }
}
