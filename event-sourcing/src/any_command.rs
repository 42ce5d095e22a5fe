//! Type-erased commands, in the form in which nodes send them to each other and reactors put them by.

use crate::{Aggregate, Command, Event};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// A command to one aggregate of some service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnyCommand {
    /// The service in whose log the aggregate lives.
    pub service: String,
    /// The aggregate.
    pub aggregate_id: Uuid,
    /// The lowest version of the aggregate's commands that can read everything that this one says.
    pub version: u32,
    /// The command, in its serde form.
    pub command: Value,
}

/// A command that this build cannot read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableCommand {
    /// It says something that a later build added.
    #[error("it is of version {version}, and this build reads {service} commands up to version {known}")]
    Version {
        /// The service in whose log the aggregate lives.
        service: &'static str,
        /// The command's version.
        version: u32,
        /// The highest version that this build reads.
        known: u32,
    },
    /// It has another shape.
    #[error("it is no {service} command: {reason}")]
    Shape {
        /// The service in whose log the aggregate lives.
        service: &'static str,
        /// What serde said.
        reason: serde_json::Error,
    },
}

impl AnyCommand {
    /// Erases the type of a command to an aggregate of type `A`.
    pub fn to<A: Aggregate>(aggregate_id: Uuid, command: &A::Command) -> Self {
        let service = A::Event::SERVICE.to_owned();
        let json = serde_json::to_value(command).expect("a command is made of structs, texts, numbers and lists, which is always JSON");
        Self { service, aggregate_id, version: command.version(), command: json }
    }

    /// Restores the type of the command.
    ///
    /// # Errors
    /// [`UnreadableCommand`] if the command needs a later build, or is no command of `A`.
    pub fn read<A: Aggregate>(self) -> Result<A::Command, UnreadableCommand> {
        let (service, known) = (A::Event::SERVICE, A::Command::VERSION);
        if self.version > known {
            return Err(UnreadableCommand::Version { service, version: self.version, known });
        }
        serde_json::from_value(self.command).map_err(|reason| UnreadableCommand::Shape { service, reason })
    }
}
