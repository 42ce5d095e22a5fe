//! The owner's memory: the fold of everything that counts below the confirmed offset, in memory and in its snapshots.

use crate::{
    Checkpoint, PartitionId, RawRecord, WriterConfig,
    envelope::{Entry, EventEntry},
    live::Live,
    remembered::{CommandMemory, Remembered},
    run::{RunRule, Verdict},
    snapshots::{Save, SnapshotError, Snapshots, Stand},
};
use codec::Schemas;
use event_sourcing::Aggregate;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use uuid::Uuid;

/// Runs an aggregate's code. A panic in it is a defect of that aggregate alone, and not the partition's end.
pub(crate) fn guarded<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| {
        let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
        words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
    })
}

/// The record before the checkpoint: by its `ce_id`, a log is known from another one.
enum Anchor {
    Read(String),
    /// The last record of a command of this owner's own.
    Written(Uuid, u32),
}

/// What a record is known by: its `ce_id`, where it has one.
pub(crate) fn anchor(raw: &RawRecord) -> String {
    raw.headers.get("ce_id").map(|id| String::from_utf8_lossy(id).into_owned()).unwrap_or_default()
}

/// The snapshots turned out to be unreadable: nothing is known until the log has been read again.
#[derive(Debug)]
pub(crate) struct Spoiled;

/// Everything that an owner knows for certain of its partition.
pub(crate) struct Fold<A> {
    pub source: PartitionId,
    pub schemas: Schemas,
    pub aggregates: Live<A>,
    commands: CommandMemory,
    /// The last place at which no group was open: where reading begins again after doubt.
    pub checkpoint: Checkpoint,
    anchor: Anchor,
    rule: RunRule,
    held: Vec<EventEntry>,
    config: WriterConfig,
    snapshots: Option<Arc<Snapshots>>,
    /// Up to where the snapshots know everything; none when they take nothing any more.
    saved_next: Option<i64>,
    unreadable: bool,
    spoiled: bool,
}

impl<A: Aggregate> Fold<A> {
    pub fn new(source: PartitionId, schemas: Schemas, config: WriterConfig) -> Self {
        Self {
            source,
            schemas,
            aggregates: Live::new(config.live_aggregates),
            commands: CommandMemory::new(&config),
            checkpoint: Checkpoint::default(),
            anchor: Anchor::Read(String::new()),
            rule: RunRule::default(),
            held: Vec::new(),
            config,
            snapshots: None,
            saved_next: None,
            unreadable: false,
            spoiled: false,
        }
    }

    /// This fold, which knows nothing yet, as far as snapshots know it.
    pub fn on(mut self, snapshots: Snapshots, stand: Option<Stand>) -> Self {
        if let Some(stand) = stand {
            self.checkpoint = stand.checkpoint();
            self.anchor = Anchor::Read(stand.anchor);
        }
        self.commands.begin_at(self.checkpoint.next);
        self.saved_next = Some(self.checkpoint.next);
        self.snapshots = Some(Arc::new(snapshots));
        self
    }

    /// Goes back to the checkpoint, before the log is read again from there: to the beginning, where the snapshots were unreadable.
    pub fn rewind(&mut self) {
        if self.spoiled {
            self.begin_anew();
        }
        self.rule = RunRule::resume(self.checkpoint.claim, self.checkpoint.next);
        self.held.clear();
    }

    fn begin_anew(&mut self) {
        let old = self.snapshots.take();
        let empty = Self::new(self.source.clone(), self.schemas.clone(), self.config);
        let fresh = old.map(|old| Snapshots::begin_anew(old.path(), old.fingerprint));
        *self = match fresh {
            Some(Ok(snapshots)) => empty.on(snapshots, None),
            Some(Err(error)) => {
                tracing::warn!(service = %self.source.service, partition = self.source.partition, %error, "no snapshots are kept");
                empty
            }
            None => empty,
        };
    }

    /// Folds the next record of the log. Answers the nonce when it is a claim.
    pub fn fold(&mut self, raw: RawRecord) -> Option<String> {
        let entry = Entry::read(&self.source.service, self.source.partition, &raw);
        let verdict = self.rule.step(raw.offset, entry.mark());
        match (verdict, entry) {
            (Verdict::Held | Verdict::Counts, Entry::Event(event)) => self.hold(verdict, *event),
            (_, entry) => {
                self.held.clear();
                self.stand_at(raw.offset + 1, Anchor::Read(anchor(&raw)));
                if let Entry::Claim { nonce } = entry {
                    return Some(nonce).filter(|_| !self.spoiled);
                }
            }
        }
        None
    }

