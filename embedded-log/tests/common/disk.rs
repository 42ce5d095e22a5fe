//! A disk in memory that loses what was not synced, is full, breaks, or turns bytes over.

use super::create;
use embedded_log::{OpenError, Store, StoreSettings};
use redb::StorageBackend;
use std::{
    future::Future,
    io,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// A write that has not been synced.
#[derive(Clone, Debug)]
enum Unsynced {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Default)]
struct State {
    /// What a reader sees.
    seen: Vec<u8>,
    /// What survives a loss of power for certain.
    synced: Vec<u8>,
    unsynced: Vec<Unsynced>,
    /// No more bytes than this.
    capacity: Option<usize>,
    /// How many more writes and syncs succeed before the power fails.
    left: Option<usize>,
    done: usize,
    syncs: usize,
    /// So many more syncs succeed before one fails. What was written is seen all the same, but is not on the disk.
    sync_fails_after: Option<usize>,
    /// Syncs wait while this is true.
    is_held: bool,
    /// But so many may go on.
    passes: usize,
    waiting: usize,
}

/// The disk; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    state: Arc<(Mutex<State>, Condvar)>,
}

fn apply(image: &mut Vec<u8>, write: &Unsynced) {
    match write {
        Unsynced::Length(length) => image.resize(*length, 0),
        Unsynced::Bytes(at, bytes) => {
            if image.len() < at + bytes.len() {
                image.resize(at + bytes.len(), 0);
            }
            image[*at..at + bytes.len()].copy_from_slice(bytes);
        }
    }
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A disk with these bytes, all of them synced.
    pub fn holding(bytes: Vec<u8>) -> Self {
        let disk = Self::default();
        (disk.state().seen, disk.state().synced) = (bytes.clone(), bytes);
        disk
    }

    pub fn storage(&self) -> Arc<dyn StorageBackend> {
        Arc::new(self.clone())
    }

    /// The bytes as they are seen.
    pub fn bytes(&self) -> Vec<u8> {
        self.state().seen.clone()
    }

    /// What a disk holds after the power has failed: all that was synced, and of the rest whatever `keeps` says.
    pub fn after_power_loss(&self, mut keeps: impl FnMut() -> bool) -> Self {
        let state = self.state();
        let mut image = state.synced.clone();
        state.unsynced.iter().filter(|_| keeps()).for_each(|write| apply(&mut image, write));
        Self::holding(image)
    }

    /// No more bytes than this; none for as many as there are bytes to write.
    pub fn set_capacity(&self, capacity: Option<usize>) {
        self.state().capacity = capacity;
    }

    /// After so many more writes and syncs everything fails, and nothing reaches the disk any more.
    pub fn fail_after(&self, left: usize) {
        self.state().left = Some(left);
    }

    /// One sync fails, after so many that succeed.
    pub fn fail_a_sync_after(&self, syncs: usize) {
        self.state().sync_fails_after = Some(syncs);
    }

    /// How many writes and syncs there were.
    pub fn done(&self) -> usize {
        self.state().done
    }

    pub fn syncs(&self) -> usize {
        self.state().syncs
    }

    /// Makes syncs wait, or lets them go on.
    pub fn hold(&self, is_held: bool) {
        self.state().is_held = is_held;
        self.state.1.notify_all();
    }

    /// Makes syncs wait for as long as this is kept, or until they are let go: a test that fails must not wait for them.
    pub fn held(&self) -> Held {
        self.hold(true);
        Held(self.clone())
    }

    /// Lets one sync go on that waits.
    pub fn pass_one(&self) {
        self.state().passes += 1;
        self.state.1.notify_all();
    }

    /// Waits until a sync waits.
    pub fn wait_for_sync(&self) {
        let mut state = self.state();
        while state.waiting == 0 || state.passes > 0 {
            state = self.state.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Turns the bits of a byte over.
    pub fn flip(&self, at: usize) {
        let mut state = self.state();
        state.seen[at] ^= 0xff;
        state.synced = state.seen.clone();
    }

    fn step(state: &mut State) -> io::Result<()> {
        if let Some(left) = &mut state.left {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("the power has failed"))?;
        }
        state.done += 1;
        Ok(())
    }

    fn write(&self, write: Unsynced) -> io::Result<()> {
        let mut state = self.state();
        Self::step(&mut state)?;
        let end = match &write {
            Unsynced::Bytes(at, bytes) => at + bytes.len(),
            Unsynced::Length(length) => *length,
        };
        if state.capacity.is_some_and(|capacity| end > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        apply(&mut state.seen, &write);
        state.unsynced.push(write);
        Ok(())
    }
}

/// A disk whose syncs wait.
pub struct Held(Disk);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.hold(false);
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let at = offset as usize;
        let bytes = state.seen.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.write(Unsynced::Length(len as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        while state.is_held && state.passes == 0 {
            state.waiting += 1;
            self.state.1.notify_all();
            state = self.state.1.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        state.passes = state.passes.saturating_sub(1);
        if let Some(left) = state.sync_fails_after.take() {
            state.sync_fails_after = Some(left.checked_sub(1).ok_or_else(|| io::Error::other("a sync has failed"))?);
        }
        Self::step(&mut state)?;
        state.syncs += 1;
        state.synced = state.seen.clone();
        state.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write(Unsynced::Bytes(offset as usize, data.to_vec()))
    }
}

/// A store on a disk, or why there is none.
pub fn try_on(disk: &Disk, directory: &Path) -> Result<Store, OpenError> {
    Store::open_with(directory, StoreSettings { storage: Some(disk.storage()), ..StoreSettings::default() })
}

/// A store on a disk.
pub fn on(disk: &Disk, directory: &Path) -> Store {
    try_on(disk, directory).expect("the store opens")
}

/// Waits for what a store answers, without a runtime of the test's own.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// A disk with an empty topic on it.
pub fn with_topic(directory: &Path) -> Disk {
    let disk = Disk::default();
    wait(create(&on(&disk, directory), "orders", 1));
    Disk::holding(disk.bytes())
}
