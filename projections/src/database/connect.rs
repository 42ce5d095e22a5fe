//! Opens a database, and makes it if it is missing.

use super::{
    Database, DatabaseError, Pools,
    lease::{ANSWER, Server, Silence, Way, silent},
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection,
    pool::PoolConnectionMetadata,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{str::FromStr, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a statement waits for another process that writes to the same file.
const BUSY: Duration = Duration::from_secs(5);
/// How long the pool may take to give a connection to somebody who has a place: it pings one, or opens a new one.
const ACQUIRE: Duration = Duration::from_secs(3);
/// How long a connection that was idle may take to show that it is alive.
const PING: Duration = Duration::from_secs(1);
/// How long after its use a connection is assumed to be alive.
pub(super) const TRUSTED: Duration = Duration::from_secs(1);
/// The settings of PostgreSQL's sessions, unless the address sets them itself (`?options=-c%20enable_seqscan%3Don`).
/// - As on SQLite a commit does not wait for the disk. PostgreSQL writes its own log in order, so a crash that loses a commit loses every
///   later one, too. Each commit holds its checkpoint, so the readers read those records again.
/// - Our queries find every row by a key or in the order of an index. Without this setting a statement that was planned while its table was
///   empty would scan the whole table for each row, until autovacuum counts its rows after a minute.
/// - Compiling a statement takes longer than running any of ours.
/// - When a node vanishes in the middle of a transaction (its network is cut, it is paused), PostgreSQL would keep the transaction's locks for
///   hours, and whoever takes the work up would wait for them: it ends the session some seconds after the last statement. A transaction that
///   changes tables allows itself more.
/// - PostgreSQL ends a statement before the node gives its connection up, so that a server that is merely slow says so.
const SETTINGS: [(&str, &str); 9] = [
    ("synchronous_commit", "off"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
    ("statement_timeout", "4500"),
    ("idle_in_transaction_session_timeout", "5000"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "25000"),
];
/// Those of them that a transaction can set for itself, behind a pooler.
pub(super) const IN_TRANSACTION: [(&str, &str); 5] = [SETTINGS[0], SETTINGS[1], SETTINGS[2], SETTINGS[3], SETTINGS[4]];
/// The option of an address that says that a pooler in transaction mode stands between. It is ours: the driver does not know it.
const POOLER: &str = "pooler=transaction";
/// The options that an address may have. The driver logs others, with their values.
const OPTIONS: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "application_name",
    "user",
    "password",
    "options",
];
/// PostgreSQL: no database of this name.
const NO_DATABASE: &str = "3D000";
/// PgBouncer: it does not know a parameter of the start (the code is that of a violated protocol).
const PROTOCOL: &str = "08P01";
/// PostgreSQL: another process has made the database meanwhile.
const MADE_MEANWHILE: [&str; 2] = ["42P04", "23505"];

impl Database {
    /// Whether an address is one of a PostgreSQL server; connects to nothing.
    ///
    /// # Errors
    /// What is wrong, without any part of the address: a password may be anywhere in a mistyped one.
    pub fn check_address(url: &str) -> Result<(), String> {
        let (url, way) = way(url);
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let mut names = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
        if !names.all(|name| OPTIONS.contains(&name) || name.starts_with("options[")) {
            return Err(format!("an option behind its ? is none of {}", OPTIONS.join(", ")));
        }
        if way == Way::Pooler && query.contains("options") {
            return Err("a pooler in transaction mode takes no options: set them for the role, by ALTER ROLE ... SET".to_owned());
        }
        // The driver's error may quote the value that it cannot read.
        PgConnectOptions::from_str(&url).map(drop).map_err(|_| "an option behind its ? has a wrong value".to_owned())
    }

    /// Opens `sqlite:///path/file.db` or `postgres://user@host:port/name`; makes the database and the tables of
    /// checkpoints, dead letters and errands where they are missing.
    ///
    /// # Errors
    /// [`DatabaseError::Url`] where the address names no database, [`DatabaseError::Sql`] where it cannot be reached.
    pub async fn open(url: &str) -> Result<Self, DatabaseError> {
        let database = Self::of(pools(url, Absent::Made).await?);
        database.create_checkpoints().await?;
        database.create_letters().await?;
        database.create_versions().await?;
        database.create_dropped().await?;
        database.create_errands().await?;
        database.create_identities().await?;
        Ok(database)
    }

    /// Opens a database that is there; makes nothing.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`DatabaseError::Missing`] where there is none, or it holds nothing of ours.
    pub async fn open_existing(url: &str) -> Result<Self, DatabaseError> {
        let database = Self::of(pools(url, Absent::Refused).await?);
        match database.texts("SELECT \"reader\" FROM \"checkpoints\" LIMIT 1".to_owned(), Vec::new()).await {
            Err(DatabaseError::Sql(error)) if error.as_database_error().is_some() => Err(DatabaseError::Missing),
            Err(error) => Err(error),
            Ok(_) => {
                // A database of an earlier build does not have them yet.
                database.create_identities().await?;
                database.create_dropped().await?;
                database.create_versions().await?;
                Ok(database)
            }
        }
    }

    fn of(pools: Pools) -> Self {
        let (watermark, asked, tables) = (Arc::default(), Arc::default(), Arc::default());
        let (served, redriving, kept) = (Arc::default(), Arc::default(), Arc::default());
        Self { pools, watermark, asked, served, tables, redriving, kept }
    }
}

/// What becomes of a database that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absent {
    Made,
    Refused,
}

async fn pools(url: &str, absent: Absent) -> Result<Pools, DatabaseError> {
    match url.split_once("://").map(|(scheme, _)| scheme) {
        Some("sqlite") => sqlite(url, absent).await,
        Some("postgres" | "postgresql") => Ok(Pools::Postgres(postgres(url, absent).await?)),
        Some(_) | None => Err(DatabaseError::Url),
    }
}

/// `NORMAL` is enough: rows and their checkpoint are one commit, so when a power cut loses it, the reader reads those records from the log
/// again.
async fn sqlite(url: &str, absent: Absent) -> Result<Pools, DatabaseError> {
    let options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY);
    if absent == Absent::Refused && !options.get_filename().is_file() {
        return Err(DatabaseError::Missing);
    }
    if let Some(folder) = options.get_filename().parent() {
        std::fs::create_dir_all(folder).map_err(sqlx::Error::Io)?;
    }
    let pool = |size| {
        // A full disk makes SQLite end a transaction by itself. The driver's rollback then fails, the connection counts as inside a transaction for
        // ever, and none can be begun on it: it is closed, and the pool opens another.
        let is_free = |connection: &mut SqliteConnection| !connection.is_in_transaction();
        let options = SqlitePoolOptions::new().max_connections(size).acquire_timeout(ACQUIRE);
        options.after_release(move |connection, _| Box::pin(std::future::ready(Ok(is_free(connection)))))
    };
    let writer = pool(1).connect_with(options.clone()).await?;
    Ok(Pools::Sqlite { writer, readers: pool(3).connect_lazy_with(options) })
}

