//! The checkpoint of each reader in each partition. A checkpoint moves only from the place where its caller expects it, and where the same
//! record was read before it, as far as that is known.

use super::{Bind, Database, DatabaseError, Dialect, Transaction, marks};
use event_store::{Anchor, Batch, Checkpoint, PartitionId};
use serde_json::{Value, json};
use std::collections::HashMap;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS \"checkpoints\" (\"reader\" TEXT NOT NULL, \"service\" TEXT NOT NULL, \
     \"partition\" BIGINT NOT NULL, \"next_offset\" BIGINT NOT NULL, \"claim\" BIGINT, \"anchor\" BIGINT, \
     PRIMARY KEY (\"reader\", \"service\", \"partition\"))";
const INSERT: &str = "INSERT INTO \"checkpoints\" (\"reader\", \"service\", \"partition\", \"next_offset\", \"claim\", \"anchor\") \
     VALUES ($1, $2, $3, $4, $5, $7) ON CONFLICT (\"reader\", \"service\", \"partition\") DO UPDATE \
     SET \"next_offset\" = excluded.\"next_offset\", \"claim\" = excluded.\"claim\", \"anchor\" = excluded.\"anchor\" \
     WHERE \"checkpoints\".\"next_offset\" = $6 AND COALESCE(\"checkpoints\".\"anchor\" = $8, TRUE)";
const UPDATE: &str = "UPDATE \"checkpoints\" SET \"next_offset\" = $4, \"claim\" = $5, \"anchor\" = $7 \
     WHERE \"reader\" = $1 AND \"service\" = $2 AND \"partition\" = $3 AND \"next_offset\" = $6 AND COALESCE(\"anchor\" = $8, TRUE)";

/// What [`update_each`] returns behind the name of a partition of which a reader has put a record aside, or had one dropped.
const ASIDE: &str = "!";
const MARKED: &str = " || CASE WHEN \
     EXISTS (SELECT 1 FROM \"dead_letters\" \
     WHERE \"dead_letters\".\"service\" = \"checkpoints\".\"service\" AND \"dead_letters\".\"partition\" = \"checkpoints\".\"partition\") \
     OR EXISTS (SELECT 1 FROM \"dropped_letters\" \
     WHERE \"dropped_letters\".\"service\" = \"checkpoints\".\"service\" AND \"dropped_letters\".\"partition\" = \"checkpoints\".\"partition\") \
     THEN '!' ELSE '' END";

/// The statement that moves each given checkpoint which stands at its expected offset. It returns the partition (`orders/3`) of each
/// checkpoint that moved, with the mark that this expression appends.
fn update_each(dialect: Dialect, mark: &str) -> String {
    let given = match dialect {
        Dialect::Sqlite => {
            let names = ["reader", "service", "partition", "stood", "behind", "next_offset", "claim", "anchor"];
            let columns = names.map(|name| format!("value ->> '{name}' AS \"{name}\""));
            format!("(SELECT {} FROM json_each($1)) AS given", columns.join(", "))
        }
        Dialect::Postgres => "json_to_recordset($1::text::json) AS given (\"reader\" text, \"service\" text, \"partition\" bigint, \
             \"stood\" bigint, \"behind\" bigint, \"next_offset\" bigint, \"claim\" bigint, \"anchor\" bigint)"
            .to_owned(),
    };
    let same = ["reader", "service", "partition"].map(|name| format!("\"checkpoints\".\"{name}\" = given.\"{name}\"")).join(" AND ");
    format!(
        "UPDATE \"checkpoints\" SET \"next_offset\" = given.\"next_offset\", \"claim\" = given.\"claim\", \"anchor\" = given.\"anchor\" \
         FROM {given} \
         WHERE {same} AND \"checkpoints\".\"next_offset\" = given.\"stood\" \
         AND COALESCE(\"checkpoints\".\"anchor\" = given.\"behind\", TRUE) \
         RETURNING \"checkpoints\".\"service\" || '/' || \"checkpoints\".\"partition\"{mark}"
    )
}

/// A reader's name, its next offset, its claim and its anchor.
type Standing = (String, i64, Option<i64>, Option<i64>);

/// A checkpoint of its columns.
pub(super) fn stored(next: i64, claim: Option<i64>, anchor: Option<i64>) -> Checkpoint {
    Checkpoint { next, claim, anchor: anchor.map(Anchor::from_bits) }
}

/// The query for the checkpoints of a partition: a JSON array for each reader.
fn select(dialect: Dialect) -> String {
    let array = match dialect {
        Dialect::Sqlite => "json_array(\"reader\", \"next_offset\", \"claim\", \"anchor\")",
        Dialect::Postgres => "json_build_array(\"reader\", \"next_offset\", \"claim\", \"anchor\")::text",
    };
    format!("SELECT {array} FROM \"checkpoints\" WHERE \"service\" = $1 AND \"partition\" = $2")
}

