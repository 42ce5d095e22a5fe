//! Places of the logs that this database's readers have passed, a few for each hour: where a log has lost its last records, a reader whose
//! work can be done again goes back to the furthest place that the log still holds.

use super::{
    Bind, Database, DatabaseError, Dialect,
    checkpoint::{place, stored},
};
use event_store::{Anchor, Checkpoint, PartitionId};

pub(super) const CREATE: &str = "CREATE TABLE IF NOT EXISTS \"log_marks\" (\"service\" TEXT NOT NULL, \"partition\" BIGINT NOT NULL, \
     \"next_offset\" BIGINT NOT NULL, \"claim\" BIGINT, \"anchor\" BIGINT NOT NULL, \
     PRIMARY KEY (\"service\", \"partition\", \"next_offset\"))";
const INSERT: &str = "INSERT INTO \"log_marks\" (\"service\", \"partition\", \"next_offset\", \"claim\", \"anchor\") \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (\"service\", \"partition\", \"next_offset\") DO UPDATE \
     SET \"claim\" = excluded.\"claim\", \"anchor\" = excluded.\"anchor\"";
/// All but the newest thousand of a partition.
const PRUNE: &str = "DELETE FROM \"log_marks\" WHERE \"service\" = $1 AND \"partition\" = $2 AND \"next_offset\" < \
     (SELECT min(\"next_offset\") FROM (SELECT \"next_offset\" FROM \"log_marks\" \
     WHERE \"service\" = $1 AND \"partition\" = $2 ORDER BY \"next_offset\" DESC LIMIT 1000) AS newest)";
const FORGET: &str = "DELETE FROM \"log_marks\" WHERE \"service\" = $1 AND \"partition\" = $2 AND \"next_offset\" > $3";
const SET_BACK: &str = "UPDATE \"checkpoints\" SET \"next_offset\" = $4, \"claim\" = $5, \"anchor\" = $6 \
     WHERE \"reader\" = $1 AND \"service\" = $2 AND \"partition\" = $3";

fn columns(checkpoint: Checkpoint) -> [Bind; 3] {
    let Checkpoint { next, claim, anchor } = checkpoint;
    [Bind::Integer(next), Bind::OptionalInteger(claim), Bind::OptionalInteger(anchor.map(Anchor::bits))]
}

impl Database {
    /// Keeps a place that was passed; one without an anchor is of no use and is not kept.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn mark(&self, source: &PartitionId, passed: Checkpoint) -> Result<(), DatabaseError> {
        if passed.anchor.is_none() {
            return Ok(());
        }
        let binds = place(source).into_iter().chain(columns(passed)).collect();
        self.execute(INSERT.to_owned(), binds).await?;
        self.execute(PRUNE.to_owned(), place(source)).await.map(drop)
    }

    /// The places of a partition that were kept.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn marks(&self, source: &PartitionId) -> Result<Vec<Checkpoint>, DatabaseError> {
        let array = match self.dialect() {
            Dialect::Sqlite => "json_array(\"next_offset\", \"claim\", \"anchor\")",
            Dialect::Postgres => "json_build_array(\"next_offset\", \"claim\", \"anchor\")::text",
        };
        let select = format!("SELECT {array} FROM \"log_marks\" WHERE \"service\" = $1 AND \"partition\" = $2");
        let parse = |text: String| {
            let (next, claim, anchor): (i64, Option<i64>, i64) = serde_json::from_str(&text)?;
            Ok(stored(next, claim, Some(anchor)))
        };
        self.texts(select, place(source)).await?.into_iter().map(parse).collect()
    }

    /// All readers' checkpoints, in all partitions.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn standings(&self) -> Result<Vec<(String, PartitionId, Checkpoint)>, DatabaseError> {
        let columns = "\"reader\", \"service\", \"partition\", \"next_offset\", \"claim\", \"anchor\"";
        let array = match self.dialect() {
            Dialect::Sqlite => format!("json_array({columns})"),
            Dialect::Postgres => format!("json_build_array({columns})::text"),
        };
        let parse = |text: String| {
            let (reader, service, partition, next, claim, anchor): (String, String, i32, i64, Option<i64>, Option<i64>) =
                serde_json::from_str(&text)?;
            Ok((reader, PartitionId { service: service.into(), partition }, stored(next, claim, anchor)))
        };
        let statement = format!("SELECT {array} FROM \"checkpoints\" ORDER BY \"reader\", \"service\", \"partition\"");
        self.texts(statement, Vec::new()).await?.into_iter().map(parse).collect()
    }

    /// Sets a reader's checkpoint back to where the log still is what was read, and forgets the places behind it.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn set_back(&self, reader: &str, source: &PartitionId, to: Checkpoint) -> Result<(), DatabaseError> {
        let mut open = self.begin().await?;
        let binds = [Bind::Text(reader.to_owned())].into_iter().chain(place(source)).chain(columns(to)).collect();
        open.execute(SET_BACK.to_owned(), binds).await?;
        open.execute(FORGET.to_owned(), place(source).into_iter().chain([Bind::Integer(to.next)]).collect()).await?;
        open.commit().await?;
        self.tell_set_back();
        Ok(())
    }
}
