//! PostgreSQL connections on loan from the pool, with a limit on how long each statement may wait for its answer.
//!
//! A server that vanishes sends neither an answer nor an end of the connection, and the driver would wait for ever. A connection that stays
//! silent is closed, and never returned to the pool; so are, at their next use, all those that were opened before it proved silent. Whether
//! the server has done what it was asked, nobody knows then: callers find that out by their checkpoints.

use super::connect::IN_TRANSACTION;
use parking_lot::Mutex;
use sqlx::{
    AssertSqlSafe, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{error::Elapsed, timeout},
};

/// How long a statement waits for its answer, unless it is allowed more. PostgreSQL itself ends a statement somewhat earlier (see the
/// session's settings), so a server that is merely slow answers with an error, and the connection lives on.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);
/// How long a caller waits for a place among those who have a connection.
const PLACE: Duration = Duration::from_secs(10);
/// By how much PostgreSQL's own limit is the shorter one.
const EARLIER: Duration = Duration::from_millis(500);

/// A query with its parameters.
type Asked = Query<'static, Postgres, PgArguments>;

/// When a connection of a pool proved silent last.
#[derive(Clone, Debug, Default)]
pub(super) struct Silence(Arc<Mutex<Option<Instant>>>);

impl Silence {
    /// Notes that a connection has proved silent.
    pub fn note(&self) {
        *self.0.lock() = Some(Instant::now());
    }

    /// True for a connection of this age if one that was open beside it has proved silent since.
    pub fn covers(&self, age: Duration) -> bool {
        self.0.lock().is_some_and(|noted| noted.elapsed() < age)
    }
}

/// The pool of one database.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub pool: PgPool,
    pub silence: Silence,
    /// One place for each connection of the pool. Those who wait for one stand in a queue, in which nobody is sent back to its end: the pool's
    /// own limit is for a server that accepts no connection.
    places: Arc<Semaphore>,
    /// Whether a pooler stands between, which may give each transaction another session.
    pub way: Way,
}

/// How a session of the server is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Way {
    /// A connection has a session to itself.
    #[default]
    Direct,
    /// A pooler lends a session for each transaction. Nothing that is said outside of one holds for the next, so each statement stands in a
    /// transaction, which says what the session's settings would: else a statement could be prepared in one session and run in another. No
    /// statement has a name: it would stay in the session, and the next client's of that name would be refused.
    Pooler,
}

impl Way {
    /// The statement that begins a transaction.
    fn begins(self, statement: &str) -> String {
        match self {
            Self::Direct => statement.to_owned(),
            Self::Pooler => {
                IN_TRANSACTION.iter().fold(statement.to_owned(), |all, (name, value)| format!("{all}; SET LOCAL {name} = {value}"))
            }
        }
    }
}

impl Server {
    pub fn new(pool: PgPool, silence: Silence, way: Way) -> Self {
        let places = usize::try_from(pool.options().get_max_connections()).unwrap_or(1);
        Self { pool, silence, places: Arc::new(Semaphore::new(places)), way }
    }

    /// Borrows a connection.
    pub async fn lease(&self) -> Result<Lease, sqlx::Error> {
        let place = timeout(PLACE, self.places.clone().acquire_owned()).await.map_err(|_elapsed| sqlx::Error::PoolTimedOut)?;
        let place = place.map_err(|_closed| sqlx::Error::PoolClosed)?;
        let connection = Some(self.pool.acquire().await?);
        Ok(Lease { connection, silence: self.silence.clone(), in_transaction: false, limit: ANSWER, place: Some(place), way: self.way })
    }

    /// Borrows a connection and begins a transaction by this statement.
    pub async fn begin(&self, statement: &'static str) -> Result<Lease, sqlx::Error> {
        let mut lease = self.lease().await?;
        lease.in_transaction = true;
        lease.run(self.way.begins(statement)).await?;
        Ok(lease)
    }
}

/// A borrowed connection. Dropped, it is returned to the pool once an open transaction is rolled back; where that takes too long it is
/// closed.
#[derive(Debug)]
pub(crate) struct Lease {
    /// None once it has proved silent.
    connection: Option<PoolConnection<Postgres>>,
    silence: Silence,
    in_transaction: bool,
    limit: Duration,
    place: Option<OwnedSemaphorePermit>,
    way: Way,
}

