//! Errands that reactors have put by, as rows in the database of their checkpoints.

use super::{Bind, Database, DatabaseError, Dialect, Filter, Order, Query, There, Transaction};
use crate::table::{Column, Relation, Table, TableSpec};
use event_sourcing::Timestamp;
use event_store::{Batch, PartitionId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;
use uuid::Uuid;

/// The status of an errand that is tried again when it is due.
const WAITING: &str = "waiting";
/// The status of an errand that is tried no more, and stands among the dead letters.
pub(crate) const DEAD: &str = "dead";

/// A reaction that is put by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrandRow {
    /// The same at every delivery of the event.
    pub id: String,
    /// The reader whose checkpoint passes the event: `reactors`.
    pub reader: String,
    /// The reactor that asks for it: `capture-payment`.
    pub reactor: String,
    /// What is to be done, in words for people.
    pub kind: String,
    /// Its number among all reactions to the event, from 0.
    pub number: i64,
    /// The service in whose log the event stands.
    pub service: String,
    /// The event's partition.
    pub partition: i32,
    /// The event's offset.
    pub offset: i64,
    /// The aggregate that it is about; operators look errands up by it.
    pub aggregate_id: Uuid,
    /// The aggregate whose event it was.
    pub source_aggregate: Uuid,
    /// `waiting`: it is tried again when it is due; or `dead`: it is tried no more, and stands among the dead letters.
    pub status: String,
    /// How many attempts failed by its own fault.
    pub attempts: i64,
    /// How many attempts failed, whoever was at fault.
    pub tries: i64,
    /// When it was asked for, or redriven last.
    pub since: Timestamp,
    /// When it is tried next.
    pub due: Timestamp,
    /// Why the last attempt failed.
    pub reason: String,
    /// The rest of the errand, in a form that only the reactors read.
    pub errand: Value,
}

impl Table for ErrandRow {
    const SPEC: TableSpec = TableSpec {
        name: "errands",
        key: "id",
        columns: &[
            Column::text("id"),
            Column::text("reader"),
            Column::text("reactor"),
            Column::text("kind"),
            Column::integer("number"),
            Column::text("service"),
            Column::integer("partition"),
            Column::integer("offset"),
            Column::text("aggregate_id"),
            Column::text("source_aggregate"),
            Column::text("status"),
            Column::integer("attempts"),
            Column::integer("tries"),
            Column::timestamp("since"),
            Column::timestamp("due"),
            Column::text("reason"),
            Column::json("errand"),
        ],
        indexes: &[&["source_aggregate", "aggregate_id"], &["status", "due"]],
    };
}

static SPEC: TableSpec = ErrandRow::SPEC;

/// The columns that order errands: by their event's position, then by their number.
const PLACE: [&str; 4] = ["service", "partition", "offset", "number"];

fn relation() -> Relation {
    Relation::live(&SPEC)
}

impl ErrandRow {
    fn is_of(&self, source: &PartitionId) -> bool {
        *self.service == *source.service && self.partition == source.partition
    }
}

impl Database {
    pub(super) async fn create_errands(&self) -> Result<(), DatabaseError> {
        self.create([&relation()]).await
    }

    /// As [`advance_all`](Self::advance_all), and puts by the errands of those partitions in which the reader moved, in the same transaction.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] or [`DatabaseError::Row`]; nothing was done.
    pub async fn advance_all_with(&self, reader: &str, batches: &[Batch], rows: Vec<ErrandRow>) -> Result<Vec<PartitionId>, DatabaseError> {
        if rows.is_empty() {
            return self.advance_all(reader, batches).await;
        }
        let mut open = self.begin().await?;
        let moved = open.advance_all(reader, batches).await?;
        let of_moved = rows.into_iter().filter(|row| moved.iter().any(|source| row.is_of(source)));
        open.put_errands(of_moved.collect()).await?;
        open.commit().await?;
        self.tell_moved(reader, batches.iter().filter(|batch| moved.contains(&batch.source)));
        Ok(moved)
    }

    /// As [`advance`](Self::advance), and puts these errands by, in the same transaction.
    ///
    /// # Errors
    /// [`DatabaseError::Moved`] if the checkpoint does not stand at the batch's beginning; nothing was done.
    pub async fn advance_with(&self, reader: &str, batch: &Batch, rows: Vec<ErrandRow>) -> Result<(), DatabaseError> {
        let mut open = self.begin().await?;
        open.advance(reader, &batch.source, batch.from, batch.to).await?;
        open.put_errands(rows).await?;
        open.commit().await?;
        self.tell_moved(reader, [batch]);
        Ok(())
    }

