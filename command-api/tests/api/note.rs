//! A small aggregate of the suite's own, so that the suite tests the engine and nothing of a shop. This is today's build of it;
//! [`crate::note_v1`] is the build before.

use codec::{RecordSchema, RecordSet, Schemas};
use event_sourcing::{Aggregate, Cause, Command, Intent, Refusal, Timestamp};
use event_store::{CommandMeta, Host, MemoryLog};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, LazyLock};
use uuid::Uuid;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    #[default]
    Blank,
    Written(String),
    Burnt,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoteCommand {
    /// The colour came with version 2.
    Write {
        text: String,
        colour: Option<String>,
    },
    Rewrite {
        text: String,
    },
    Burn,
}

impl Command for NoteCommand {
    const VERSION: u32 = 2;

    fn version(&self) -> u32 {
        if matches!(self, Self::Write { colour: Some(_), .. }) { 2 } else { 1 }
    }

    fn intent(&self) -> Intent {
        match self {
            Self::Write { text, colour } => Intent::of("write").with("text", text).with("colour", colour),
            Self::Rewrite { text } => Intent::of("rewrite").with("text", text),
            Self::Burn => Intent::of("burn"),
        }
    }
}

event_sourcing::events! {
    pub enum NoteEvent in "notes", "test.note" {
        Written(NoteWritten),
        Rewritten(NoteRewritten),
        Burnt(NoteBurnt),
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteWritten {
    pub text: String,
    pub colour: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteRewritten {
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteBurnt {}

#[derive(Debug, thiserror::Error)]
pub enum NoteRefusal {
    #[error("there is no such note")]
    Unknown,
    #[error("it says something already")]
    AlreadyWritten,
    #[error("it says that already")]
    SameText,
    #[error("it is burnt")]
    Burnt,
}

impl Refusal for NoteRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown-note",
            Self::AlreadyWritten => "already-written",
            Self::SameText => "same-text",
            Self::Burnt => "burnt-note",
        }
    }

    fn field(&self) -> Option<&'static str> {
        matches!(self, Self::SameText).then_some("text")
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

impl Aggregate for Note {
    const NAME: &'static str = "note";
    const FOLD: u64 = 2;
    type Command = NoteCommand;
    type Event = NoteEvent;
    type Error = NoteRefusal;

    fn handle(&self, command: NoteCommand) -> Result<Vec<NoteEvent>, NoteRefusal> {
        match (self, command) {
            (Self::Blank, NoteCommand::Write { text, colour }) => Ok(vec![NoteEvent::Written(NoteWritten { text, colour })]),
            (Self::Written(_), NoteCommand::Write { .. }) => Err(NoteRefusal::AlreadyWritten),
            (Self::Written(old), NoteCommand::Rewrite { text }) if *old == text => Err(NoteRefusal::SameText),
            (Self::Written(_), NoteCommand::Rewrite { text }) => Ok(vec![NoteEvent::Rewritten(NoteRewritten { text })]),
            (Self::Written(_), NoteCommand::Burn) => Ok(vec![NoteEvent::Burnt(NoteBurnt {})]),
            (Self::Blank, NoteCommand::Rewrite { .. } | NoteCommand::Burn) => Err(NoteRefusal::Unknown),
            (Self::Burnt, NoteCommand::Burn) => Ok(vec![]),
            (Self::Burnt, NoteCommand::Write { .. } | NoteCommand::Rewrite { .. }) => Err(NoteRefusal::Burnt),
        }
    }

    fn apply(&mut self, event: &NoteEvent) {
        *self = match event {
            NoteEvent::Written(NoteWritten { text, .. }) | NoteEvent::Rewritten(NoteRewritten { text }) => Self::Written(text.clone()),
            NoteEvent::Burnt(NoteBurnt {}) => Self::Burnt,
        };
    }
}

/// The one event of the build before, which had no colour.
pub const WRITTEN_V1: RecordSchema = RecordSchema {
    id: 2,
    text: r#"{"type":"record","name":"NoteWritten","namespace":"test.note","fields":[{"name":"text","type":"string"}]}"#,
};

static RECORDS: LazyLock<RecordSet> = LazyLock::new(|| {
    RecordSet::parse(&[
        WRITTEN_V1,
        RecordSchema {
            id: 3,
            text: r#"{"type":"record","name":"NoteWritten","namespace":"test.note","fields":[{"name":"text","type":"string"},
                {"name":"colour","type":["null","string"],"default":null}]}"#,
        },
        RecordSchema {
            id: 4,
            text: r#"{"type":"record","name":"NoteRewritten","namespace":"test.note","fields":[{"name":"text","type":"string"}]}"#,
        },
        RecordSchema { id: 5, text: r#"{"type":"record","name":"NoteBurnt","namespace":"test.note","fields":[]}"# },
    ])
});

/// The schemas of notes.
pub fn schemas() -> Schemas {
    Schemas::bundled(&RECORDS)
}

/// A host that owns nothing yet.
pub fn host(log: &MemoryLog) -> Arc<Host<Note>> {
    Arc::new(crate::support::hosts::unshared(log, &schemas()))
}

pub fn write(text: &str) -> NoteCommand {
    NoteCommand::Write { text: text.into(), colour: None }
}

pub fn write_in(colour: &str, text: &str) -> NoteCommand {
    NoteCommand::Write { text: text.into(), colour: Some(colour.into()) }
}

/// The metadata of a command with this id.
pub fn meta(command_id: Uuid) -> CommandMeta {
    let cause = Cause { actor: "a".into(), correlation_id: "c".into(), causation_id: Some("e/0".into()), traceparent: None };
    CommandMeta { command_id, time: Timestamp(1), expected_version: None, only_of: None, cause }
}
