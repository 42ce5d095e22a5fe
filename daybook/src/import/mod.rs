//! placeholder
use crate::{cli::ImportArguments, failure::Failure};
use std::process::ExitCode;
/// x
pub async fn run(_a: ImportArguments) -> Result<ExitCode, Failure> {
    Err(Failure::failed("not yet"))
}
