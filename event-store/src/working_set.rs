//! What an owner knows of its aggregates and of the commands that it answered: in memory, and in the snapshots behind it.

use crate::{
    PartitionId, WriterConfig,
    live::{Folded, Live},
    remembered::{CommandMemory, Remembered},
    snapshots::{Save, SnapshotError, Snapshots, Stand},
};
use event_sourcing::Aggregate;
use std::sync::Arc;
use uuid::Uuid;

/// The snapshots turned out to be unreadable: nothing is known until the log has been read again.
#[derive(Debug)]
pub(crate) struct Spoiled;

/// An owner's aggregates and the commands that it answered.
pub(crate) struct WorkingSet<A> {
    source: PartitionId,
    pub aggregates: Live<A>,
    commands: CommandMemory,
    snapshots: Option<Arc<Snapshots>>,
    /// Up to where the snapshots know everything; none when they take nothing any more.
    saved_next: Option<i64>,
    unreadable: bool,
    spoiled: bool,
}

impl<A: Aggregate> WorkingSet<A> {
    /// Nothing is known yet, and nothing is kept but in memory.
    pub fn new(source: PartitionId, config: &WriterConfig) -> Self {
        let (aggregates, commands) = (Live::new(config.live_aggregates), CommandMemory::new(config));
        Self { source, aggregates, commands, snapshots: None, saved_next: None, unreadable: false, spoiled: false }
    }

    /// All that the snapshots know is known, up to `next`.
    pub fn rest_on(&mut self, snapshots: Snapshots, next: i64) {
        self.commands.begin_at(next);
        self.saved_next = Some(next);
        self.snapshots = Some(Arc::new(snapshots));
    }

    /// Fresh snapshots in the place of those that were thrown away; none where none were kept, or none can be.
    pub fn fresh_snapshots(&mut self) -> Option<Snapshots> {
        let old = self.snapshots.take()?;
        let fresh = Snapshots::begin_anew(old.path(), old.fingerprint);
        fresh
            .inspect_err(|error| {
                let PartitionId { service, partition } = &self.source;
                tracing::warn!(%service, partition, %error, "no snapshots are kept");
            })
            .ok()
    }

    /// Changes an aggregate, which is created where there is none. The code that changes it may panic: then nothing is decided on it.
    pub fn change(&mut self, id: Uuid, change: impl FnOnce(&mut Folded<A>) -> Result<(), String>) {
        let folded = self.aggregates.change(id);
        if let Err(why) = change(folded) {
            tracing::error!(aggregate = %id, why, "an event cannot be folded");
            folded.unreadable = Some(why);
            self.unreadable = true;
        }
    }

    /// Remembers how a command was answered.
    pub fn remember(&mut self, command_id: Uuid, remembered: Remembered) {
        self.commands.insert(command_id, remembered);
    }

    /// Has an aggregate in memory, if there is one, and answers what is remembered of a command.
    pub fn recall(&mut self, id: Uuid, command: Option<Uuid>) -> Result<Option<Remembered>, Spoiled> {
        self.bring(id)?;
        let Some(command) = command else { return Ok(None) };
        match (self.commands.get(&command), &self.snapshots) {
            (None, Some(snapshots)) if self.commands.is_partial() => snapshots.command(command).map_err(|error| self.spoil(&error)),
            (known, _) => Ok(known),
        }
    }

    /// Has an aggregate in memory, if there is one.
    pub fn bring(&mut self, id: Uuid) -> Result<(), Spoiled> {
        if self.spoiled {
            return Err(Spoiled);
        }
        if let Some(snapshots) = &self.snapshots
            && !self.aggregates.touch(&id)
            && let Some(folded) = snapshots.aggregate(id).map_err(|error| self.spoil(&error))?
        {
            self.aggregates.load(id, folded);
        }
        Ok(())
    }

    /// True when nothing is known until the log was read again.
    pub fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    fn spoil(&mut self, error: &SnapshotError) -> Spoiled {
        tracing::error!(service = %self.source.service, partition = self.source.partition, %error, "the snapshot is thrown away and the whole log read again");
        self.spoiled = true;
        Spoiled
    }

    /// Whether something is to be saved where the fold stands before `next`.
    pub fn has_news(&self, next: i64) -> bool {
        !self.spoiled && self.saved_next.is_some_and(|saved| saved != next)
    }

    /// Everything that changed since the last save, where the fold stands.
    pub fn save(&mut self, stand: impl FnOnce(u64, bool) -> Stand) -> Option<(Arc<Snapshots>, Save<A>)> {
        let snapshots = self.snapshots.clone()?;
        let aggregates = self.aggregates.begin_save();
        let stand = stand(snapshots.fingerprint, self.unreadable);
        let commands = self.commands.begin_save().collect();
        Some((snapshots, Save { stand, aggregates, commands, bounds: self.commands.bounds() }))
    }

    /// A save has ended; one of snapshots that were thrown away meanwhile means nothing.
    pub fn saved(&mut self, to: &Arc<Snapshots>, next: i64, outcome: Result<(), SnapshotError>) {
        if self.spoiled || !self.snapshots.as_ref().is_some_and(|snapshots| Arc::ptr_eq(snapshots, to)) {
            return;
        }
        match outcome {
            Ok(()) => {
                self.aggregates.finish_save();
                self.commands.finish_save();
                self.saved_next = Some(next);
            }
            // What is merged is read: the values of others, which would be as wrong when they are looked up.
            Err(error @ (SnapshotError::Rotten | SnapshotError::Form(_))) => drop(self.spoil(&error)),
            Err(error) => self.save_no_more(&error),
        }
    }

    fn save_no_more(&mut self, error: &SnapshotError) {
        tracing::warn!(service = %self.source.service, partition = self.source.partition, %error, "a snapshot is not saved, and no other will be");
        self.saved_next = None;
        self.aggregates.abandon_save();
    }
}
