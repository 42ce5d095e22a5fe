//! The fold of all records that count below the confirmed offset, into an owner's aggregates and answered commands.

use crate::{
    Checkpoint, PartitionId, RawRecord, WriterConfig,
    envelope::{Entry, EventEntry},
    guarded::guarded,
    layout::Layout,
    metrics,
    remembered::Remembered,
    run::{RunRule, Verdict},
    snapshots::{Save, Snapshots, Stand},
    working_set::WorkingSet,
};
use codec::Schemas;
use event_sourcing::Aggregate;
use std::sync::Arc;
use uuid::Uuid;

/// The record before the checkpoint: its `ce_id` and its run tell this log from another.
enum LastRecord {
    Read(String),
    /// The last record of a command of this owner's own.
    Written(Uuid, u32),
}

impl LastRecord {
    fn id(&self) -> String {
        match self {
            Self::Read(id) => id.clone(),
            Self::Written(command, place) => format!("{command}/{place}"),
        }
    }
}

/// A record's anchor: its `ce_id`, where it has one.
pub(crate) fn anchor(raw: &RawRecord) -> String {
    raw.headers.get("ce_id").map(|id| String::from_utf8_lossy(id).into_owned()).unwrap_or_default()
}

/// Whether this is the record before a checkpoint of a fold: it has the `ce_id` of the one that was folded, and stands in the same run. One
/// that was written again after the log had lost it has the same id, but another run.
pub(crate) fn is_last(source: &PartitionId, raw: &RawRecord, checkpoint: Checkpoint, last: &str) -> bool {
    let in_run = match (Entry::read(&source.service, source.partition, raw), checkpoint.claim) {
        (Entry::Event(event), Some(claim)) => event.place.run == claim,
        (Entry::Proof(place), Some(claim)) => place.run == claim,
        (Entry::Claim { .. }, claim) => claim == Some(raw.offset),
        (Entry::Event(_) | Entry::Proof(_) | Entry::Foreign(_), None) => true,
        (Entry::Foreign(_), Some(_)) => false,
    };
    in_run && raw.offset + 1 == checkpoint.next && anchor(raw) == last
}

/// The confirmed state of a partition, as its owner has folded it.
pub(crate) struct Fold<A> {
    pub source: PartitionId,
    pub schemas: Schemas,
    pub known: WorkingSet<A>,
    /// The last place at which no group was open: a replay after doubt begins there.
    pub checkpoint: Checkpoint,
    pub layout: Layout,
    last: LastRecord,
    rule: RunRule,
    held: Vec<EventEntry>,
    config: WriterConfig,
}

impl<A: Aggregate> Fold<A> {
    pub fn new(source: PartitionId, schemas: Schemas, config: WriterConfig) -> Self {
        let (checkpoint, last) = (Checkpoint::default(), LastRecord::Read(String::new()));
        let known = WorkingSet::new(source.clone(), &config);
        let layout = Layout::new(source.clone(), config.partitions);
        Self { source, schemas, known, checkpoint, layout, last, rule: RunRule::default(), held: Vec::new(), config }
    }

    /// Rests this fold, which is still empty, on snapshots: it takes their checkpoint, and looks aggregates and commands up in them.
    pub fn on(mut self, snapshots: Snapshots, stand: Option<Stand>) -> Self {
        if let Some(stand) = stand {
            self.checkpoint = stand.checkpoint();
            self.layout.is_settled();
            self.last = LastRecord::Read(stand.anchor);
        }
        self.known.rest_on(snapshots, self.checkpoint.next);
        self
    }

    /// Goes back to the checkpoint, from which the log is read again; to the log's beginning, if the snapshots turned out to be unreadable.
    pub fn rewind(&mut self) {
        if self.known.is_spoiled() {
            self.begin_anew();
        }
        self.rule = RunRule::resume(self.checkpoint.claim, self.checkpoint.next);
        self.held.clear();
    }

    /// Whether this is the record that stood before the checkpoint when it was folded.
    pub fn stands_on(&self, raw: &RawRecord) -> bool {
        is_last(&self.source, raw, self.checkpoint, &self.last.id())
    }

    /// The log is not the one that was folded: forgets all, so that it is read from its beginning.
    pub fn forget(&mut self, why: &str) {
        let PartitionId { service, partition } = &self.source;
        let next = self.checkpoint.next;
        tracing::error!(%service, partition, next, why, "the log has lost records that were read here: it is read anew from its beginning");
        metrics::LOG_WENT_BACK.with_label_values(&[service]).inc();
        self.begin_anew();
        self.rewind();
    }

    fn begin_anew(&mut self) {
        let fresh = self.known.fresh_snapshots();
        let empty = Self::new(self.source.clone(), self.schemas.clone(), self.config);
        *self = match fresh {
            Some(snapshots) => empty.on(snapshots, None),
            None => empty,
        };
    }