    fn hold(&mut self, verdict: Verdict, event: EventEntry) {
        self.held.push(event);
        if verdict == Verdict::Counts {
            let whole = std::mem::take(&mut self.held);
            whole.iter().for_each(|event| self.apply_entry(event));
            let Some(last) = whole.into_iter().next_back() else { return };
            self.remember(&last);
            self.stand_at(last.record.position.offset + 1, Anchor::Read(last.record.event_id.clone()));
        }
    }

    fn apply_entry(&mut self, entry: &EventEntry) {
        if self.bring(entry.record.aggregate_id).is_err() {
            return;
        }
        let folded = self.aggregates.change(entry.record.aggregate_id);
        folded.version = entry.record.version;
        let event = self.schemas.decode::<A::Event>(&entry.record.event).map_err(|error| error.to_string());
        if let Err(why) = event.and_then(|event| guarded(|| folded.state.apply(&event))) {
            let position = &entry.record.position;
            tracing::error!(%position, aggregate = %entry.record.aggregate_id, why, "an event cannot be folded");
            folded.unreadable = Some(format!("its event at {position} cannot be folded: {why}"));
            self.unreadable = true;
        }
    }

    fn remember(&mut self, last: &EventEntry) {
        let EventEntry { record, fingerprint, command_id, place } = last;
        let (version, offset, time) = (record.version, record.position.offset, record.time);
        self.commands.insert(*command_id, Remembered { fingerprint: *fingerprint, version, offset, events: place.of, time });
    }

    /// Folds a command of this owner's own, which was acknowledged at exactly the offsets that it asked for.
    pub fn confirm(&mut self, aggregate_id: Uuid, events: &[A::Event], command_id: Uuid, remembered: Remembered) {
        // What these events create is nowhere yet.
        let created = remembered.version == u64::from(remembered.events);
        if self.spoiled || !created && self.bring(aggregate_id).is_err() {
            return;
        }
        let folded = self.aggregates.change(aggregate_id);
        if let Err(why) = guarded(|| events.iter().for_each(|event| folded.state.apply(event))) {
            folded.unreadable = Some(format!("an event of command {command_id} cannot be folded: {why}"));
            self.unreadable = true;
        }
        folded.version = remembered.version;
        self.commands.insert(command_id, remembered);
        self.checkpoint.next = remembered.offset + 1;
        self.anchor = Anchor::Written(command_id, remembered.events);
    }

    /// Remembers a command of which the log does not tell, since it had nothing to do.
    pub fn remember_nothing(&mut self, command_id: Uuid, nothing: Remembered) {
        self.commands.insert(command_id, nothing);
    }

    /// Stands behind a record of the owner's own that nobody folds.
    pub fn pass(&mut self, at: i64, id: String) {
        self.checkpoint.next = at + 1;
        self.anchor = Anchor::Read(id);
    }

    fn stand_at(&mut self, next: i64, anchor: Anchor) {
        self.checkpoint = Checkpoint { next, claim: self.rule.run().map(|run| run.claim) };
        self.anchor = anchor;
    }
}

/// What is in the snapshots and what is in memory.
impl<A: Aggregate> Fold<A> {
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
    fn bring(&mut self, id: Uuid) -> Result<(), Spoiled> {
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

    /// Whether nothing is known until it was [rewound](Self::rewind) and the log was read again.
    pub fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    fn spoil(&mut self, error: &SnapshotError) -> Spoiled {
        tracing::error!(service = %self.source.service, partition = self.source.partition, %error, "the snapshot is thrown away and the whole log read again");
        self.spoiled = true;
        Spoiled
    }

    /// Whether something is to be saved.
    pub fn has_news(&self) -> bool {
        !self.spoiled && self.saved_next.is_some_and(|saved| saved != self.checkpoint.next)
    }

    /// Everything that changed since the last save. The fold stands at its checkpoint whenever it is looked at: groups count whole.
    pub fn save(&mut self) -> Option<(Arc<Snapshots>, Save<A>)> {
        let snapshots = self.snapshots.clone()?;
        let aggregates = self.aggregates.begin_save();
        let anchor = match &self.anchor {
            Anchor::Read(anchor) => anchor.clone(),
            Anchor::Written(command, place) => format!("{command}/{place}"),
        };
        let Checkpoint { next, claim } = self.checkpoint;
        let stand = Stand { fingerprint: snapshots.fingerprint, next, claim, anchor, unreadable: self.unreadable };
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
