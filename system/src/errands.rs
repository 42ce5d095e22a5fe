//! Implements the reactors' storage on a service's database: errands and letters become rows.

use consumers::{DeadLetters, Errand, READER, ReactionStore, Status, Task};
use event_sourcing::{Cause, Position, Timestamp};
use event_store::{Batch, BatchError, Checkpoint, Counted, PartitionId};
use projections::{Database, DeadLetterRow, ErrandRow};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use uuid::Uuid;

/// A service's database, as its reactors use it.
pub(crate) struct ReactorDatabase(pub Database);

/// The parts of an errand that have no column of their own.
#[derive(Serialize, Deserialize)]
struct Rest {
    index: u32,
    event_id: String,
    cause: Cause,
    task: Task,
}

fn row(errand: &Errand) -> ErrandRow {
    let Errand { id, reactor, index, position, number, source_aggregate, event_id, cause, target, task, .. } = errand.clone();
    let kind = task.kind();
    let rest = Rest { index, event_id, cause, task };
    ErrandRow {
        id,
        reader: READER.to_owned(),
        reactor,
        kind,
        number: number.into(),
        service: position.service.to_string(),
        partition: position.partition,
        offset: position.offset,
        aggregate_id: target,
        source_aggregate,
        status: if errand.status == Status::Dead { "dead" } else { "waiting" }.to_owned(),
        attempts: errand.attempts.into(),
        tries: errand.tries.into(),
        since: errand.since,
        due: errand.due,
        reason: errand.reason.clone(),
        errand: serde_json::to_value(rest).expect("an errand is made of structs, texts and numbers, which is always JSON"),
    }
}

fn errand(row: ErrandRow) -> Result<Errand, String> {
    let malformed = |error: serde_json::Error| format!("the errand {} cannot be read: {error}", row.id);
    let Rest { index, event_id, cause, task } = serde_json::from_value(row.errand.clone()).map_err(malformed)?;
    let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    Ok(Errand {
        index,
        event_id,
        cause,
        target: row.aggregate_id,
        task,
        position: Position { service: row.service.as_str().into(), partition: row.partition, offset: row.offset },
        number: count(row.number),
        source_aggregate: row.source_aggregate,
        status: if row.status == "dead" { Status::Dead } else { Status::Waiting },
        attempts: count(row.attempts),
        tries: count(row.tries),
        since: row.since,
        due: row.due,
        id: row.id,
        reactor: row.reactor,
        reason: row.reason,
    })
}

fn words(error: impl ToString) -> String {
    error.to_string()
}

#[async_trait::async_trait]
impl ReactionStore for ReactorDatabase {
    async fn checkpoint(&self, source: &PartitionId) -> Result<Checkpoint, BatchError> {
        Ok(self.0.checkpoint(READER, source).await?)
    }

    async fn advance_all(&self, steps: &[Batch], errands: &[Errand]) -> Result<Vec<PartitionId>, BatchError> {
        Ok(self.0.advance_all_with(READER, steps, errands.iter().map(row).collect()).await?)
    }

    async fn advance(&self, step: &Batch, errands: &[Errand]) -> Result<(), BatchError> {
        Ok(self.0.advance_with(READER, step, errands.iter().map(row).collect()).await?)
    }

    async fn mark(&self, source: &PartitionId, passed: Checkpoint) -> Result<(), BatchError> {
        Ok(self.0.mark(source, passed).await?)
    }

    async fn marks(&self, source: &PartitionId) -> Result<Vec<Checkpoint>, BatchError> {
        Ok(self.0.marks(source).await?)
    }

    async fn set_back(&self, source: &PartitionId, to: Checkpoint) -> Result<(), BatchError> {
        Ok(self.0.set_back(READER, source, to).await?)
    }

    async fn put_by(&self, source: &PartitionId) -> Result<Vec<(Uuid, Uuid)>, String> {
        self.0.errand_pairs(source).await.map_err(words)
    }

    async fn due(&self, sources: &[PartitionId], within: (Timestamp, Timestamp), limit: u32) -> Result<Vec<Errand>, String> {
        let rows = self.0.due_errands(sources, within, limit).await.map_err(words)?;
        rows.into_iter().map(errand).collect()
    }

    async fn errand(&self, id: &str) -> Result<Option<Errand>, String> {
        self.0.errand(id).await.map_err(words)?.map(errand).transpose()
    }

    async fn rewrite(&self, errand: &Errand) -> Result<(), String> {
        self.0.rewrite_errand(row(errand)).await.map_err(words)
    }

    async fn remove(&self, id: &str) -> Result<(), String> {
        self.0.remove_errand(id).await.map_err(words)
    }
}

#[async_trait::async_trait]
impl DeadLetters for ReactorDatabase {
    async fn parked(&self, source: &PartitionId) -> Result<HashSet<Uuid>, String> {
        self.0.parked_by(READER, source).await.map_err(words)
    }

    async fn dropped(&self, source: &PartitionId) -> Result<HashSet<(i64, String)>, String> {
        self.0.dropped_by(READER, source).await.map_err(words)
    }

    async fn park(&self, record: &Counted, reason: &str) -> Result<(), String> {
        self.0.park_unless_dropped(DeadLetterRow::new(READER, record, reason)).await.map_err(words)
    }

    async fn park_behind(&self, record: &Counted) -> Result<bool, String> {
        self.0.park_behind(DeadLetterRow::behind(READER, record)).await.map_err(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_sourcing::AnyCommand;

    #[test]
    fn an_errand_comes_back_from_its_row_as_it_was() {
        let command =
            AnyCommand { service: "orders".into(), aggregate_id: Uuid::from_u128(7), version: 1, command: serde_json::json!({"Go": 1}) };
        let put_by = Errand {
            id: "e/1/go/0".into(),
            reactor: "go".into(),
            index: 0,
            position: Position { service: "orders".into(), partition: 2, offset: 9 },
            number: 3,
            source_aggregate: Uuid::from_u128(1),
            event_id: "e/1".into(),
            cause: Cause { actor: "ada".into(), correlation_id: "c".into(), causation_id: None, traceparent: None },
            target: Uuid::from_u128(7),
            task: Task::Command(command),
            status: Status::Dead,
            attempts: 2,
            tries: 5,
            since: Timestamp(1),
            due: Timestamp(2),
            reason: "no".into(),
        };
        assert_eq!(errand(row(&put_by)), Ok(put_by));
    }
}
