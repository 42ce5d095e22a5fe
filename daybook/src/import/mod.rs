//! `daybook import`: a merchant's invoices become users, products, stock and orders, through the public HTTP API.
//!
//! Two passes. The first reads the file into a [`Plan`](plan::Plan) without asking anybody; the second carries the plan out.
//! Every request's idempotency key is worked out from the file's content, so a second run changes nothing and a killed
//! one is simply run again.

mod api;
mod execute;
mod invoice;
mod plan;
mod report;

use crate::{cli::ImportArguments, failure::Failure};
use std::{fs::File, io::Read, process::ExitCode};

/// Imports a file; the exit code is 0 when everything that could be imported was, though lines may have been skipped.
pub async fn run(arguments: ImportArguments) -> Result<ExitCode, Failure> {
    let begun = std::time::Instant::now();
    let bytes = read(&arguments.file)?;
    let mut plan = plan::Plan::read(&bytes).map_err(|error| Failure::usage(format!("{}: {error}", arguments.file.display())))?;
    drop(bytes);
    let api = api::Api::new(&arguments.url).map_err(Failure::failed)?;
    execute::execute(&mut plan, &api, usize::from(arguments.concurrency))
        .await
        .map_err(|error| Failure::failed(format!("{error}; run it again to go on")))?;
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
fn read(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
    let mut packed = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut packed)).map_err(failed)?;
    if !packed.starts_with(&[0x1f, 0x8b]) {
        return Ok(packed);
    }
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