    /// The pair of each errand of a partition's events: the aggregate whose event it was, and the aggregate that it is about.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn errand_pairs(&self, source: &PartitionId) -> Result<Vec<(Uuid, Uuid)>, DatabaseError> {
        let binds = vec![Bind::Text(source.service.to_string()), Bind::Integer(source.partition.into())];
        let texts = self.texts(pairs_statement(self.dialect()), binds).await?;
        texts.iter().map(|pair| serde_json::from_str(pair).map_err(DatabaseError::from)).collect()
    }

    /// The errands of these partitions' events that are waiting, due, and the first of their pair, the longest due first: of each kind at
    /// most `limit`. A dead errand holds back the later ones of its pair, too. An errand is due from its moment on; and where that lies
    /// beyond `latest`, which no pause reaches from `now`: whoever wrote it had a clock that was ahead.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn due_errands(
        &self,
        sources: &[PartitionId],
        (now, latest): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<ErrandRow>, DatabaseError> {
        let sources = sources.iter().map(PartitionId::to_string).collect();
        let binds = vec![Bind::Integer(now.0), Bind::Keys(sources), Bind::Integer(limit.into()), Bind::Integer(latest.0)];
        let rows = self.texts(due_statement(self.dialect()), binds).await?;
        rows.iter().map(|row| serde_json::from_str(row).map_err(DatabaseError::from)).collect()
    }

    /// The errand of this id, where there is one.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn errand(&self, id: &str) -> Result<Option<ErrandRow>, DatabaseError> {
        self.row(id).await
    }

    /// Overwrites an errand; does nothing if it is gone.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn rewrite_errand(&self, row: ErrandRow) -> Result<(), DatabaseError> {
        let mut open = self.begin().await?;
        let lock = "UPDATE \"errands\" SET \"id\" = \"id\" WHERE \"id\" = $1";
        if open.execute(lock.to_owned(), vec![Bind::Text(row.id.clone())]).await? > 0 {
            open.put_errands(vec![row]).await?;
        }
        open.commit().await
    }

    /// Deletes an errand that is settled or given up.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn remove_errand(&self, id: &str) -> Result<(), DatabaseError> {
        let statement = "DELETE FROM \"errands\" WHERE \"id\" = $1";
        self.execute(statement.to_owned(), vec![Bind::Text(id.to_owned())]).await.map(drop)
    }

    /// The dead errands of one reactor or of all, in the order of `since` and `id`, after these values of both.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn dead_errands(
        &self,
        reactor: Option<&str>,
        after: Option<Vec<Value>>,
        limit: u32,
    ) -> Result<Vec<ErrandRow>, DatabaseError> {
        let reactor = reactor.map(|reactor| Filter::is("reactor", reactor));
        let filters = std::iter::once(Filter::is("status", DEAD)).chain(reactor).collect();
        self.select(&Query { filters, by: &["since", "id"], order: Order::Rising, after, limit }).await
    }

    /// A reactor's dead errands about an aggregate, in the order of their events.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn dead_errands_of(&self, reactor: &str, aggregate: Uuid) -> Result<Vec<ErrandRow>, DatabaseError> {
        self.dead_errands_page(reactor, aggregate, None, u32::MAX).await
    }

    /// As [`dead_errands_of`](Self::dead_errands_of), a page after the errand at this service, partition, offset and number.
    pub(crate) async fn dead_errands_page(
        &self,
        reactor: &str,
        aggregate: Uuid,
        after: Option<Vec<Value>>,
        limit: u32,
    ) -> Result<Vec<ErrandRow>, DatabaseError> {
        let about = Filter::is("aggregate_id", aggregate.to_string());
        let filters = vec![Filter::is("status", DEAD), Filter::is("reactor", reactor), about];
        self.select(&Query { filters, by: &PLACE, order: Order::Rising, after, limit }).await
    }
}

impl Transaction {
    async fn put_errands(&mut self, rows: Vec<ErrandRow>) -> Result<(), DatabaseError> {
        if !rows.is_empty() {
            self.commit_durably().await?;
        }
        // A statement cannot write a row twice: of rows with one id only the last is written.
        let mut seen = HashSet::new();
        let last: Vec<_> = rows.iter().rev().filter(|row| seen.insert(&row.id)).collect();
        self.put(&relation(), There::Replaced, last.len(), last.iter().map(|row| Ok(serde_json::to_value(row)?))).await
    }
}

fn pairs_statement(dialect: Dialect) -> String {
    let pair = match dialect {
        Dialect::Sqlite => "json_array(\"source_aggregate\", \"aggregate_id\")",
        Dialect::Postgres => "json_build_array(\"source_aggregate\", \"aggregate_id\")::text",
    };
    format!("SELECT {pair} FROM \"errands\" WHERE \"service\" = $1 AND \"partition\" = $2")
}

/// The window ranks the due errands of each kind, so that those of a kind that waits for somebody silent leave the others their places.
fn due_statement(dialect: Dialect) -> String {
    let place = |table: &str| PLACE.map(|column| format!("\"{table}\".\"{column}\"")).join(", ");
    let same =
        ["source_aggregate", "aggregate_id"].map(|column| format!("\"earlier\".\"{column}\" = \"errands\".\"{column}\"")).join(" AND ");
    let (row, sources) = (dialect.row(&relation()), dialect.among("\"service\" || '/' || \"partition\"", 2));
    let due = format!(
        "SELECT \"id\", row_number() OVER (PARTITION BY \"kind\" ORDER BY \"due\", \"id\") AS \"turn\" FROM \"errands\" \
         WHERE \"status\" = '{WAITING}' AND (\"due\" <= $1 OR \"due\" > $4) AND {sources} AND NOT EXISTS \
         (SELECT 1 FROM \"errands\" AS \"earlier\" WHERE {same} AND ({}) < ({}))",
        place("earlier"),
        place("errands"),
    );
    format!(
        "SELECT {row} FROM \"errands\" WHERE \"id\" IN (SELECT \"id\" FROM ({due}) AS \"ranked\" WHERE \"turn\" <= $3) \
         ORDER BY \"due\", \"id\""
    )
}