async fn postgres(url: &str, absent: Absent) -> Result<Server, DatabaseError> {
    let (url, way) = way(url);
    let options = PgConnectOptions::from_str(&url)?;
    let options = if way == Way::Direct { with_settings(options) } else { for_pooler(options) };
    let name = options.get_database().map(str::to_owned).ok_or(DatabaseError::Url)?;
    let found = async {
        match way {
            Way::Direct => find_or_create(&options, &name, absent).await,
            Way::Pooler => find_in_list(&options, &name, absent).await,
        }
    };
    timeout(ANSWER * 2, found).await.unwrap_or_else(|_| Err(silent("no answer").into()))?;
    let silence = Silence::default();
    let noted = silence.clone();
    let pool = PgPoolOptions::new().max_connections(8).acquire_timeout(ACQUIRE).test_before_acquire(false).before_acquire(
        move |connection, used| {
            let noted = noted.clone();
            Box::pin(async move { Ok(is_alive(connection, &used, &noted).await) })
        },
    );
    Ok(Server::new(pool.connect_with(options).await?, silence, way))
}

/// A ping before each use doubles the cost of a row by its key, so a connection that was in use just now is not pinged.
async fn is_alive(connection: &mut PgConnection, used: &PoolConnectionMetadata, silence: &Silence) -> bool {
    if silence.covers(used.age) {
        return false;
    }
    if used.idle_for < TRUSTED {
        return true;
    }
    match timeout(PING, connection.ping()).await {
        Ok(answer) => answer.is_ok(),
        Err(_elapsed) => {
            silence.note();
            false
        }
    }
}

