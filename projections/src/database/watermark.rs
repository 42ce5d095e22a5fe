//! How far the readers of a database have come, kept in memory, and those who wait for it.
//!
//! However many wait, they cost the database one query now and then: this process tells each checkpoint that it moves, and while anybody
//! waits, one task reads all checkpoints for all of them, since a reader in another process may move them too.

use super::{Database, DatabaseError, Dialect};
use event_sourcing::Position;
use event_store::PartitionId;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How often the checkpoints are read while somebody waits. What is known is believed for as long: a rebuild in another process may set a
/// checkpoint back.
const POLL: Duration = Duration::from_millis(20);

type Outcome = Result<(), Arc<sqlx::Error>>;

/// The watermark of one database.
#[derive(Debug, Default)]
pub(super) struct Watermark(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    known: HashMap<PartitionId, HashMap<String, Known>>,
    waiting: HashMap<PartitionId, BTreeMap<Place, Waiter>>,
    last: u64,
    /// Whether a task reads the checkpoints.
    is_read: bool,
    /// How often they were read so far.
    reads: u64,
}

/// The next offset of a reader, and when that was true.
#[derive(Clone, Copy, Debug)]
struct Known {
    next: i64,
    at: Instant,
}

/// The offset that is waited for, and the waiter's number: those whom a checkpoint cannot have reached yet stand behind it.
type Place = (i64, u64);

#[derive(Debug)]
struct Waiter {
    readers: Vec<String>,
    reached: oneshot::Sender<Outcome>,
}

impl State {
    /// Whether all these readers have passed the offset, by what is known and meets the condition.
    fn have_reached<'a>(
        &self,
        mut readers: impl Iterator<Item = &'a str>,
        (source, offset): (&PartitionId, i64),
        believed: impl Fn(&Known) -> bool,
    ) -> bool {
        let known = self.known.get(source);
        let reached = |known: &Known| known.next > offset && believed(known);
        readers.all(|reader| known.and_then(|known| known.get(reader)).is_some_and(reached))
    }

    /// Wakes those who wait for what is reached now.
    fn wake(&mut self, source: &PartitionId) {
        let most = self.known.get(source).and_then(|known| known.values().map(|known| known.next).max());
        let (Some(most), Some(waiting)) = (most, self.waiting.get(source)) else { return };
        let reached = |(place, waiter): (&Place, &Waiter)| {
            let readers = waiter.readers.iter().map(String::as_str);
            // While somebody waits, all is read again and again, however long a query takes.
            self.have_reached(readers, (source, place.0), |_| true).then_some(*place)
        };
        let woken: Vec<Place> = waiting.range(..(most, 0)).filter_map(reached).collect();
        for place in woken {
            self.remove(source, place).map(|waiter| waiter.reached.send(Ok(())));
        }
    }

    fn remove(&mut self, source: &PartitionId, place: Place) -> Option<Waiter> {
        let waiting = self.waiting.get_mut(source)?;
        let waiter = waiting.remove(&place);
        if waiting.is_empty() {
            self.waiting.remove(source);
        }
        waiter
    }
}

impl Watermark {
    /// Takes a checkpoint that this process has moved.
    pub fn raise(&self, reader: &str, source: &PartitionId, next: i64) {
        let (mut state, known) = (self.0.lock(), Known { next, at: Instant::now() });
        let readers = state.known.entry(source.clone()).or_default();
        match readers.get_mut(reader) {
            Some(before) => *before = known,
            None => drop(readers.insert(reader.to_owned(), known)),
        }
        state.wake(source);
    }

    /// Forgets what is known: checkpoints may have been set back.
    pub fn forget(&self) {
        self.0.lock().known.clear();
    }

    /// Whether somebody waits for something that is below one of these ends.
    pub fn is_awaited(&self, ends: &[(PartitionId, i64)]) -> bool {
        let state = self.0.lock();
        ends.iter().any(|(source, end)| state.waiting.get(source).is_some_and(|waiting| waiting.range(..(*end, 0)).next().is_some()))
    }

