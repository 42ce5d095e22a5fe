//! Takes letters up one by one, each once, whoever else redrives them and whatever comes in meanwhile.

use super::{Bind, Database, DatabaseError, DeadLetterRow, Dialect, Transaction};
use crate::redrive::Redriven;
use event_store::{BatchError, Counted};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

/// How often it is looked whether another process has ended its redrive.
const LOOK: Duration = Duration::from_millis(50);

/// Keeps out other redrives of the same letters, until it is dropped.
struct Alone {
    _in_process: OwnedMutexGuard<()>,
    /// On PostgreSQL the transaction that holds the lock; other processes redrive there, too.
    _among_processes: Option<Transaction>,
}

impl Database {
    /// Hands an aggregate's records that `reader` has put aside to `take_up`, in order, each once, and deletes the letter of each that it
    /// takes; up to the first that fails, and until there is none: a record that is put aside meanwhile is taken up as well.
    ///
    /// # Errors
    /// [`BatchError::Failed`] where the database does not answer before anything was taken up.
    pub async fn redrive_each<F>(&self, reader: &str, aggregate: Uuid, take_up: impl Fn(Counted) -> F) -> Result<Redriven, BatchError>
    where
        F: Future<Output = Result<(), String>>,
    {
        let _alone = self.redrive_alone(reader, aggregate).await?;
        let mut redriven = 0;
        loop {
            match self.redrive_first(reader, aggregate, &take_up).await {
                Ok(None) => return Ok(Redriven { redriven, left: 0, stopped_by: None }),
                Ok(Some(Ok(()))) => redriven += 1,
                Ok(Some(Err(why))) => return self.stopped(reader, aggregate, redriven, why).await,
                Err(error) if redriven == 0 => return Err(error.into()),
                Err(error) => return self.stopped(reader, aggregate, redriven, error.to_string()).await,
            }
        }
    }

    /// Takes up the first letter; none where there is none.
    async fn redrive_first<F>(
        &self,
        reader: &str,
        aggregate: Uuid,
        take_up: &impl Fn(Counted) -> F,
    ) -> Result<Option<Result<(), String>>, DatabaseError>
    where
        F: Future<Output = Result<(), String>>,
    {
        let Some(letter) = self.letters_page(reader, aggregate, None, 1).await?.pop() else { return Ok(None) };
        let taken = take_up(letter.counted()?).await;
        match &taken {
            Ok(()) => self.settle_letter(&letter).await?,
            // It may have been dropped meanwhile: it is not written anew.
            Err(why) => drop(self.execute(REWORD.to_owned(), vec![Bind::Text(letter.id), Bind::Text(why.clone())]).await?),
        }
        Ok(Some(taken))
    }

    async fn settle_letter(&self, letter: &DeadLetterRow) -> Result<(), DatabaseError> {
        let mut open = self.begin().await?;
        open.lock_letters(&letter.reader, letter.aggregate_id).await?;
        open.unpark(vec![letter.id.clone()]).await?;
        open.commit().await
    }

    async fn stopped(&self, reader: &str, aggregate: Uuid, redriven: usize, why: String) -> Result<Redriven, BatchError> {
        let binds = vec![Bind::Text(reader.to_owned()), Bind::Text(aggregate.to_string())];
        // What was done is told even where the database has stopped to answer: at least one letter is left.
        let count = self.texts(COUNT.to_owned(), binds).await.ok().and_then(|count| count.first()?.parse().ok());
        Ok(Redriven { redriven, left: count.unwrap_or(1), stopped_by: Some(why) })
    }

    async fn redrive_alone(&self, reader: &str, aggregate: Uuid) -> Result<Alone, DatabaseError> {
        let in_process = self.redriving.clone().lock_owned().await;
        let among_processes = match self.dialect() {
            Dialect::Sqlite => None,
            Dialect::Postgres => Some(self.lock_redrive(format!("{reader} {aggregate}")).await?),
        };
        Ok(Alone { _in_process: in_process, _among_processes: among_processes })
    }

    async fn lock_redrive(&self, what: String) -> Result<Transaction, DatabaseError> {
        let mut open = self.begin().await?;
        while open.texts(TRY_LOCK.to_owned(), vec![Bind::Text(what.clone())]).await?.first().is_none_or(|locked| locked != "true") {
            tokio::time::sleep(LOOK).await;
        }
        Ok(open)
    }
}

const REWORD: &str = "UPDATE \"dead_letters\" SET \"reason\" = $2 WHERE \"id\" = $1";
const COUNT: &str = "SELECT CAST(count(*) AS TEXT) FROM \"dead_letters\" WHERE \"reader\" = $1 AND \"aggregate_id\" = $2";
const TRY_LOCK: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 2))::text";
