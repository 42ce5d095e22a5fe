//! Dropped letters: records that an operator has dropped for good. Whoever reads them again skips them.

use super::{Bind, Database, DatabaseError, DeadLetterRow, Dialect, There, Transaction};
use crate::table::{Column, Relation, Table, TableSpec};
use event_sourcing::{Position, Timestamp};
use event_store::PartitionId;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// A record that is skipped by its reader, however often the log is read anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DroppedRow {
    /// `<reader>@<position>`.
    pub id: String,
    /// The reader that skips it: a view's name, whichever of its versions, or `reactors`.
    pub reader: String,
    /// The service in whose log it stands.
    pub service: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The event's id: another record at the same offset of a log that was written anew is not skipped.
    pub event_id: String,
    /// The aggregate whose event it is.
    pub aggregate_id: Uuid,
    /// The Avro record's full name, as its header says.
    pub r#type: String,
    /// Why it had been put aside.
    pub reason: String,
    /// When it was dropped.
    pub dropped_at: Timestamp,
}

impl Table for DroppedRow {
    const SPEC: TableSpec = TableSpec {
        name: "dropped_letters",
        key: "id",
        columns: &[
            Column::text("id"),
            Column::text("reader"),
            Column::text("service"),
            Column::integer("partition"),
            Column::integer("offset"),
            Column::text("event_id"),
            Column::text("aggregate_id"),
            Column::text("type"),
            Column::text("reason"),
            Column::timestamp("dropped_at"),
        ],
        indexes: &[&["service", "partition", "offset"]],
    };
}

static SPEC: TableSpec = DroppedRow::SPEC;

fn relation() -> Relation {
    Relation::live(&SPEC)
}

/// The name under which a reader's dropped records stand: that of its view, whatever the version or the purpose of its table.
pub(crate) fn view_of(reader: &str) -> &str {
    let without_purpose = reader.rsplit('/').next().unwrap_or(reader);
    without_purpose.split('@').next().unwrap_or(without_purpose)
}

/// The id of a letter as people see it: without the version of its view.
pub(crate) fn shown_id(id: &str, reader: &str) -> String {
    id.strip_prefix(reader).map_or_else(|| id.to_owned(), |place| format!("{}{place}", view_of(reader)))
}

impl DroppedRow {
    fn of(letter: DeadLetterRow) -> Self {
        let DeadLetterRow { reader, service, partition, offset, aggregate_id, r#type, reason, record, .. } = letter;
        let reader = view_of(&reader).to_owned();
        let position = Position { service: service.as_str().into(), partition, offset };
        Self {
            id: format!("{reader}@{position}"),
            reader,
            service,
            partition,
            offset,
            event_id: record.event_id,
            aggregate_id,
            r#type,
            reason,
            dropped_at: Timestamp(jiff::Timestamp::now().as_millisecond()),
        }
    }
}

/// The offsets of a partition whose records a reader skips, each with the event's id.
pub type DroppedOffsets = HashSet<(i64, String)>;

/// The dropped records of a partition, by reader.
pub(crate) type Dropped = HashMap<String, DroppedOffsets>;

fn dropped_statement(dialect: Dialect) -> String {
    let columns = "\"reader\", \"offset\", \"event_id\"";
    let array = match dialect {
        Dialect::Sqlite => format!("json_array({columns})"),
        Dialect::Postgres => format!("json_build_array({columns})::text"),
    };
    format!(
        "SELECT {array} FROM \"dropped_letters\" WHERE \"service\" = $1 AND \"partition\" = $2 AND \"offset\" >= $3 AND \"offset\" < $4"
    )
}

fn dropped_binds(source: &PartitionId, from: i64, to: i64) -> Vec<Bind> {
    let service = Bind::Text(source.service.to_string());
    vec![service, Bind::Integer(source.partition.into()), Bind::Integer(from), Bind::Integer(to)]
}

fn dropped(texts: Vec<String>) -> Result<Dropped, DatabaseError> {
    let mut dropped = Dropped::new();
    for text in texts {
        let (reader, offset, event_id): (String, i64, String) = serde_json::from_str(&text)?;
        dropped.entry(reader).or_default().insert((offset, event_id));
    }
    Ok(dropped)
}

impl Database {
    pub(super) async fn create_dropped(&self) -> Result<(), DatabaseError> {
        self.create([&relation()]).await
    }

    /// Drops one letter for good: its record is skipped from now on, whenever its reader reads it again. False if it is gone already.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn drop_letter(&self, id: &str) -> Result<bool, DatabaseError> {
        let Some(letter) = self.row::<DeadLetterRow>(id).await? else { return Ok(false) };
        let mut open = self.begin().await?;
        open.commit_durably().await?;
        // A reader that reads the record at this moment either finds the letter or finds it dropped.
        open.lock_checkpoints(&letter.reader).await?;
        open.lock_letters(&letter.reader, letter.aggregate_id).await?;
        if open.unpark(vec![letter.id.clone()]).await? == 0 {
            return Ok(false);
        }
        let row = serde_json::to_value(DroppedRow::of(letter))?;
        open.put(&relation(), There::Replaced, 1, std::iter::once(Ok(row))).await?;
        open.commit().await?;
        Ok(true)
    }

    /// The records of a partition that were dropped for good from `reader`'s dead letters.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn dropped_by(&self, reader: &str, source: &PartitionId) -> Result<DroppedOffsets, DatabaseError> {
        let texts = self.texts(dropped_statement(self.dialect()), dropped_binds(source, 0, i64::MAX)).await?;
        Ok(dropped(texts)?.remove(view_of(reader)).unwrap_or_default())
    }
}

impl Transaction {
    /// The dropped records of a partition between two offsets.
    pub(crate) async fn dropped(&mut self, source: &PartitionId, from: i64, to: i64) -> Result<Dropped, DatabaseError> {
        let statement = dropped_statement(self.dialect());
        dropped(self.texts(statement, dropped_binds(source, from, to)).await?)
    }
}
