//! What the readers of a batch have put aside or dropped: the records that a fold must not apply.

use super::{
    DatabaseError, Transaction,
    dropped::{Dropped, view_of},
    letters::Parked,
};
use event_store::{Batch, Counted};
use uuid::Uuid;

/// Of the records at hand, those that belong to aggregates that a reader has put aside, and those that were dropped for good.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    parked: Parked,
    dropped: Dropped,
}

impl Aside {
    /// Whether the reader has put this aggregate aside.
    pub fn is_parked(&self, reader: &str, aggregate: Uuid) -> bool {
        self.parked.get(reader).is_some_and(|parked| parked.contains(&aggregate))
    }

    /// Notes that the reader puts this aggregate aside.
    pub fn park(&mut self, reader: &str, aggregate: Uuid) {
        match self.parked.get_mut(reader) {
            Some(parked) => drop(parked.insert(aggregate)),
            None => drop(self.parked.insert(reader.to_owned(), [aggregate].into())),
        }
    }

    /// Whether this record was dropped for good from the reader's dead letters.
    pub fn is_dropped(&self, reader: &str, record: &Counted) -> bool {
        let of_reader = if self.dropped.is_empty() { None } else { self.dropped.get(view_of(reader)) };
        of_reader.is_some_and(|dropped| dropped.contains(&(record.position.offset, record.event_id.clone())))
    }
}

impl Transaction {
    /// What these readers have put aside or dropped of a batch. It asks for the batch's own aggregates: the letters of all others, however
    /// many there are, cost nothing.
    pub(crate) async fn aside(&mut self, readers: Vec<String>, batch: &Batch) -> Result<Aside, DatabaseError> {
        let mut aggregates: Vec<Uuid> = batch.records.iter().map(|record| record.aggregate_id).collect();
        aggregates.sort_unstable();
        aggregates.dedup();
        let parked = self.parked(readers, aggregates).await?;
        let dropped = self.dropped(&batch.source, batch.from.next, batch.to.next).await?;
        Ok(Aside { parked, dropped })
    }
}
