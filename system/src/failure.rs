//! Why a tool of the command line ended without doing its work, and with which exit code.

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
    /// Exit code 1: the work was tried, and failed.
    pub fn failed(message: impl ToString) -> Self {
        Self { message: message.to_string(), code: 1 }
    }

    /// Exit code 2: the request makes no sense: an argument, a file, a port in use.
    pub fn usage(message: impl ToString) -> Self {
        Self { message: message.to_string(), code: 2 }
    }

    /// An address that cannot be bound; it names the setting for another one.
    pub fn in_use(what: &str, address: &impl ToString, error: &std::io::Error, setting: &str) -> Self {
        Self::usage(format!("{what}: {} cannot be had ({error}); choose another with {setting}", address.to_string()))
    }

    /// Prints the message on standard error.
    pub fn exit(&self) -> ExitCode {
        eprintln!("daybook: {}", self.message);
        ExitCode::from(self.code)
    }
}
