//! Dead letters: records that a reader could not process, and the later records of their aggregates, in the log's order.

use super::{Bind, Database, DatabaseError, Dialect, Filter, Order, Query, There, Transaction};
use crate::table::{Column, Relation, Table, TableSpec};
use event_sourcing::{Cause, Context, Position, Recorded, Timestamp};
use event_store::{Counted, PartitionId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// A record that a reader has put aside. As long as an aggregate has a letter, the reader puts its later events aside, too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterRow {
    /// `<reader>@<position>`.
    pub id: String,
    /// The reader that put it aside: a view's name, or `reactors`.
    pub reader: String,
    /// The service in whose log it stands.
    pub service: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The aggregate whose event it is.
    pub aggregate_id: Uuid,
    /// The Avro record's full name, as its header says.
    pub r#type: String,
    /// Why it could not be processed, or that it waits behind one that could not.
    pub reason: String,
    /// When it was put aside.
    pub parked_at: Timestamp,
    /// The rest of the record.
    pub record: Envelope,
}

/// The rest of a record, with the event's bytes in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Envelope {
    /// The aggregate's version after the event.
    pub version: u64,
    /// The event's id.
    pub event_id: String,
    /// When its command was taken, in milliseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    /// Who asked.
    pub actor: String,
    /// The same for everything that one request set off.
    pub correlation_id: String,
    /// The id of the event that led to this one.
    pub causation_id: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The framed bytes, in hexadecimal digits.
    pub payload: String,
}

/// The reason of a letter that waits behind another one.
const WAITS: &str = "waits behind an earlier dead letter of its aggregate";

impl Table for DeadLetterRow {
    const SPEC: TableSpec = TableSpec {
        name: "dead_letters",
        key: "id",
        columns: &[
            Column::text("id"),
            Column::text("reader"),
            Column::text("service"),
            Column::integer("partition"),
            Column::integer("offset"),
            Column::text("aggregate_id"),
            Column::text("type"),
            Column::text("reason"),
            Column::timestamp("parked_at"),
            Column::json("record"),
        ],
        indexes: &[&["service", "partition"], &["reader", "aggregate_id"], &["parked_at", "id"]],
    };
}

static SPEC: TableSpec = DeadLetterRow::SPEC;

fn relation() -> Relation {
    Relation::live(&SPEC)
}

impl DeadLetterRow {
    /// The letter of a record that `reader` cannot process.
    pub fn new(reader: &str, record: &Counted, reason: impl Into<String>) -> Self {
        let Context { position, aggregate_id, version, event_id, type_name, time, cause } = &**record;
        let Cause { actor, correlation_id, causation_id, traceparent } = cause.clone();
        let (event_id, payload) = (event_id.clone(), hex::encode(&record.event));
        Self {
            id: format!("{reader}@{position}"),
            reader: reader.to_owned(),
            service: position.service.to_string(),
            partition: position.partition,
            offset: position.offset,
            aggregate_id: *aggregate_id,
            r#type: type_name.to_string(),
            reason: reason.into(),
            parked_at: Timestamp(jiff::Timestamp::now().as_millisecond()),
            record: Envelope { version: *version, event_id, time: time.0, actor, correlation_id, causation_id, traceparent, payload },
        }
    }

    /// The letter of a record whose aggregate is parked already.
    pub fn behind(reader: &str, record: &Counted) -> Self {
        Self::new(reader, record, WAITS)
    }

    /// The record, as the log holds it.
    ///
    /// # Errors
    /// The payload is not hexadecimal digits: somebody has changed it by hand.
    pub fn counted(&self) -> Result<Counted, DatabaseError> {
        let Envelope { version, event_id, time, actor, correlation_id, causation_id, traceparent, payload } = self.record.clone();
        let malformed = |error: hex::FromHexError| serde::de::Error::custom(format!("payload: {error}"));
        Ok(Recorded::new(
            Context {
                position: Position { service: self.service.as_str().into(), partition: self.partition, offset: self.offset },
                aggregate_id: self.aggregate_id,
                version,
                event_id,
                type_name: self.r#type.as_str().into(),
                time: Timestamp(time),
                cause: Cause { actor, correlation_id, causation_id, traceparent },
            },
            hex::decode(payload).map_err(|error| DatabaseError::Row(malformed(error)))?.into(),
        ))
    }
}

/// The aggregates that each reader has put aside, by the reader's name.
pub(crate) type Parked = HashMap<String, HashSet<Uuid>>;

impl Database {
    pub(super) async fn create_letters(&self) -> Result<(), DatabaseError> {
        self.create([&relation()]).await
    }