    /// Whether the next record of the log goes on with what was folded. Before one that does not, it has to be looked whether the log is still
    /// the one that was folded.
    pub fn is_continued_by(&self, raw: &RawRecord) -> bool {
        self.rule.is_continued_by(raw.offset, Entry::read(&self.source.service, self.source.partition, raw).mark())
    }

    /// Folds the next record of the log. Returns the nonce of a claim, unless the snapshots turned out to be unreadable.
    pub fn fold(&mut self, raw: RawRecord) -> Option<String> {
        let entry = Entry::read(&self.source.service, self.source.partition, &raw);
        let verdict = self.rule.step(raw.offset, entry.mark());
        match (verdict, entry) {
            (Verdict::Held | Verdict::Counts, Entry::Event(event)) => self.hold(verdict, *event),
            (_, entry) => {
                self.held.clear();
                self.stand_at(raw.offset + 1, LastRecord::Read(anchor(&raw)));
                if let Entry::Claim { nonce } = entry {
                    self.layout.claimed(&raw, &self.schemas);
                    return Some(nonce).filter(|_| !self.known.is_spoiled());
                }
            }
        }
        None
    }

    fn hold(&mut self, verdict: Verdict, event: EventEntry) {
        self.held.push(event);
        if verdict == Verdict::Counts {
            let whole = std::mem::take(&mut self.held);
            for event in &whole {
                self.layout.counts(event);
                self.apply_entry(event);
            }
            let Some(last) = whole.into_iter().next_back() else { return };
            self.remember(&last);
            self.stand_at(last.record.position.offset + 1, LastRecord::Read(last.record.event_id.clone()));
        }
    }

    fn apply_entry(&mut self, entry: &EventEntry) {
        let EventEntry { record, .. } = entry;
        if self.known.bring(record.aggregate_id).is_err() {
            return;
        }
        let schemas = &self.schemas;
        self.known.change(record.aggregate_id, |folded| {
            folded.version = record.version;
            let event = schemas.decode::<A::Event>(&record.event).map_err(|error| error.to_string());
            let applied = event.and_then(|event| guarded(|| folded.state.apply(&event)));
            applied.map_err(|why| format!("its event at {} cannot be folded: {why}", record.position))
        });
    }

    fn remember(&mut self, last: &EventEntry) {
        let EventEntry { record, fingerprint, command_id, place } = last;
        let (version, offset, time) = (record.version, record.position.offset, record.time);
        self.known.remember(*command_id, Remembered { fingerprint: *fingerprint, version, offset, events: place.of, time });
    }

    /// Folds a command of this owner's own, whose records were acknowledged at exactly the offsets that they state.
    pub fn confirm(&mut self, aggregate_id: Uuid, events: &[A::Event], command_id: Uuid, remembered: Remembered) {
        // An aggregate that these events create is in no snapshot yet.
        let created = remembered.version == u64::from(remembered.events);
        if self.known.is_spoiled() || !created && self.known.bring(aggregate_id).is_err() {
            return;
        }
        self.known.change(aggregate_id, |folded| {
            let applied = guarded(|| events.iter().for_each(|event| folded.state.apply(event)));
            folded.version = remembered.version;
            applied.map_err(|why| format!("an event of command {command_id} cannot be folded: {why}"))
        });
        self.known.remember(command_id, remembered);
        self.checkpoint.next = remembered.offset + 1;
        self.last = LastRecord::Written(command_id, remembered.events);
    }

    /// Moves the checkpoint behind a record of the owner's own that nobody folds: a proof.
    pub fn pass(&mut self, at: i64, id: String) {
        self.checkpoint.next = at + 1;
        self.last = LastRecord::Read(id);
    }

    fn stand_at(&mut self, next: i64, last: LastRecord) {
        self.checkpoint = Checkpoint::new(next, self.rule.run().map(|run| run.claim));
        self.last = last;
    }
}

/// Saving: the aggregates are always as they were at the checkpoint, since events are applied only when their group is whole.
impl<A: Aggregate> Fold<A> {
    /// Whether the fold has moved since the last save. What was folded by another number of partitions than the log's is never saved.
    pub fn has_news(&self) -> bool {
        self.layout.misfit().is_none() && self.known.has_news(self.checkpoint.next)
    }

    /// Everything that changed since the last save.
    pub fn save(&mut self) -> Option<(Arc<Snapshots>, Save<A>)> {
        let anchor = self.last.id();
        let Checkpoint { next, claim, anchor: _ } = self.checkpoint;
        self.known.save(|fingerprint, unreadable| Stand { fingerprint, next, claim, anchor, unreadable })
    }
}
