//! A service's database: SQLite on one machine, PostgreSQL elsewhere, behind one small set of operations.

mod aside;
mod checkpoint;
mod connect;
mod dropped;
mod errands;
mod held;
mod identities;
mod kept;
mod lease;
mod letters;
mod marks;
mod query;
mod redrives;
mod rows;
mod served;
mod sql;
mod together;
mod transaction;
mod upsert;
mod versions;
mod watermark;

pub(crate) use aside::Aside;
pub(crate) use checkpoint::MovedReaders;
pub use dropped::{DroppedOffsets, DroppedRow};
pub(crate) use dropped::{shown_id, view_of};
pub(crate) use errands::DEAD;
pub use errands::ErrandRow;
pub(crate) use lease::ANSWER;
pub use letters::{DeadLetterRow, Envelope};
pub use query::{Compare, Filter, Order, Query};
pub(crate) use served::Served;
pub use sql::Dialect;
pub(crate) use transaction::{Bind, Transaction};
pub(crate) use upsert::There;
pub(crate) use versions::{OpenedVersion, READY, VersionRow};

pub use held::Held;

use event_store::{Batch, BatchError, PartitionId};
use kept::Kept;
use lease::Server;
use served::ServedTables;
use sqlx::SqlitePool;
use std::sync::Arc;
use together::Tables;
use tokio::sync::Notify;
use watermark::Watermark;

/// Why an operation on a database failed.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The address has an unknown scheme, or names no database. It is not repeated: it may hold a password.
    #[error("the address of the database must begin with sqlite:// or postgres:// and name a database")]
    Url,
    /// There is no such database, or it holds nothing of ours.
    #[error("there is no such database, or it holds no views")]
    Missing,
    /// The database refused a statement or did not answer; callers that shared a statement share the error.
    #[error("database: {0}")]
    Sql(#[from] Arc<sqlx::Error>),
    /// The other end does not speak as PostgreSQL does: a pooler that refuses what it does not know, as a rule.
    #[error("database: {0}; if a pooler in transaction mode stands between, set DAYBOOK_POSTGRES_POOLER=transaction")]
    Pooler(Arc<sqlx::Error>),
    /// A row does not fit its view's row type or its table.
    #[error("a row does not fit its view: {0}")]
    Row(#[from] serde_json::Error),
    /// The view is being built, and only what is being built can answer: ask again later.
    #[error("{0}")]
    Building(String),
    /// A view's code panicked.
    #[error("the view met a defect: {0}")]
    View(String),
    /// A checkpoint is not where it was expected: another reader has moved it.
    #[error("the checkpoint of {0} was moved by another reader")]
    Moved(PartitionId),
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(Arc::new(error))
    }
}

impl From<DatabaseError> for BatchError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Moved(source) => Self::Moved(source),
            DatabaseError::Url
            | DatabaseError::Missing
            | DatabaseError::Sql(_)
            | DatabaseError::Pooler(_)
            | DatabaseError::Row(_)
            | DatabaseError::Building(_)
            | DatabaseError::View(_) => Self::Failed(error.to_string()),
        }
    }
}

impl DatabaseError {
    /// True if the content of the records is the cause, not the state of the database: they would fail again however often they are tried.
    pub(crate) fn is_poison(&self) -> bool {
        match self {
            Self::Row(_) | Self::View(_) => true,
            Self::Sql(error) => error.as_database_error().and_then(|error| error.code()).is_some_and(|code| is_about_data(&code)),
            Self::Url | Self::Missing | Self::Pooler(_) | Self::Building(_) | Self::Moved(_) => false,
        }
    }

    /// True if the database cannot be reached or does not answer, whatever it is asked.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self, Self::Sql(error) if matches!(**error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed))
    }

    /// True if a statement took longer than it was allowed to.
    pub(crate) fn is_late(&self) -> bool {
        match self {
            Self::Sql(error) => match &**error {
                sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::TimedOut,
                error => error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == CANCELED),
            },
            Self::Url | Self::Missing | Self::Pooler(_) | Self::Building(_) | Self::Row(_) | Self::View(_) | Self::Moved(_) => false,
        }
    }
}

/// PostgreSQL: the statement took longer than the session's limit.
const CANCELED: &str = "57014";

/// PostgreSQL's classes 22 (data exception) and 23 (integrity), SQLite's TOOBIG, CONSTRAINT and MISMATCH (whose codes may be extended).
fn is_about_data(code: &str) -> bool {
    match code.len() {
        5 => code.starts_with("22") || code.starts_with("23"),
        _ => code.parse::<u32>().is_ok_and(|code| [18, 19, 20].contains(&(code & 0xff))),
    }
}

#[derive(Clone, Debug)]
enum Pools {
    /// SQLite takes one writer at a time, so there is one connection for writing and a few for reading.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(Server),
}

/// One service's database. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct Database {
    pools: Pools,
    /// How far the readers have come, and who waits for it.
    watermark: Arc<Watermark>,
    /// Tells the writers that gather batches that somebody waits for a checkpoint.
    asked: Arc<Notify>,
    /// Which tables answer the reads of the views.
    served: ServedTables,
    /// The lookups that wait for rows.
    tables: Tables,
    /// Held by the redrive that is under way.
    redriving: Arc<tokio::sync::Mutex<()>>,
    /// PostgreSQL connections that stay outside of the pool between two statements.
    kept: Arc<Kept>,
}

impl Database {
    /// The dialect of SQL that it speaks.
    pub fn dialect(&self) -> Dialect {
        match self.pools {
            Pools::Sqlite { .. } => Dialect::Sqlite,
            Pools::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Takes checkpoints that this process has moved, so that those who wait for them go on at once.
    pub(crate) fn tell_moved<'a>(&self, reader: &str, batches: impl IntoIterator<Item = &'a Batch>) {
        batches.into_iter().for_each(|batch| self.watermark.raise(reader, &batch.source, batch.to.next));
    }

    /// Reads the checkpoints anew before it says how far they are: they may have been set back.
    pub(crate) fn tell_set_back(&self) {
        self.watermark.forget();
    }

    /// Tells the writers that gather batches to look again whether somebody waits.
    pub(crate) fn tell_gathered(&self) {
        self.asked.notify_waiters();
    }

    /// Closes the connections once the statements on them have ended.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres(server) => self.kept.close(&server.pool).await,
        }
    }
}