    /// Takes all checkpoints as they were read from `at` on; what this process has moved since is newer.
    fn learn(&self, read: Vec<(String, PartitionId, i64)>, at: Instant) {
        let mut state = self.0.lock();
        state.reads += 1;
        state.known.values_mut().for_each(|readers| readers.retain(|_, known| known.at > at));
        for (reader, source, next) in read {
            state.known.entry(source).or_default().entry(reader).or_insert(Known { next, at });
        }
        let sources: Vec<PartitionId> = state.waiting.keys().cloned().collect();
        sources.iter().for_each(|source| state.wake(source));
    }

    /// Tells all who wait that the database does not answer.
    fn fail(&self, error: &Arc<sqlx::Error>) {
        let waiting = std::mem::take(&mut self.0.lock().waiting);
        for waiter in waiting.into_values().flat_map(BTreeMap::into_values) {
            // It may have given up.
            let _ = waiter.reached.send(Err(error.clone()));
        }
    }

    /// Whether the checkpoints are still to be read; the task that asks ends where they are not.
    fn goes_on(&self) -> bool {
        let mut state = self.0.lock();
        state.is_read = !state.waiting.is_empty();
        state.is_read
    }

    /// True for the one who is to read the checkpoints.
    fn begins(&self) -> bool {
        !std::mem::replace(&mut self.0.lock().is_read, true)
    }
}

/// Somebody who waits, until this is dropped.
struct Waiting<'a> {
    watermark: &'a Watermark,
    source: &'a PartitionId,
    place: Place,
    reached: oneshot::Receiver<Outcome>,
}

impl<'a> Waiting<'a> {
    /// None where all have reached the offset already.
    fn begin(watermark: &'a Watermark, readers: &[&str], source: &'a PartitionId, offset: i64) -> Option<Self> {
        let mut state = watermark.0.lock();
        if state.have_reached(readers.iter().copied(), (source, offset), |known| known.at.elapsed() <= POLL) {
            return None;
        }
        state.last += 1;
        let (place, (told, reached)) = ((offset, state.last), oneshot::channel());
        let waiter = Waiter { readers: readers.iter().map(|reader| (*reader).to_owned()).collect(), reached: told };
        state.waiting.entry(source.clone()).or_default().insert(place, waiter);
        Some(Self { watermark, source, place, reached })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.watermark.0.lock().remove(self.source, self.place);
    }
}

impl Database {
    /// Waits until all these readers have passed the position; false when `within` was too short.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the checkpoints cannot be read.
    pub async fn wait_for(&self, readers: &[&str], position: &Position, within: Duration) -> Result<bool, DatabaseError> {
        let source = PartitionId { service: position.service.clone(), partition: position.partition };
        let Some(mut waiting) = Waiting::begin(&self.watermark, readers, &source, position.offset) else { return Ok(true) };
        self.asked.notify_waiters();
        self.read_while_awaited();
        match tokio::time::timeout(within, &mut waiting.reached).await {
            Ok(Ok(reached)) => Ok(reached.map(|()| true)?),
            // The sender is dropped with its waiter only, which is here.
            Ok(Err(_)) | Err(_) => Ok(false),
        }
    }

    /// Reads the checkpoints for all who wait, in a task of its own, where none does so yet.
    fn read_while_awaited(&self) {
        if !self.watermark.begins() {
            return;
        }
        let database = self.clone();
        tokio::spawn(async move {
            while database.watermark.goes_on() {
                let began = Instant::now();
                match database.all_checkpoints().await {
                    Ok(read) => database.watermark.learn(read, began),
                    Err(DatabaseError::Sql(error)) => database.watermark.fail(&error),
                    Err(error) => tracing::error!(%error, "the checkpoints cannot be read"),
                }
                tokio::time::sleep(POLL.saturating_sub(began.elapsed())).await;
            }
        });
    }

    async fn all_checkpoints(&self) -> Result<Vec<(String, PartitionId, i64)>, DatabaseError> {
        let columns = "\"reader\", \"service\", \"partition\", \"next_offset\"";
        let array = match self.dialect() {
            Dialect::Sqlite => format!("json_array({columns})"),
            Dialect::Postgres => format!("json_build_array({columns})::text"),
        };
        let texts = self.texts(format!("SELECT {array} FROM \"checkpoints\""), Vec::new()).await?;
        let parse = |text: String| {
            let (reader, service, partition, next): (String, String, i32, i64) = serde_json::from_str(&text)?;
            Ok((reader, PartitionId { service: service.into(), partition }, next))
        };
        texts.into_iter().map(parse).collect()
    }