/// The query that answers one row where the table has anchors.
fn select_column(dialect: Dialect) -> String {
    match dialect {
        Dialect::Sqlite => "SELECT \"name\" FROM pragma_table_info('checkpoints') WHERE \"name\" = 'anchor'".to_owned(),
        Dialect::Postgres => "SELECT column_name::text FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = 'checkpoints' AND column_name = 'anchor'"
            .to_owned(),
    }
}

pub(super) fn place(source: &PartitionId) -> Vec<Bind> {
    vec![Bind::Text(source.service.to_string()), Bind::Integer(source.partition.into())]
}

fn parsed(texts: Vec<String>) -> Result<HashMap<String, Checkpoint>, DatabaseError> {
    let standing = |text: String| {
        let (reader, next, claim, anchor): Standing = serde_json::from_str(&text)?;
        Ok((reader, stored(next, claim, anchor)))
    };
    texts.into_iter().map(standing).collect()
}

impl Database {
    pub(super) async fn create_checkpoints(&self) -> Result<(), DatabaseError> {
        let mut open = self.begin_long().await?;
        open.serialise_changes_of_tables().await?;
        open.execute(CREATE.to_owned(), Vec::new()).await?;
        if open.texts(select_column(self.dialect()), Vec::new()).await?.is_empty() {
            // The table was made before checkpoints had anchors.
            open.execute("ALTER TABLE \"checkpoints\" ADD COLUMN \"anchor\" BIGINT".to_owned(), Vec::new()).await?;
        }
        open.execute(marks::CREATE.to_owned(), Vec::new()).await?;
        open.commit().await
    }

    /// The checkpoint of `reader`, or of the version of the view of this name that answers, in a partition; the partition's beginning if it has never read there.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn checkpoint(&self, reader: &str, source: &PartitionId) -> Result<Checkpoint, DatabaseError> {
        let reader = self.reader_of(reader).await?;
        Ok(self.checkpoints(source).await?.get(&reader).copied().unwrap_or_default())
    }

    /// The checkpoints of all readers in a partition.
    pub(crate) async fn checkpoints(&self, source: &PartitionId) -> Result<HashMap<String, Checkpoint>, DatabaseError> {
        parsed(self.texts(select(self.dialect()), place(source)).await?)
    }

    /// Moves the checkpoint of `reader` from the batch's beginning to its end.
    ///
    /// # Errors
    /// [`DatabaseError::Moved`] if the checkpoint does not stand at the batch's beginning.
    pub async fn advance(&self, reader: &str, batch: &Batch) -> Result<(), DatabaseError> {
        let (statement, binds) = step(reader, &batch.source, batch.from, batch.to);
        moved(&batch.source, self.execute(statement, binds).await?)?;
        self.tell_moved(reader, [batch]);
        Ok(())
    }

    /// Moves the checkpoints of `reader` in many partitions, each from its batch's beginning to its end, if it stands at that beginning.
    /// Answers the partitions in which it moved; in the others it stood elsewhere.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn advance_all(&self, reader: &str, batches: &[Batch]) -> Result<Vec<PartitionId>, DatabaseError> {
        let moved = self.execute_for_texts(update_each(self.dialect(), ""), given_of_one(reader, batches)).await?;
        let moved = those_among(batches, moved);
        self.tell_moved(reader, batches.iter().filter(|batch| moved.contains(&batch.source)));
        Ok(moved)
    }
}

fn given_of_one(reader: &str, batches: &[Batch]) -> Vec<Bind> {
    given(&batches.iter().map(|batch| (reader, batch)).collect::<Vec<_>>())
}

/// The partitions of these batches in which the checkpoint moved.
fn those_among(batches: &[Batch], moved: Vec<String>) -> Vec<PartitionId> {
    let moved = counted(moved);
    let sources = batches.iter().map(|batch| batch.source.clone());
    sources.filter(|source| moved.contains_key(&source.to_string())).collect()
}

/// The parameter of [`update_each`].
fn given(steps: &[(&str, &Batch)]) -> Vec<Bind> {
    let step = |(reader, batch): &(&str, &Batch)| {
        json!({
            "reader": reader, "service": &*batch.source.service, "partition": batch.source.partition,
            "stood": batch.from.next, "behind": batch.from.anchor.map(Anchor::bits), "next_offset": batch.to.next, "claim": batch.to.claim, "anchor": batch.to.anchor.map(Anchor::bits),
        })
    };
    vec![Bind::Text(Value::from_iter(steps.iter().map(step)).to_string())]
}

/// The checkpoints of one partition that moved.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MovedReaders {
    /// How many there are.
    pub count: usize,
    /// True if a reader has put a record of the partition aside, or had one dropped.
    pub aside: bool,
}

fn counted(partitions: Vec<String>) -> HashMap<String, MovedReaders> {
    let mut moved: HashMap<String, MovedReaders> = HashMap::new();
    for partition in partitions {
        let (name, aside) = partition.strip_suffix(ASIDE).map_or((&*partition, false), |name| (name, true));
        let of_partition = moved.entry(name.to_owned()).or_default();
        of_partition.count += 1;
        of_partition.aside |= aside;
    }
    moved
}

