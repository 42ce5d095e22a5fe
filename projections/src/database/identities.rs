//! Which logs a database was made of: offsets mean something in one log only.

use super::{Bind, Database, DatabaseError, Dialect};
use event_store::PartitionId;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS \"log_identities\" (\"service\" TEXT NOT NULL, \"partition\" BIGINT NOT NULL, \
     \"identity\" TEXT NOT NULL, PRIMARY KEY (\"service\", \"partition\"))";
const INSERT: &str = "INSERT INTO \"log_identities\" (\"service\", \"partition\", \"identity\") VALUES ($1, $2, $3) \
     ON CONFLICT (\"service\", \"partition\") DO NOTHING";

impl Database {
    pub(super) async fn create_identities(&self) -> Result<(), DatabaseError> {
        let mut open = self.begin_long().await?;
        open.serialise_changes_of_tables().await?;
        open.execute(CREATE.to_owned(), Vec::new()).await?;
        open.commit().await
    }

    /// The identity of each partition's log (see [`event_store::log_identity`]) from which this database was made, where it is known.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn log_identities(&self) -> Result<HashMap<PartitionId, String>, DatabaseError> {
        self.by_partition("\"identity\"", "\"log_identities\"").await
    }

    /// Keeps the identity of a log that this database reads, unless it knows one of that partition already.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn adopt_log(&self, source: &PartitionId, identity: &str) -> Result<(), DatabaseError> {
        let binds = vec![Bind::Text(source.service.to_string()), Bind::Integer(source.partition.into()), Bind::Text(identity.to_owned())];
        self.execute(INSERT.to_owned(), binds).await.map(drop)
    }

    /// How far the readers of this database have read each partition: the next offset of the one that is furthest.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer.
    pub async fn furthest(&self) -> Result<HashMap<PartitionId, i64>, DatabaseError> {
        self.by_partition("max(\"next_offset\")", "\"checkpoints\" GROUP BY \"service\", \"partition\"").await
    }

    async fn by_partition<T: DeserializeOwned>(&self, value: &str, from: &str) -> Result<HashMap<PartitionId, T>, DatabaseError> {
        let columns = format!("\"service\", \"partition\", {value}");
        let array = match self.dialect() {
            Dialect::Sqlite => format!("json_array({columns})"),
            Dialect::Postgres => format!("json_build_array({columns})::text"),
        };
        let rows = self.texts(format!("SELECT {array} FROM {from}"), Vec::new()).await?;
        let parse = |text: String| {
            let (service, partition, value): (String, i32, T) = serde_json::from_str(&text)?;
            Ok((PartitionId { service: service.into(), partition }, value))
        };
        rows.into_iter().map(parse).collect()
    }
}
