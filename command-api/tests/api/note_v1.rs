//! The aggregate in the build before: a note has no colour yet, and can only be written.

use codec::{RecordSet, Schemas};
use event_sourcing::{Aggregate, Command, Intent, Refusal};
use event_store::{Host, MemoryLog};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, LazyLock};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    text: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoteCommand {
    Write { text: String },
}

impl Command for NoteCommand {
    fn intent(&self) -> Intent {
        let Self::Write { text } = self;
        Intent::of("write").with("text", text)
    }
}

event_sourcing::events! {
    pub enum NoteEvent in "notes", "test.note" {
        Written(NoteWritten),
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteWritten {
    pub text: String,
}

#[derive(Debug, thiserror::Error)]
#[error("it says something already")]
pub struct AlreadyWritten;

impl Refusal for AlreadyWritten {
    fn code(&self) -> &'static str {
        "already-written"
    }
}

impl Aggregate for Note {
    const NAME: &'static str = "note";
    const FOLD: u64 = 1;
    type Command = NoteCommand;
    type Event = NoteEvent;
    type Error = AlreadyWritten;

    fn handle(&self, NoteCommand::Write { text }: NoteCommand) -> Result<Vec<NoteEvent>, AlreadyWritten> {
        if self.text.is_none() { Ok(vec![NoteEvent::Written(NoteWritten { text })]) } else { Err(AlreadyWritten) }
    }

    fn apply(&mut self, NoteEvent::Written(NoteWritten { text }): &NoteEvent) {
        self.text = Some(text.clone());
    }
}

static RECORDS: LazyLock<RecordSet> = LazyLock::new(|| RecordSet::parse(&[crate::note::WRITTEN_V1]));

/// A host of the build before that owns nothing yet.
pub fn host(log: &MemoryLog) -> Arc<Host<Note>> {
    Arc::new(crate::support::hosts::unshared(log, &Schemas::bundled(&RECORDS)))
}

pub fn write(text: &str) -> NoteCommand {
    NoteCommand::Write { text: text.into() }
}
