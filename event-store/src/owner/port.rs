//! What a writer asks for, over a real log and a real clock.

use super::AT_ONCE;
use crate::{
    Append, LogError, RawRecord,
    log::{Ack, Log, NotQueued, Tag, Unsent},
    pace::Pace,
    writer::Port,
};
use event_sourcing::Timestamp;
use rand::RngExt;
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// The longest pause between two claims.
const MAX_CLAIM_PAUSE: Duration = Duration::from_secs(2);
/// How long a replay waits for the next record before its own claim: that was acknowledged, so the record is there, unless the log has lost
/// both.
const COMES_WITHIN: Duration = Duration::from_secs(10);

type Replay = mpsc::Receiver<Result<Vec<RawRecord>, LogError>>;

/// The next records of a replay; waits for ever where there is none.
pub(super) async fn next_records(replay: &mut Option<Replay>) -> Result<Vec<RawRecord>, LogError> {
    match replay {
        Some(records) => records.recv().await.unwrap_or_else(|| Err(LogError("the reader stopped".into()))),
        None => std::future::pending().await,
    }
}

/// The writer's [`Port`]: the log, and the timer of the next claim.
pub(super) struct World {
    pub log: Arc<dyn Log>,
    pub partition: i32,
    pub acks: mpsc::UnboundedSender<Ack>,
    pub ends: mpsc::UnboundedSender<(u64, Result<i64, LogError>)>,
    pub replay: Option<Replay>,
    pub claim_at: Option<Instant>,
    pub pace: Pace,
}

impl Port for World {
    fn append(&mut self, record: Append, tag: Tag) -> Result<(), NotQueued> {
        self.log.append(self.partition, record, tag, &self.acks)
    }

    fn append_all(&mut self, records: Vec<(Append, Tag)>) -> Result<(), Unsent> {
        self.log.append_all(self.partition, records, &self.acks)
    }

    fn ask_end(&mut self, epoch: u64) {
        let (log, partition, ends) = (self.log.clone(), self.partition, self.ends.clone());
        tokio::spawn(async move {
            let end = log.end(partition).await;
            let _ = ends.send((epoch, end));
        });
    }

    fn may_prove(&mut self, for_commands: bool) -> bool {
        self.pace.allows(Instant::now(), for_commands)
    }

    fn read(&mut self, _epoch: u64, from: i64) {
        let (log, partition) = (self.log.clone(), self.partition);
        let (to, replay) = mpsc::channel(4);
        self.replay = Some(replay);
        tokio::spawn(async move {
            let mut cursor = match log.read(partition, from).await {
                Ok(cursor) => cursor,
                Err(error) => return drop(to.send(Err(error)).await),
            };
            // The writer drops the receiver once it has read up to its claim; the cursor would wait for more records for ever.
            loop {
                let late =
                    |_| Err(LogError(format!("records that the log has acknowledged do not come within {} s", COMES_WITHIN.as_secs())));
                tokio::select! {
                    () = to.closed() => return,
                    records = tokio::time::timeout(COMES_WITHIN, cursor.next()) => send(records.unwrap_or_else(late), &to).await,
                }
            }
        });
    }

    fn went_back(&mut self) {
        self.log.went_back(self.partition);
    }

    fn claim_later(&mut self, attempt: u32) {
        let ceiling = Duration::from_millis(5).saturating_mul(1 << attempt.min(10)).min(MAX_CLAIM_PAUSE);
        let pause = if attempt <= 1 { Duration::ZERO } else { ceiling.mul_f64(rand::rng().random_range(0.5..1.0)) };
        self.claim_at = Some(Instant::now() + pause);
    }

    fn now(&self) -> Timestamp {
        crate::now()
    }

    fn nonce(&mut self) -> String {
        format!("{:032x}", rand::rng().random::<u128>())
    }
}

/// Sends records on, at most [`AT_ONCE`] in one message.
async fn send(records: Result<Vec<RawRecord>, LogError>, to: &mpsc::Sender<Result<Vec<RawRecord>, LogError>>) {
    match records {
        Err(error) => drop(to.send(Err(error)).await),
        Ok(records) => {
            let mut records = records.into_iter().peekable();
            while records.peek().is_some() && to.send(Ok(records.by_ref().take(AT_ONCE).collect())).await.is_ok() {}
        }
    }
}
