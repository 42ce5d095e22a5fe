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

    /// Prints the message on standard error, in one line.
    pub fn exit(&self) -> ExitCode {
        let lines = self.message.lines().map(str::trim).filter(|line| !line.is_empty());
        eprintln!("daybook: {}", lines.collect::<Vec<_>>().join("; "));
        ExitCode::from(self.code)
    }
}

/// From now on a panic prints one line: where the defect is, and what to do about it.
pub(crate) fn report_defects() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = panic.payload_as_str().unwrap_or("a panic without words").lines().collect::<Vec<_>>().join(" ");
        let version = env!("CARGO_PKG_VERSION");
        eprintln!("daybook: this is a defect of Daybook {version}, please report it with this line to its issue tracker: {place}: {words}");
    }));
}
