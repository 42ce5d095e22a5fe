//! What a process uses: memory, threads, processor time.

use anyhow::{Context, Result};
use std::{collections::HashMap, ffi::OsString, fs::DirEntry, path::Path, time::Duration};

/// A number of /proc/PID/status, in the unit that it has there.
fn status(pid: u32, field: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid}"))?;
    number(&text, field).with_context(|| format!("{field} of process {pid}"))
}

fn number(status: &str, field: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

/// The memory that a process has resident, in bytes.
pub fn resident(pid: u32) -> Result<u64> {
    Ok(status(pid, "VmRSS")? * 1024)
}

/// How many threads a process has.
pub fn threads(pid: u32) -> Result<u64> {
    status(pid, "Threads")
}

/// The processor time that each thread of a process has used, by the thread's number.
#[derive(Default)]
pub struct Busy(HashMap<OsString, u64>);

impl Busy {
    /// As it is now, to the nanosecond.
    pub fn of(pid: u32) -> Result<Self> {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid}"))?;
        let used = |task: DirEntry| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            Some((task.file_name(), text.split_ascii_whitespace().next()?.parse().ok()?))
        };
        Ok(Self(tasks.filter_map(|task| used(task.ok()?)).collect()))
    }

    /// The time used since, by the threads that still exist: one that has ended must not reduce the sum.
    pub fn since(&self, earlier: &Self) -> Duration {
        let each = self.0.iter().map(|(thread, used)| used.saturating_sub(earlier.0.get(thread).copied().unwrap_or(0)));
        Duration::from_nanos(each.sum())
    }
}

/// The bytes that a file, or the files of a folder, really take on the disk: the holes of a sparse file are not counted.
pub fn on_disk(path: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).with_context(|| path.display().to_string())?;
    if !meta.is_dir() {
        return Ok(meta.blocks() * 512);
    }
    std::fs::read_dir(path)?.map(|entry| on_disk(&entry?.path())).sum()
}

/// Bytes as people read them.
pub fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", crate::render::short(bytes as f64 / (1024.0 * 1024.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "VmRSSx:\t1 kB\nVmRSS:\t  2048 kB\nThreads:\t7\n";
        assert_eq!((number(text, "VmRSS"), number(text, "Threads"), number(text, "Vm")), (Some(2048), Some(7), None));
    }

    #[test]
    fn this_process_uses_something() {
        let pid = std::process::id();
        assert!(resident(pid).unwrap() > 100_000 && threads(pid).unwrap() > 0);
    }

    #[test]
    fn a_thread_that_has_ended_takes_nothing_from_the_others() {
        let busy = |threads: &[(&str, u64)]| Busy(threads.iter().map(|(name, used)| (OsString::from(name), *used)).collect());
        let (before, after) = (busy(&[("1", 10), ("2", 500)]), busy(&[("1", 15), ("3", 7)]));
        assert_eq!(after.since(&before), Duration::from_nanos(5 + 7));
        assert!(Busy::of(std::process::id()).unwrap().since(&Busy::default()) > Duration::ZERO);
    }

    #[test]
    fn a_folder_takes_what_its_files_take() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::write(folder.path().join(name), vec![1; 10_000]).unwrap();
        }
        assert!((20_000..100_000).contains(&on_disk(folder.path()).unwrap()));
        assert_eq!(mebibytes(3 << 19), "1.50 MiB");
    }
}
