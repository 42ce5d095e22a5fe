//! Dead letters: records that a reader could not process, and the later records of their aggregates, in the log's order.

use super::{
    Bind, Database, DatabaseError, Dialect, Filter, Order, Query, There, Transaction,
    dropped::{shown_id, view_of},
};
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

    /// The partition in which the record stands.
    pub(super) fn source(&self) -> PartitionId {
        PartitionId { service: self.service.as_str().into(), partition: self.partition }
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
        self.select(&letters_query(&self.reader_of(reader).await?, aggregate, after, limit)).await
    }

    /// The id of an aggregate's first letter of one reader, where there is one.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn first_letter_of(&self, reader: &str, aggregate: Uuid) -> Result<Option<String>, DatabaseError> {
        let statement = "SELECT \"id\" FROM \"dead_letters\" WHERE \"reader\" = $1 AND \"aggregate_id\" = $2 \
             ORDER BY \"service\", \"partition\", \"offset\" LIMIT 1";
        let reader = self.reader_of(reader).await?;
        let first = self.texts(statement.to_owned(), of_aggregate(&reader, aggregate)).await?.pop();
        Ok(first.map(|id| shown_id(&id, &reader)))
    }

    /// Writes letters; a letter that exists already is overwritten.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn park(&self, letters: Vec<DeadLetterRow>) -> Result<(), DatabaseError> {
        let letters = self.of_versions(letters).await?;
        let mut open = self.begin().await?;
        open.commit_durably().await?;
        open.park(letters).await?;
        open.commit().await
    }

    /// A letter of a view is one of the version that answers.
    async fn of_versions(&self, letters: Vec<DeadLetterRow>) -> Result<Vec<DeadLetterRow>, DatabaseError> {
        let mut readers: HashMap<String, String> = HashMap::new();
        for letter in &letters {
            if !readers.contains_key(&letter.reader) {
                readers.insert(letter.reader.clone(), self.reader_of(&letter.reader).await?);
            }
        }
        let of_version = |letter: DeadLetterRow| {
            let reader = readers.get(&letter.reader).cloned().unwrap_or_default();
            let id = letter.id.strip_prefix(&letter.reader).map_or_else(|| letter.id.clone(), |place| format!("{reader}{place}"));
            DeadLetterRow { id, reader, ..letter }
        };
        Ok(letters.into_iter().map(of_version).collect())
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

    /// Whether an aggregate has letters of one reader.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn has_letters(&self, reader: &str, aggregate: Uuid) -> Result<bool, DatabaseError> {
        let reader = self.reader_of(reader).await?;
        Ok(!self.texts(HAS_LETTERS.to_owned(), of_aggregate(&reader, aggregate)).await?.is_empty())
    }

    /// Puts a record aside unless it was dropped for good; a letter that exists already is overwritten.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn park_unless_dropped(&self, letter: DeadLetterRow) -> Result<(), DatabaseError> {
        let source = letter.source();
        let mut open = self.begin().await?;
        open.commit_durably().await?;
        open.lock_letters(&letter.reader, letter.aggregate_id).await?;
        let dropped = open.dropped(&source, letter.offset, letter.offset + 1).await?.remove(view_of(&letter.reader)).unwrap_or_default();
        if !dropped.contains(&(letter.offset, letter.record.event_id.clone())) {
            open.park(vec![letter]).await?;
        }
        open.commit().await
    }

    /// Puts a record aside behind the letters of its aggregate; false where the aggregate has none, and nothing was done. A redrive takes
    /// the last letter away either before this call, which then answers false, or after it, and then finds the new letter.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn park_behind(&self, letter: DeadLetterRow) -> Result<bool, DatabaseError> {
        let mut open = self.begin().await?;
        open.commit_durably().await?;
        open.lock_letters(&letter.reader, letter.aggregate_id).await?;
        let waits = !open.texts(HAS_LETTERS.to_owned(), of_aggregate(&letter.reader, letter.aggregate_id)).await?.is_empty();
        if waits {
            open.park(vec![letter]).await?;
        }
        open.commit().await?;
        Ok(waits)
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

    /// Deletes letters by their ids; says how many were there.
    pub(crate) async fn unpark(&mut self, ids: Vec<String>) -> Result<u64, DatabaseError> {
        self.delete(&relation(), ids).await
    }

    /// As [`Database::letters_of`], within the transaction.
    pub(crate) async fn letters_of(&mut self, reader: &str, aggregate: Uuid) -> Result<Vec<DeadLetterRow>, DatabaseError> {
        self.select(&relation(), &letters_query(reader, aggregate, None, u32::MAX)).await
    }

    /// Waits, on PostgreSQL, until no other transaction works on the letters of this reader and aggregate, and keeps others out until this
    /// one ends. On SQLite one transaction writes at a time.
    pub(crate) async fn lock_letters(&mut self, reader: &str, aggregate: Uuid) -> Result<(), DatabaseError> {
        match self.dialect() {
            Dialect::Sqlite => Ok(()),
            Dialect::Postgres => {
                let statement = "SELECT pg_advisory_xact_lock(hashtextextended($1, 1))::text";
                self.texts(statement.to_owned(), vec![Bind::Text(format!("{reader} {aggregate}"))]).await.map(drop)
            }
        }
    }

    /// Which of these aggregates are put aside, by reader.
    pub(crate) async fn parked(&mut self, readers: Vec<String>, aggregates: Vec<Uuid>) -> Result<Parked, DatabaseError> {
        if readers.is_empty() || aggregates.is_empty() {
            return Ok(Parked::new());
        }
        let dialect = self.dialect();
        let (reader, aggregate) = (dialect.among("\"reader\"", 1), dialect.among("\"aggregate_id\"", 2));
        let statement = format!("SELECT DISTINCT {} FROM \"dead_letters\" WHERE {reader} AND {aggregate}", pair(dialect));
        let aggregates = aggregates.iter().map(Uuid::to_string).collect();
        parked(self.texts(statement, vec![Bind::Keys(readers), Bind::Keys(aggregates)]).await?)
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

const HAS_LETTERS: &str = "SELECT 'yes' WHERE EXISTS (SELECT 1 FROM \"dead_letters\" WHERE \"reader\" = $1 AND \"aggregate_id\" = $2)";

fn of_aggregate(reader: &str, aggregate: Uuid) -> Vec<Bind> {
    vec![Bind::Text(reader.to_owned()), Bind::Text(aggregate.to_string())]
}

fn letters_query(reader: &str, aggregate: Uuid, after: Option<Vec<Value>>, limit: u32) -> Query {
    let filters = vec![Filter::is("reader", reader), Filter::is("aggregate_id", aggregate.to_string())];
    Query { filters, by: &["service", "partition", "offset"], order: Order::Rising, after, limit }
}

/// Reader and aggregate as a JSON array.
fn pair(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "json_array(\"reader\", \"aggregate_id\")",
        Dialect::Postgres => "json_build_array(\"reader\", \"aggregate_id\")::text",
    }
}

fn parked_statement(dialect: Dialect) -> String {
    format!("SELECT DISTINCT {} FROM \"dead_letters\" WHERE \"service\" = $1 AND \"partition\" = $2", pair(dialect))
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
