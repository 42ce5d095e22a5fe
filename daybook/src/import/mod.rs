//! `daybook import`: a merchant's invoices become users, products, stock and orders, through the public HTTP API.
//!
//! Two passes. The first reads the file into a [`Plan`](invoices::Plan) without asking anybody; the second carries the plan out.
//! Every request's idempotency key is worked out from the file's content, so a second run changes nothing and a killed
//! one is simply run again.

mod api;
mod execute;
mod report;

use crate::{cli::ImportArguments, failure::Failure};
use std::{
    fmt::Display,
    io::Read,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

/// How long one order is waited for: longer than the 15 minutes after which an unconfirmed order expires by default.
const SETTLE: Duration = Duration::from_secs(20 * 60);

/// Imports a file; the exit code is 0 when everything that could be imported was, though lines may have been skipped.
pub async fn run(arguments: ImportArguments) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    let wrong = |path: &Path, error: &dyn Display| Failure::usage(format!("{}: {error}", path.display()));
    if let Some(path) = &arguments.report {
        report::check(path).map_err(|error| wrong(path, &error))?;
    }
    let api = api::Api::new(&arguments.url).map_err(Failure::usage)?;
    let bytes = read(&arguments.file).map_err(|error| wrong(&arguments.file, &error))?;
    let mut plan = invoices::Plan::read(&bytes).map_err(|error| wrong(&arguments.file, &error))?;
    drop(bytes);
    api.greet().await.map_err(|error| Failure::failed(format!("{error}; does Daybook run there? --url says where it is")))?;
    let limits = execute::Limits { concurrency: usize::from(arguments.concurrency), settle: SETTLE };
    execute::execute(&mut plan, &api, limits).await.map_err(|error| Failure::failed(format!("{error}; run it again to go on")))?;
    if let Some(path) = &arguments.report {
        report::write(path, &plan).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    }
    let summary = report::Summary::of(&plan, begun.elapsed());
    if arguments.json {
        println!("{}", summary.json())
    } else {
        print!("{summary}")
    }
    Ok(ExitCode::SUCCESS)
}

/// The file's bytes, unpacked where they are gzip, whatever the file is called.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let packed = std::fs::read(path)?;
    if !packed.starts_with(&[0x1f, 0x8b]) {
        return Ok(packed);
    }
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
