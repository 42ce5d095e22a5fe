//! Connections that wait outside of their pool for the next statement.
//!
//! A pool asks each connection that is given back whether it is well, which is another exchange with PostgreSQL after each row that was read.
//! A few connections go from one statement to the next without that.

use super::connect::TRUSTED;
use parking_lot::Mutex;
use sqlx::{
    PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use std::time::Instant;

/// So many are kept of a pool of eight.
const MOST: usize = 2;

#[derive(Debug)]
struct Connection {
    inner: PoolConnection<Postgres>,
    taken: Instant,
}

/// Connections that were taken from their pool a moment ago. Each goes back within so long as a connection that was used is taken to be alive
/// if there is more to do, and else when it is wanted the next time; the pool then asks it, or closes it for its age.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Vec<Connection>>);

impl Kept {
    /// The rows of a query that leaves nothing open.
    pub async fn fetch_all(&self, pool: &PgPool, query: Query<'static, Postgres, PgArguments>) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut connection = match self.idle() {
            Some(connection) => connection,
            None => Connection { inner: pool.acquire().await?, taken: Instant::now() },
        };
        let rows = query.fetch_all(&mut *connection.inner).await?;
        self.keep(pool, connection);
        Ok(rows)
    }

    fn idle(&self) -> Option<Connection> {
        let connection = self.0.lock().pop();
        connection.filter(|connection| connection.taken.elapsed() < TRUSTED)
    }

    fn keep(&self, pool: &PgPool, connection: Connection) {
        let mut kept = self.0.lock();
        if kept.len() < MOST && !pool.is_closed() {
            kept.push(connection);
        }
    }

    /// Closes the pool, which waits for all its connections.
    pub async fn close(&self, pool: &PgPool) {
        // From here on none is kept.
        let closing = pool.close();
        self.0.lock().clear();
        closing.await;
    }
}
