//! Why a command of the command line ended without doing its work, and with which exit code.

use std::process::ExitCode;

/// The exit code of a check that found something.
pub const FOUND: u8 = 4;

/// One line for a person, and the exit code for a script.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// 1: it was tried, and failed.
    pub fn failed(message: impl ToString) -> Self {
        Self { message: message.to_string(), code: 1 }
    }

    /// 2: what was asked makes no sense: an argument, a file, a port in use.
    pub fn usage(message: impl ToString) -> Self {
        Self { message: message.to_string(), code: 2 }
    }

    /// Says it on standard error.
    pub fn exit(&self) -> ExitCode {
        eprintln!("daybook: {}", self.message);
        ExitCode::from(self.code)
    }
}