impl Lease {
    /// Runs a statement; says how many rows it changed.
    pub async fn execute(&mut self, query: Asked) -> Result<u64, sqlx::Error> {
        let alone = self.begin_alone().await?;
        let query = query.persistent(self.way == Way::Direct);
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        let answer = timeout(self.limit, query.execute(&mut **connection)).await;
        let changed = self.settle(answer)?.rows_affected();
        self.end_alone(alone).await?;
        Ok(changed)
    }

    /// Runs a query.
    pub async fn fetch_all(&mut self, query: Asked) -> Result<Vec<PgRow>, sqlx::Error> {
        let alone = self.begin_alone().await?;
        let query = query.persistent(self.way == Way::Direct);
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        let answer = timeout(self.limit, query.fetch_all(&mut **connection)).await;
        let rows = self.settle(answer)?;
        self.end_alone(alone).await?;
        Ok(rows)
    }

    /// Behind a pooler, begins a transaction for a statement that stands in none; says whether it did.
    async fn begin_alone(&mut self) -> Result<bool, sqlx::Error> {
        if self.in_transaction || self.way == Way::Direct {
            return Ok(false);
        }
        self.in_transaction = true;
        self.run(self.way.begins("BEGIN")).await?;
        Ok(true)
    }

    async fn end_alone(&mut self, alone: bool) -> Result<(), sqlx::Error> {
        if alone {
            self.run("COMMIT".to_owned()).await?;
            self.in_transaction = false;
        }
        Ok(())
    }

    /// Allows the transaction's further statements this long each.
    pub async fn allow(&mut self, limit: Duration) -> Result<(), sqlx::Error> {
        let within = limit.saturating_sub(EARLIER).as_millis();
        // Between its statements such a transaction may read the log, or rows of another one.
        let statement = format!("SET LOCAL statement_timeout = {within}; SET LOCAL idle_in_transaction_session_timeout = {within}");
        self.run(statement).await?;
        self.limit = limit;
        Ok(())
    }

    /// Commits the transaction.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.run("COMMIT".to_owned()).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Runs statements without parameters, which cost one round trip.
    async fn run(&mut self, statements: String) -> Result<(), sqlx::Error> {
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        let asked = sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut **connection);
        let answer = timeout(self.limit, asked).await;
        self.settle(answer).map(drop)
    }

    fn settle<T>(&mut self, answer: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, sqlx::Error> {
        answer.unwrap_or_else(|_elapsed| {
            self.silence.note();
            let seconds = self.limit.as_secs();
            tracing::warn!(seconds, "PostgreSQL does not answer: the connection is closed, and none that is as old is used again");
            drop(self.connection.take().map(PoolConnection::detach));
            Err(silent(&format!("no answer for {seconds} s, and the connection is closed")))
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let Ok(runtime) = Handle::try_current() else { return drop(connection.detach()) };
        let (place, given_back) = (self.place.take(), give_back(connection, self.silence.clone(), self.in_transaction));
        runtime.spawn(async move {
            given_back.await;
            drop(place);
        });
    }
}

/// Returns a connection to its pool. A statement that its caller has given up may still run on it.
async fn give_back(mut connection: PoolConnection<Postgres>, silence: Silence, in_transaction: bool) {
    if in_transaction {
        match timeout(ANSWER, sqlx::raw_sql("ROLLBACK").execute(&mut *connection)).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return drop(connection.detach()),
            Err(_elapsed) => {
                silence.note();
                return drop(connection.detach());
            }
        }
    }
    // What the pool does by itself at a drop, which is a ping without a limit. Given up, it closes the connection.
    if timeout(ANSWER, connection.return_to_pool()).await.is_err() {
        silence.note();
    }
}

fn closed() -> sqlx::Error {
    silent("the connection is closed, since it has not answered before")
}

/// The error of a connection that stays silent.
pub(super) fn silent(why: &str) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, why.to_owned()))
}
