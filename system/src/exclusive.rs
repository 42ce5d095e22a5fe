//! Tools that would disturb each other run one at a time.

use crate::Failure;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
    time::Duration,
};

/// A lock of one tool; the operating system lifts it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Exclusive {
    _lock: File,
}

impl Exclusive {
    /// Takes the lock whose file this is.
    ///
    /// # Errors
    /// Another tool has it, and which.
    pub fn take(path: &Path, what: &str, tool: &str) -> Result<Self, Failure> {
        let unusable = |error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
        let mut lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(what, &named_in(&mut lock))),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let name = me(tool);
        lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(name.as_bytes())).map_err(unusable)?;
        Ok(Self { _lock: lock })
    }

    /// The tool that has the lock now. Makes nothing.
    pub fn holder(path: &Path) -> Option<String> {
        let mut lock = OpenOptions::new().read(true).write(true).open(path).ok()?;
        matches!(lock.try_lock(), Err(TryLockError::WouldBlock)).then(|| named_in(&mut lock))
    }
}

/// How a tool calls itself where others see it.
pub(crate) fn me(tool: &str) -> String {
    format!("daybook {tool}, process {}", std::process::id())
}

/// The refusal of a tool that comes second.
pub(crate) fn taken(what: &str, holder: &str) -> Failure {
    Failure::usage(format!("{holder}, works on {what} already; wait until it has ended, or end it"))
}

/// The name is missing for the moment between another's locking and its writing: it is waited for.
fn named_in(lock: &mut File) -> String {
    for _ in 0..20 {
        let mut text = String::new();
        if lock.rewind().and_then(|()| lock.read_to_string(&mut text)).is_ok() && !text.trim().is_empty() {
            return text.trim().to_owned();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    "another tool".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lock");
        assert!(Exclusive::holder(&path).is_none() && !path.exists());
        let first = Exclusive::take(&path, "the views", "replay").expect("it is free");
        let said = Exclusive::take(&path, "the views", "rebuild").expect_err("it is taken").to_string();
        assert!(said.contains(&format!("daybook replay, process {}", std::process::id())) && said.contains("the views"), "{said}");
        assert_eq!(Exclusive::holder(&path), Some(me("replay")));
        drop(first);
        assert!(Exclusive::holder(&path).is_none() && Exclusive::take(&path, "the views", "rebuild").is_ok());
    }
}
