//! The owner's memory: the fold of everything that counts below the confirmed offset.

use crate::{Checkpoint, PartitionId, RawRecord, envelope::Entry, envelope::EventEntry, run::RunRule, run::Verdict};
use domain::Aggregate;
use schemas::{Schemas, WireEvent};
use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
};
use uuid::Uuid;

/// Runs an aggregate's code. A panic in it is a defect of that aggregate alone, and not the partition's end.
pub(crate) fn guarded<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| {
        let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
        words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
    })
}

/// An aggregate as its confirmed events make it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Folded<A> {
    pub state: A,
    pub version: u64,
    /// Set when one of its events could not be decoded: its state is not known, so nothing is decided on it.
    pub unreadable: Option<String>,
}

/// The first answer to a command, kept for those who ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub fingerprint: u64,
    pub version: u64,
    pub offset: i64,
    pub events: u32,
}

/// Recent commands by id, the oldest forgotten first.
#[derive(Debug)]
pub(crate) struct CommandMemory {
    by_id: HashMap<Uuid, Remembered>,
    order: VecDeque<Uuid>,
    most: usize,
}

impl CommandMemory {
    pub fn new(most: usize) -> Self {
        Self { by_id: HashMap::new(), order: VecDeque::new(), most }
    }

    pub fn get(&self, id: &Uuid) -> Option<Remembered> {
        self.by_id.get(id).copied()
    }

    pub fn insert(&mut self, id: Uuid, remembered: Remembered) {
        if self.by_id.insert(id, remembered).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }
}

/// Everything that an owner knows for certain of its partition.
pub(crate) struct Fold<A> {
    pub source: PartitionId,
    pub schemas: Schemas,
    pub aggregates: HashMap<Uuid, Folded<A>>,
    pub commands: CommandMemory,
    /// The last place at which no group was open: where reading begins again after doubt.
    pub checkpoint: Checkpoint,
    rule: RunRule,
    held: Vec<EventEntry>,
}

impl<A> Fold<A>
where
    A: Aggregate,
    A::Event: WireEvent,
{
    pub fn new(source: PartitionId, schemas: Schemas, remembered_commands: usize) -> Self {
        let commands = CommandMemory::new(remembered_commands);
        Self {
            source,
            schemas,
            aggregates: HashMap::new(),
            commands,
            checkpoint: Checkpoint::default(),
            rule: RunRule::default(),
            held: Vec::new(),
        }
    }

    /// Goes back to the checkpoint, before the log is read again from there.
    pub fn rewind(&mut self) {
        self.rule = RunRule::resume(self.checkpoint.claim, self.checkpoint.next);
        self.held.clear();
    }

    /// Folds the next record of the log. Answers the nonce when it is a claim.
    pub fn take(&mut self, raw: RawRecord) -> Option<String> {
        let offset = raw.offset;
        let entry = Entry::read(&self.source.service, self.source.partition, raw);
        let verdict = self.rule.step(offset, entry.mark());
        match (verdict, entry) {
            (Verdict::Held | Verdict::Counts, Entry::Event(event)) => {
                self.hold(verdict, *event);
                None
            }
            (_, entry) => {
                self.held.clear();
                self.stand_at(offset + 1);
                if let Entry::Claim { nonce } = entry { Some(nonce) } else { None }
            }
        }
    }

    fn hold(&mut self, verdict: Verdict, event: EventEntry) {
        self.held.push(event);
        if verdict == Verdict::Counts {
            let whole = std::mem::take(&mut self.held);
            let next = whole.last().map_or(self.checkpoint.next, |last| last.record.position.offset + 1);
            whole.iter().for_each(|event| self.apply_entry(event));
            self.remember(&whole);
            self.stand_at(next);
        }
    }

    fn apply_entry(&mut self, entry: &EventEntry) {
        let folded = self.aggregates.entry(entry.record.aggregate_id).or_default();
        folded.version = entry.record.version;
        let event = A::Event::decode(&entry.record.event, &self.schemas).map_err(|error| error.to_string());
        if let Err(why) = event.and_then(|event| guarded(|| folded.state.apply(&event))) {
            let position = &entry.record.position;
            tracing::error!(%position, aggregate = %entry.record.aggregate_id, why, "an event cannot be folded");
            folded.unreadable = Some(format!("its event at {position} cannot be folded: {why}"));
        }
    }

    fn remember(&mut self, whole: &[EventEntry]) {
        if let Some(last) = whole.last() {
            let (version, offset) = (last.record.version, last.record.position.offset);
            let remembered = Remembered { fingerprint: last.fingerprint, version, offset, events: last.place.of };
            self.commands.insert(last.command_id, remembered);
        }
    }

    /// Folds a command of this owner's own, which was acknowledged at exactly the offsets that it asked for.
    pub fn confirm(&mut self, aggregate_id: Uuid, events: &[A::Event], command_id: Uuid, remembered: Remembered) {
        let folded = self.aggregates.entry(aggregate_id).or_default();
        if let Err(why) = guarded(|| events.iter().for_each(|event| folded.state.apply(event))) {
            folded.unreadable = Some(format!("an event of command {command_id} cannot be folded: {why}"));
        }
        folded.version = remembered.version;
        self.commands.insert(command_id, remembered);
        self.checkpoint.next = remembered.offset + 1;
    }

    fn stand_at(&mut self, next: i64) {
        self.checkpoint = Checkpoint { next, claim: self.rule.run().map(|run| run.claim) };
    }
}
