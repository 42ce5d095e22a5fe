//! Keeps other tools away from a database on PostgreSQL.

use super::{
    Database, DatabaseError, Pools,
    lease::{ANSWER, Way, silent},
};
use sqlx::{ConnectOptions, PgConnection, PgPool};
use tokio::time::timeout;

/// Names our advisory lock among those of other programs.
const KEYS: (i32, i32) = (0x4461_7962, 0x746f_6f6c);

/// Begins a transaction that stays open for as long as the tool works.
const OPENED: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 4500";

/// A lock on a database; PostgreSQL lifts it when the connection ends, however it ends.
#[derive(Debug)]
pub struct Held {
    _connection: Option<PgConnection>,
}

impl Database {
    /// Keeps out whoever else holds this database by this function; `name` tells others who does. On SQLite, which knows no such lock,
    /// nobody is kept out.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database does not answer. The inner error is the name of whoever holds it.
    pub async fn hold(&self, name: &str) -> Result<Result<Held, String>, DatabaseError> {
        let Pools::Postgres(server) = &self.pools else { return Ok(Ok(Held { _connection: None })) };
        let held = timeout(ANSWER, hold(&server.pool, name, server.way)).await;
        Ok(held.unwrap_or_else(|_| Err(silent("no answer to the question for its lock")))?)
    }
}

async fn hold(pool: &PgPool, name: &str, way: Way) -> Result<Result<Held, String>, sqlx::Error> {
    let mut connection = (*pool.connect_options()).clone().application_name(name).connect().await?;
    let (class, object) = KEYS;
    let take = match way {
        Way::Direct => "SELECT pg_try_advisory_lock($1, $2)",
        // A pooler would hand a session's lock on to whoever gets the session next: an open transaction keeps both.
        Way::Pooler => {
            sqlx::raw_sql(OPENED).execute(&mut connection).await?;
            "SELECT pg_try_advisory_xact_lock($1, $2)"
        }
    };
    let taken: bool = sqlx::query_scalar(take).persistent(false).bind(class).bind(object).fetch_one(&mut connection).await?;
    if taken {
        return Ok(Ok(Held { _connection: Some(connection) }));
    }
    let who = "SELECT COALESCE(max(application_name), 'another tool') FROM pg_locks JOIN pg_stat_activity USING (pid) \
               WHERE locktype = 'advisory' AND granted AND classid::bigint = $1 AND objid::bigint = $2";
    Ok(Err(sqlx::query_scalar(who).persistent(false).bind(i64::from(class)).bind(i64::from(object)).fetch_one(&mut connection).await?))
}