/// The statement that moves a checkpoint which stands at `from`.
fn step(reader: &str, source: &PartitionId, from: Checkpoint, to: Checkpoint) -> (String, Vec<Bind>) {
    // A reader at the beginning may have no row yet.
    let statement = if from.next == 0 { INSERT } else { UPDATE };
    let mut binds = vec![Bind::Text(reader.to_owned())];
    binds.extend(place(source));
    let [stood, anchor] = [from, to].map(|at| Bind::OptionalInteger(at.anchor.map(Anchor::bits)));
    binds.extend([Bind::Integer(to.next), Bind::OptionalInteger(to.claim), Bind::Integer(from.next), anchor, stood]);
    (statement.to_owned(), binds)
}

fn moved(source: &PartitionId, rows: u64) -> Result<(), DatabaseError> {
    if rows == 0 { Err(DatabaseError::Moved(source.clone())) } else { Ok(()) }
}

impl Transaction {
    /// As [`Database::checkpoints`], within the transaction.
    pub(crate) async fn checkpoints(&mut self, source: &PartitionId) -> Result<HashMap<String, Checkpoint>, DatabaseError> {
        let dialect = self.dialect();
        parsed(self.texts(select(dialect), place(source)).await?)
    }

    /// Moves a checkpoint that stands at `from`, and takes its lock until the end of the transaction.
    pub(crate) async fn advance(
        &mut self,
        reader: &str,
        source: &PartitionId,
        from: Checkpoint,
        to: Checkpoint,
    ) -> Result<(), DatabaseError> {
        let (statement, binds) = step(reader, source, from, to);
        moved(source, self.execute(statement, binds).await?)
    }

    /// As [`Database::advance_all`], within the transaction.
    pub(super) async fn advance_all(&mut self, reader: &str, batches: &[Batch]) -> Result<Vec<PartitionId>, DatabaseError> {
        let moved = self.texts(update_each(self.dialect(), ""), given_of_one(reader, batches)).await?;
        Ok(those_among(batches, moved))
    }

    /// Moves each reader's checkpoint from its batch's beginning to its end and so locks it, if it stands at that beginning. Answers which
    /// checkpoints of each partition (`orders/3`) moved.
    pub(crate) async fn advance_each(&mut self, steps: &[(&str, &Batch)]) -> Result<HashMap<String, MovedReaders>, DatabaseError> {
        Ok(counted(self.texts(update_each(self.dialect(), MARKED), given(steps)).await?))
    }

    /// A reader's checkpoints in all partitions that it has read.
    pub(crate) async fn standing(&mut self, reader: &str) -> Result<HashMap<PartitionId, Checkpoint>, DatabaseError> {
        let statement = standing_statement(self.dialect());
        standing(self.texts(statement, vec![Bind::Text(reader.to_owned())]).await?)
    }

    /// Locks a reader's checkpoints until the end of the transaction, so that nobody else moves them.
    pub(crate) async fn lock_checkpoints(&mut self, reader: &str) -> Result<(), DatabaseError> {
        let statement = "UPDATE \"checkpoints\" SET \"next_offset\" = \"next_offset\" WHERE \"reader\" = $1";
        self.execute(statement.to_owned(), vec![Bind::Text(reader.to_owned())]).await.map(drop)
    }

    /// Makes the checkpoints of the reader `from` those of `to`, whose own are deleted.
    pub(crate) async fn hand_checkpoints_over(&mut self, from: &str, to: &str) -> Result<(), DatabaseError> {
        self.forget_checkpoints(to).await?;
        let statement = "UPDATE \"checkpoints\" SET \"reader\" = $2 WHERE \"reader\" = $1";
        self.execute(statement.to_owned(), vec![Bind::Text(from.to_owned()), Bind::Text(to.to_owned())]).await.map(drop)
    }

    /// Deletes a reader's checkpoints, so that it begins anew.
    pub(crate) async fn forget_checkpoints(&mut self, reader: &str) -> Result<(), DatabaseError> {
        let statement = "DELETE FROM \"checkpoints\" WHERE \"reader\" = $1";
        self.execute(statement.to_owned(), vec![Bind::Text(reader.to_owned())]).await.map(drop)
    }
}

/// The query for a reader's checkpoints: a JSON array for each partition.
fn standing_statement(dialect: Dialect) -> String {
    let columns = "\"service\", \"partition\", \"next_offset\", \"claim\", \"anchor\"";
    let array = match dialect {
        Dialect::Sqlite => format!("json_array({columns})"),
        Dialect::Postgres => format!("json_build_array({columns})::text"),
    };
    format!("SELECT {array} FROM \"checkpoints\" WHERE \"reader\" = $1")
}

fn standing(texts: Vec<String>) -> Result<HashMap<PartitionId, Checkpoint>, DatabaseError> {
    let parse = |text: String| {
        let (service, partition, next, claim, anchor): (String, i32, i64, Option<i64>, Option<i64>) = serde_json::from_str(&text)?;
        Ok((PartitionId { service: service.into(), partition }, stored(next, claim, anchor)))
    };
    texts.into_iter().map(parse).collect()
}