    /// An aggregate's letters of one reader, in the log's order.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn letters_of(&self, reader: &str, aggregate: Uuid) -> Result<Vec<DeadLetterRow>, DatabaseError> {
        self.letters_page(reader, aggregate, None, u32::MAX).await
    }

    /// As [`letters_of`](Self::letters_of), a page after the letter at this service, partition and offset.
    pub(crate) async fn letters_page(
        &self,
        reader: &str,
        aggregate: Uuid,
        after: Option<Vec<Value>>,
        limit: u32,
    ) -> Result<Vec<DeadLetterRow>, DatabaseError> {
        let filters = vec![Filter::is("reader", reader), Filter::is("aggregate_id", aggregate.to_string())];
        self.select(&Query { filters, by: &["service", "partition", "offset"], order: Order::Rising, after, limit }).await
    }

    /// The id of an aggregate's first letter of one reader, where there is one.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn first_letter_of(&self, reader: &str, aggregate: Uuid) -> Result<Option<String>, DatabaseError> {
        let statement = "SELECT \"id\" FROM \"dead_letters\" WHERE \"reader\" = $1 AND \"aggregate_id\" = $2 \
             ORDER BY \"service\", \"partition\", \"offset\" LIMIT 1";
        let binds = vec![Bind::Text(reader.to_owned()), Bind::Text(aggregate.to_string())];
        Ok(self.texts(statement.to_owned(), binds).await?.pop())
    }

    /// Writes letters; a letter that exists already is overwritten.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn park(&self, letters: Vec<DeadLetterRow>) -> Result<(), DatabaseError> {
        let mut open = self.begin().await?;
        open.commit_durably().await?;
        open.park(letters).await?;
        open.commit().await
    }

    /// Deletes letters by their ids: they were redriven, or are dropped.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn unpark(&self, ids: Vec<String>) -> Result<(), DatabaseError> {
        let mut open = self.begin().await?;
        open.unpark(ids).await?;
        open.commit().await
    }

    /// Deletes one letter for good; false if it is gone already.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn drop_letter(&self, id: &str) -> Result<bool, DatabaseError> {
        let statement = "DELETE FROM \"dead_letters\" WHERE \"id\" = $1";
        Ok(self.execute(statement.to_owned(), vec![Bind::Text(id.to_owned())]).await? > 0)
    }

    /// The aggregates of a partition that `reader` has put aside.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn parked_by(&self, reader: &str, source: &PartitionId) -> Result<HashSet<Uuid>, DatabaseError> {
        let texts = self.texts(parked_statement(self.dialect()), parked_binds(source)).await?;
        Ok(parked(texts)?.remove(reader).unwrap_or_default())
    }
}

impl Transaction {
    pub(crate) async fn park(&mut self, letters: Vec<DeadLetterRow>) -> Result<(), DatabaseError> {
        self.put(&relation(), There::Replaced, letters.len(), letters.iter().map(|letter| Ok(serde_json::to_value(letter)?))).await
    }

    pub(crate) async fn unpark(&mut self, ids: Vec<String>) -> Result<(), DatabaseError> {
        self.delete(&relation(), ids).await
    }

    /// The aggregates of a partition that are put aside, by reader.
    pub(crate) async fn parked(&mut self, source: &PartitionId) -> Result<Parked, DatabaseError> {
        let statement = parked_statement(self.dialect());
        parked(self.texts(statement, parked_binds(source)).await?)
    }

    /// Makes the letters of the reader `from` those of `to`, whose own are deleted.
    pub(crate) async fn hand_letters_over(&mut self, from: &str, to: &str) -> Result<(), DatabaseError> {
        self.forget_letters(to).await?;
        let statement = "UPDATE \"dead_letters\" SET \"reader\" = $2, \"id\" = $2 || substr(\"id\", length($1) + 1) WHERE \"reader\" = $1";
        self.execute(statement.to_owned(), vec![Bind::Text(from.to_owned()), Bind::Text(to.to_owned())]).await.map(drop)
    }

    /// Deletes all letters of a reader.
    pub(crate) async fn forget_letters(&mut self, reader: &str) -> Result<(), DatabaseError> {
        let statement = "DELETE FROM \"dead_letters\" WHERE \"reader\" = $1";
        self.execute(statement.to_owned(), vec![Bind::Text(reader.to_owned())]).await.map(drop)
    }
}

fn parked_statement(dialect: Dialect) -> String {
    let pair = match dialect {
        Dialect::Sqlite => "json_array(\"reader\", \"aggregate_id\")",
        Dialect::Postgres => "json_build_array(\"reader\", \"aggregate_id\")::text",
    };
    format!("SELECT DISTINCT {pair} FROM \"dead_letters\" WHERE \"service\" = $1 AND \"partition\" = $2")
}

fn parked_binds(source: &PartitionId) -> Vec<Bind> {
    vec![Bind::Text(source.service.to_string()), Bind::Integer(source.partition.into())]
}

fn parked(texts: Vec<String>) -> Result<Parked, DatabaseError> {
    let mut parked = Parked::new();
    for text in texts {
        let (reader, aggregate): (String, Uuid) = serde_json::from_str(&text)?;
        parked.entry(reader).or_default().insert(aggregate);
    }
    Ok(parked)
}
