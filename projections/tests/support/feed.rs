//! Batches for tests, as a subscription would hand them over.

use crate::library::codecs;
use event_sourcing::{Cause, Context, Event, Position, Recorded, Timestamp};
use event_store::{Batch, Checkpoint, Counted, PartitionId, Passed};
use uuid::Uuid;

/// A partition's log, written from offset 1 (a claim stands at 0).
pub struct Feed {
    source: PartitionId,
    records: Vec<Counted>,
    read: usize,
    /// Begins the events' ids.
    name: String,
}

impl Feed {
    pub fn new(service: &str, partition: i32) -> Self {
        let source = PartitionId { service: service.into(), partition };
        Self { source, records: Vec::new(), read: 0, name: service.to_owned() }
    }

    /// The same, with events whose ids no other feed's have.
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// Writes an event, `millis` after the epoch.
    pub fn write<E: Event>(&mut self, aggregate_id: Uuid, millis: i64, event: &E) -> &mut Self {
        let bytes = codecs().schemas().encode(event).unwrap();
        self.write_bytes(aggregate_id, millis, event.type_name(), bytes)
    }

    /// Writes bytes that may be no event at all.
    pub fn write_bytes(&mut self, aggregate_id: Uuid, millis: i64, type_name: &str, event: Vec<u8>) -> &mut Self {
        let PartitionId { service, partition } = self.source.clone();
        let offset = self.records.len() as i64 + 1;
        let version = self.records.iter().filter(|record| record.aggregate_id == aggregate_id).count() as u64 + 1;
        self.records.push(Recorded::new(
            Context {
                position: Position { service: service.clone(), partition, offset },
                aggregate_id,
                version,
                event_id: format!("{}-{partition}-{offset}/0", self.name),
                type_name: type_name.into(),
                time: Timestamp(millis),
                cause: Cause { actor: "user/ada".into(), correlation_id: "c-1".into(), causation_id: None, traceparent: None },
            },
            event.into(),
        ));
        self
    }

    pub fn source(&self) -> &PartitionId {
        &self.source
    }

    /// Where the last event stands.
    pub fn end(&self) -> Position {
        self.records.last().unwrap().position.clone()
    }

    /// All that was written since the last call.
    pub fn batch(&mut self) -> Batch {
        let batch = self.between(self.read, self.records.len());
        self.read = self.records.len();
        batch
    }

    /// The `from`th event (from 0) up to the one before the `to`th.
    pub fn between(&self, from: usize, to: usize) -> Batch {
        let at = |count: usize| match count {
            0 => Checkpoint::default(),
            count => Checkpoint::new(count as i64 + 1, Some(0)),
        };
        Batch {
            source: self.source.clone(),
            from: at(from),
            to: at(to),
            records: self.records[from..to].to_vec(),
            passed: Passed::default(),
        }
    }
}