    /// Resolves when anybody in this process waits for something below one of these ends, which the call reads again whenever somebody
    /// begins to wait.
    pub(crate) async fn awaited(&self, ends: impl Fn() -> Vec<(PartitionId, i64)>) {
        loop {
            // Registers before it looks, so that it notices a waiter that comes in between.
            let asked = self.asked.notified();
            if self.watermark.is_awaited(&ends()) {
                return;
            }
            asked.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_store::{Batch, Checkpoint, Passed};
    use futures::{future::join_all, poll};
    use std::pin::pin;

    const LONG: Duration = Duration::from_secs(20);

    async fn database(folder: &tempfile::TempDir) -> Database {
        Database::open(&format!("sqlite://{}/a.db", folder.path().display())).await.unwrap()
    }

    fn things(offset: i64) -> Position {
        Position { service: "things".into(), partition: 0, offset }
    }

    fn source() -> PartitionId {
        PartitionId { service: "things".into(), partition: 0 }
    }

    async fn advance(database: &Database, from: i64, to: i64) {
        let checkpoint = |next| Checkpoint::new(next, None);
        let batch = Batch { source: source(), from: checkpoint(from), to: checkpoint(to), records: Vec::new(), passed: Passed::default() };
        database.advance("view", &batch).await.unwrap();
    }

    #[tokio::test]
    async fn two_thousand_who_wait_for_what_never_comes_share_their_queries_and_wake_with_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(&folder).await;
        let began = Instant::now();
        let positions: Vec<Position> = (0..2000).map(|n| things(1_000_000 + n)).collect();
        let within = Duration::from_millis(500);
        let mut never = pin!(join_all(positions.iter().map(|position| database.wait_for(&["view"], position, within))));
        assert!(poll!(&mut never).is_pending());
        advance(&database, 0, 8).await;
        assert!(database.wait_for(&["view"], &things(7), LONG).await.unwrap(), "it does not wait for the others");
        assert!(never.await.into_iter().all(|reached| !reached.unwrap()));
        let (reads, most) = (database.watermark.0.lock().reads, began.elapsed().as_millis() / POLL.as_millis() + 2);
        assert!((1..=most).contains(&u128::from(reads)), "{reads} reads for all, at most {most}");
        assert!(database.watermark.0.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn what_this_process_has_just_applied_needs_no_query() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(&folder).await;
        advance(&database, 0, 8).await;
        assert!(database.wait_for(&["view"], &things(7), LONG).await.unwrap());
        assert_eq!(database.watermark.0.lock().reads, 0);
    }

    #[tokio::test]
    async fn what_another_process_has_set_back_is_not_believed_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let (database, other) = (database(&folder).await, database(&folder).await);
        advance(&database, 0, 8).await;
        let mut open = other.begin().await.unwrap();
        open.forget_checkpoints("view").await.unwrap();
        open.commit().await.unwrap();
        tokio::time::sleep(POLL * 2).await;
        assert!(!database.wait_for(&["view"], &things(7), POLL * 3).await.unwrap());
    }

    #[tokio::test]
    async fn who_waits_hears_that_the_database_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(&folder).await;
        database.close().await;
        assert!(matches!(database.wait_for(&["view"], &things(7), LONG).await, Err(DatabaseError::Sql(_))));
    }

    #[tokio::test]
    async fn who_gathers_hears_of_those_alone_whom_a_write_would_help() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(&folder).await;
        let mut awaited = pin!(database.awaited(|| vec![(source(), 8)]));
        assert!(poll!(&mut awaited).is_pending());
        let (eighth, seventh) = (things(8), things(7));
        let mut later = pin!(database.wait_for(&["view"], &eighth, LONG));
        assert!(poll!(&mut later).is_pending() && poll!(&mut awaited).is_pending());
        let mut now = pin!(database.wait_for(&["view"], &seventh, LONG));
        assert!(poll!(&mut now).is_pending() && poll!(&mut awaited).is_ready());
    }
}
