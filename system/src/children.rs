//! The processes that this one starts, such as a simulated payment gateway. They watch their standard input, so they end when this process
//! does, however it ends.

use crate::Failure;
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// How long a child may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Running children, in the order of their start.
#[derive(Default)]
pub struct Children(Vec<Child>);

impl Children {
    /// Starts a program, waits for the first line that it prints, and answers that line.
    ///
    /// # Errors
    /// It cannot be started, or prints nothing in time.
    pub async fn start(&mut self, mut command: Command, program: &Path) -> Result<String, Failure> {
        // A Ctrl-C at the terminal goes to the whole process group; the children must outlive their parent's shutdown, so each has a group
        // of its own.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| Failure::failed(format!("{} cannot be started: {error}", program.display())))?;
        let output = child.stdout.take().ok_or_else(|| Failure::failed("a child has no output"))?;
        let mut line = String::new();
        let mut output = BufReader::new(output);
        let read = tokio::time::timeout(READY_WITHIN, output.read_line(&mut line)).await;
        if !matches!(read, Ok(Ok(1..))) {
            return Err(Failure::failed(format!("{} did not become ready; what it said is above", program.display())));
        }
        self.0.push(child);
        Ok(line)
    }

    /// Ends the children, the last started first.
    pub async fn stop(mut self) {
        while let Some(mut child) = self.0.pop() {
            drop(child.stdin.take());
            if tokio::time::timeout(Duration::from_secs(5), child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        }
    }
}
