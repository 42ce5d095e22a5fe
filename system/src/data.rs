//! The directory in which this machine keeps its data.

use crate::Failure;
use std::{fs::OpenOptions, io::ErrorKind, path::Path};

/// A file that is made and removed to find out whether that is allowed.
const PROBE: &str = ".writable";

/// Makes the directory where it is missing, with those above it, and refuses one in which no file can be made.
pub(crate) fn prepare(data: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(data).and_then(|()| probe(data)).map_err(|error| unusable(data, &error))
}

/// Refuses a directory that cannot be used. Makes nothing: where it is missing, looks at the nearest directory above it.
pub(crate) fn check(data: &Path) -> Result<(), Failure> {
    let there = data.ancestors().find(|above| above.as_os_str().is_empty() || above.symlink_metadata().is_ok());
    let there = there.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match there.metadata() {
        Ok(found) if !found.is_dir() => Err(unusable(data, &ErrorKind::NotADirectory.into())),
        Ok(_) => probe(there).map_err(|error| unusable(data, &error)),
        Err(error) => Err(unusable(data, &error)),
    }
}

fn probe(directory: &Path) -> std::io::Result<()> {
    let file = directory.join(format!("{PROBE}-{}", std::process::id()));
    OpenOptions::new().write(true).create(true).truncate(true).open(&file)?;
    std::fs::remove_file(file)
}

fn unusable(data: &Path, error: &std::io::Error) -> Failure {
    let data = data.display();
    Failure::usage(format!("DAYBOOK_DATA (--data) must be a directory in which files can be made, such as data; {data}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_looked_at_before_it_is_made() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("file");
        std::fs::write(&file, "").expect("a file");
        let (missing, behind) = (directory.path().join("a/b"), file.join("data"));
        assert!(check(&missing).is_ok() && !missing.exists(), "nothing is made");
        assert!(prepare(&missing).is_ok() && missing.is_dir());
        for wrong in [&file, &behind, Path::new("/proc/nowhere")] {
            for refused in [check(wrong), prepare(wrong)] {
                let said = refused.expect_err("it cannot be used").to_string();
                assert!(said.contains("DAYBOOK_DATA") && said.contains(&*wrong.display().to_string()), "{said}");
            }
        }
    }
}