async fn find_or_create(options: &PgConnectOptions, name: &str, absent: Absent) -> Result<(), DatabaseError> {
    match options.clone().connect().await {
        Ok(connection) => Ok(connection.close().await?),
        Err(error) if code(&error).as_deref() == Some(NO_DATABASE) && absent == Absent::Refused => Err(DatabaseError::Missing),
        Err(error) if code(&error).as_deref() == Some(NO_DATABASE) => create_database(options, name).await,
        Err(error) if code(&error).as_deref() == Some(PROTOCOL) => Err(DatabaseError::Pooler(Arc::new(error))),
        Err(error) => Err(error.into()),
    }
}

/// The same behind a pooler, which tells of a missing database in its own way, and for a while goes on doing so once it is there: so this
/// asks the list of databases first. Where the pooler leads to no database `postgres`, somebody else has to make ours.
async fn find_in_list(options: &PgConnectOptions, name: &str, absent: Absent) -> Result<(), DatabaseError> {
    let Ok(mut connection) = options.clone().database("postgres").connect().await else { return Ok(()) };
    let listed = format!("SELECT 1 FROM pg_database WHERE datname = '{}'", name.replace('\'', "''"));
    let found = sqlx::raw_sql(AssertSqlSafe(listed)).fetch_optional(&mut connection).await?;
    connection.close().await?;
    match (found, absent) {
        (Some(_), _) => Ok(()),
        (None, Absent::Refused) => Err(DatabaseError::Missing),
        (None, Absent::Made) => create_database(options, name).await,
    }
}

/// The address without the option that says how the server is reached, and what it says.
fn way(url: &str) -> (String, Way) {
    let Some((place, query)) = url.split_once('?') else { return (url.to_owned(), Way::Direct) };
    let rest: Vec<&str> = query.split('&').filter(|option| *option != POOLER).collect();
    match rest.len() == query.split('&').count() {
        true => (url.to_owned(), Way::Direct),
        false if rest.is_empty() => (place.to_owned(), Way::Pooler),
        false => (format!("{place}?{}", rest.join("&")), Way::Pooler),
    }
}

/// No statement outlives its transaction there, and PgBouncer refuses parameters of the start that it does not know.
fn for_pooler(options: PgConnectOptions) -> PgConnectOptions {
    options.statement_cache_capacity(0).extra_float_digits(None)
}

fn with_settings(options: PgConnectOptions) -> PgConnectOptions {
    let said = options.get_options().unwrap_or_default().to_owned();
    let unsaid = SETTINGS.into_iter().filter(|(name, _)| !said.contains(name));
    options.options(unsaid)
}

async fn create_database(options: &PgConnectOptions, name: &str) -> Result<(), DatabaseError> {
    let mut connection = options.clone().database("postgres").connect().await?;
    let statement = format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""));
    match sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await {
        Ok(_) => {}
        Err(error) if code(&error).is_some_and(|code| MADE_MEANWHILE.contains(&&*code)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(connection.close().await?)
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_that_a_pooler_stands_between() {
        assert_eq!(way("postgres://a@b/c"), ("postgres://a@b/c".to_owned(), Way::Direct));
        assert_eq!(way("postgres://a@b/c?pooler=transaction"), ("postgres://a@b/c".to_owned(), Way::Pooler));
        let (url, pooled) = way("postgres://a@b/c?sslmode=require&pooler=transaction&user=x");
        assert_eq!((url.as_str(), pooled), ("postgres://a@b/c?sslmode=require&user=x", Way::Pooler));
        assert!(Database::check_address(&format!("{url}&{POOLER}")).is_ok());
        let refused = Database::check_address("postgres://a@b?options=-c%20jit%3Don&pooler=transaction").expect_err("it takes none");
        assert!(refused.contains("ALTER ROLE"), "{refused}");
        assert!(Database::check_address("postgres://a@b?pooler=session").is_err(), "no such option");
    }

    #[test]
    fn what_an_address_says_itself_is_left_alone() {
        let said = |url: &str| with_settings(PgConnectOptions::from_str(url).expect("an address")).get_options().map(str::to_owned);
        let all: Vec<String> = SETTINGS.iter().map(|(name, value)| format!("-c {name}={value}")).collect();
        assert_eq!(said("postgres://a@localhost/b"), Some(all.join(" ")));
        let own = all.join(" ").replace("synchronous_commit=off", "synchronous_commit=on");
        assert_eq!(said("postgres://a@localhost/b?options=-c%20synchronous_commit%3Don"), Some(own));
    }
}
