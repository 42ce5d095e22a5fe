//! An owner's aggregates and the commands that it answered: in memory, and in the snapshots behind it.

use crate::{
    PartitionId, WriterConfig,
    live::{Folded, Live},
    remembered::{CommandMemory, Remembered},
    snapshots::{Save, SnapshotError, Snapshots, Stand},
};
use event_sourcing::Aggregate;
use std::sync::Arc;
use uuid::Uuid;

/// The snapshots turned out to be unreadable: the owner decides nothing until it has read the log again.
#[derive(Debug)]
pub(crate) struct Spoiled;

/// An owner's aggregates and the commands that it answered.
pub(crate) struct WorkingSet<A> {
    source: PartitionId,
    pub aggregates: Live<A>,
    commands: CommandMemory,
    snapshots: Option<Arc<Snapshots>>,
    /// The snapshots hold everything below it; none when nothing is saved any more.
    saved_next: Option<i64>,
    unreadable: bool,
    spoiled: bool,
}

impl<A: Aggregate> WorkingSet<A> {
    /// Empty, and in memory only.
    pub fn new(source: PartitionId, config: &WriterConfig) -> Self {
        let (aggregates, commands) = (Live::new(config.live_aggregates), CommandMemory::new(config));
        Self { source, aggregates, commands, snapshots: None, saved_next: None, unreadable: false, spoiled: false }
    }

    /// From now on looks aggregates and commands up in these snapshots, which hold everything below `next`.
    pub fn rest_on(&mut self, snapshots: Snapshots, next: i64) {
        self.commands.begin_at(next);
        self.saved_next = Some(next);
        self.snapshots = Some(Arc::new(snapshots));
    }

    /// Throws the snapshots away and begins empty ones; none where none were kept, or none can be made.
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

    /// Changes an aggregate, or creates it. If the change fails, the aggregate becomes unreadable and no command is decided on it.
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

    /// Loads an aggregate into memory, if there is one, and returns the first answer to a command, where it is remembered.
    pub fn recall(&mut self, id: Uuid, command: Option<Uuid>) -> Result<Option<Remembered>, Spoiled> {
        self.bring(id)?;
        let Some(command) = command else { return Ok(None) };
        match (self.commands.get(&command), &self.snapshots) {
            (None, Some(snapshots)) if self.commands.is_partial() => snapshots.command(command).map_err(|error| self.spoil(&error)),
            (known, _) => Ok(known),
        }
    }

    /// Loads an aggregate into memory, if there is one.
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

    /// True until the log has been read again, after the snapshots turned out to be unreadable.
    pub fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    fn spoil(&mut self, error: &SnapshotError) -> Spoiled {
        tracing::error!(service = %self.source.service, partition = self.source.partition, %error, "the snapshot is thrown away and the whole log read again");
        self.spoiled = true;
        Spoiled
    }

    /// Whether there is something to save, when the fold stands before `next`.
    pub fn has_news(&self, next: i64) -> bool {
        !self.spoiled && self.saved_next.is_some_and(|saved| saved != next)
    }

    /// Begins a save: everything that changed since the last one, and the place of the fold.
    pub fn save(&mut self, stand: impl FnOnce(u64, bool) -> Stand) -> Option<(Arc<Snapshots>, Save<A>)> {
        let snapshots = self.snapshots.clone()?;
        let aggregates = self.aggregates.begin_save();
        let stand = stand(snapshots.fingerprint, self.unreadable);
        let commands = self.commands.begin_save().collect();
        Some((snapshots, Save { stand, aggregates, commands, bounds: self.commands.bounds() }))
    }

    /// Takes the outcome of a save; ignores that of a save to snapshots that were thrown away meanwhile.
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
            // A save reads older values to merge them, and found a damaged one: a lookup would find it, too.
            Err(error @ (SnapshotError::Rotten | SnapshotError::Form(_))) => drop(self.spoil(&error)),
            Err(error @ SnapshotError::Defect(_)) => self.save_later(&error),
            Err(error) => self.save_no_more(&error),
        }
    }

    /// After a defect in a save, of which nothing was written: the next save holds what this one held.
    fn save_later(&mut self, error: &SnapshotError) {
        tracing::error!(service = %self.source.service, partition = self.source.partition, %error, "a snapshot is not saved, and is tried again");
        self.aggregates.abandon_save();
    }

    fn save_no_more(&mut self, error: &SnapshotError) {
        tracing::warn!(service = %self.source.service, partition = self.source.partition, %error, "a snapshot is not saved, and no other will be");
        self.saved_next = None;
        self.aggregates.abandon_save();
    }
}
