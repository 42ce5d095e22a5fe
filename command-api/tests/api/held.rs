//! An executor that answers a command when the test tells it to.

use crate::{
    note::{Note, NoteCommand},
    support::PATIENCE,
};
use event_store::{Accepted, CommandError, CommandMeta, Execute, Position};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Holds each command until it is let go.
pub struct Held {
    taken: Semaphore,
    let_go: Semaphore,
}

impl Default for Held {
    fn default() -> Self {
        Self { taken: Semaphore::new(0), let_go: Semaphore::new(0) }
    }
}

impl Held {
    /// Returns when so many more commands are held.
    pub async fn taken(&self, commands: u32) {
        let all = tokio::time::timeout(PATIENCE, self.taken.acquire_many(commands)).await;
        all.expect("the commands arrive in time").unwrap().forget();
    }

    pub fn let_go(&self, commands: usize) {
        self.let_go.add_permits(commands);
    }
}

#[async_trait::async_trait]
impl Execute<Note> for Held {
    async fn execute(&self, _: Uuid, _: NoteCommand, _: CommandMeta) -> Result<Accepted, CommandError> {
        self.taken.add_permits(1);
        self.let_go.acquire().await.unwrap().forget();
        let position = Position { service: "notes".into(), partition: 0, offset: 1 };
        Ok(Accepted { version: 1, position, events: 1, repeated: false })
    }

    async fn read(&self, _: Uuid) -> Result<Accepted, CommandError> {
        unreachable!("nobody asks")
    }
}

/// Panics on each command.
pub struct Broken;

#[async_trait::async_trait]
impl Execute<Note> for Broken {
    async fn execute(&self, _: Uuid, _: NoteCommand, _: CommandMeta) -> Result<Accepted, CommandError> {
        panic!("on purpose: the edge must survive it")
    }

    async fn read(&self, _: Uuid) -> Result<Accepted, CommandError> {
        panic!("on purpose: the edge must survive it")
    }
}
