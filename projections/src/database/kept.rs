//! PostgreSQL connections that stay outside of their pool between two statements.
//!
//! A pool pings each connection that is returned to it, which is one more round trip to PostgreSQL after each row that was read. A few
//! connections go from one statement to the next without being returned.

use super::{
    connect::TRUSTED,
    lease::{Lease, Server},
};
use parking_lot::Mutex;
use sqlx::{
    PgPool, Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use std::time::Instant;

/// The most connections that are kept, of a pool of eight.
const MOST: usize = 2;

#[derive(Debug)]
struct Connection {
    inner: Lease,
    taken: Instant,
}

/// Connections that were taken from the pool. A query uses one only within [`TRUSTED`] of its taking; the first query after that returns it
/// to the pool, which pings it, or closes it for its age.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Vec<Connection>>);

impl Kept {
    /// The rows of a query that leaves no transaction open.
    pub async fn fetch_all(&self, server: &Server, query: Query<'static, Postgres, PgArguments>) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut connection = match self.idle(server) {
            Some(connection) => connection,
            None => Connection { inner: server.lease().await?, taken: Instant::now() },
        };
        let rows = connection.inner.fetch_all(query).await?;
        self.keep(&server.pool, connection);
        Ok(rows)
    }

    fn idle(&self, server: &Server) -> Option<Connection> {
        let connection = self.0.lock().pop();
        let is_trusted = |taken: Instant| taken.elapsed() < TRUSTED && !server.silence.covers(taken.elapsed());
        connection.filter(|connection| is_trusted(connection.taken))
    }

    fn keep(&self, pool: &PgPool, connection: Connection) {
        let mut kept = self.0.lock();
        if kept.len() < MOST && !pool.is_closed() {
            kept.push(connection);
        }
    }

    /// Closes the pool, which waits for all its connections.
    pub async fn close(&self, pool: &PgPool) {
        // The pool counts as closed from here on, so `keep` keeps no further connection.
        let closing = pool.close();
        self.0.lock().clear();
        closing.await;
    }
}
