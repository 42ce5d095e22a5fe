//! A standby follows a partition that another node owns, so that taking it over costs the claim and the tail, not the history.

use crate::{
    Bounded, LogError, RawRecord,
    anchor::record_at,
    fold::Fold,
    log::Cursor,
    recover::{Origin, recover},
    saver::Saver,
    tripwire,
};
use event_sourcing::Aggregate;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a standby waits after the log has failed, before it reads again.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a cursor is read no further.
enum Ended {
    Stopped,
    Failed(LogError),
    /// The next record does not go on with what was folded: in a log that was rewritten, the first new one may look like that.
    Breaks,
}

/// Folds a partition as it grows.
pub(crate) struct Standby<A> {
    stop: CancellationToken,
    task: JoinHandle<Option<Fold<A>>>,
}

impl<A: Aggregate> Standby<A> {
    /// Follows a partition from where this node's snapshot of it stands.
    pub fn spawn(origin: Origin) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(follow(origin, stop.clone()));
        Self { stop, task }
    }

    /// Stops, and returns its fold; none where the snapshot is not open yet, or the task panicked.
    pub async fn hand_over(self) -> Option<Fold<A>> {
        self.stop.cancel();
        self.task.await.ok().flatten()
    }

    /// Whether its task has ended, by a defect: nothing else ends one that nobody stops.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Stops; the fold is dropped.
    pub fn stop(self) {
        self.stop.cancel();
    }
}

async fn follow<A: Aggregate>(origin: Origin, stop: CancellationToken) -> Option<Fold<A>> {
    let mut fold = tokio::select! {
        () = stop.cancelled() => return None,
        fold = recover(&origin) => fold,
    };
    let (mut saver, troubles) = (Saver::new(origin.config), Bounded::default());
    while !stop.is_cancelled() {
        fold.rewind();
        let ended = tokio::select! {
            () = stop.cancelled() => break,
            opened = open(&origin, &mut fold) => match opened {
                Ok((cursor, end)) => fold_on(cursor, end, &mut fold, &mut saver, &stop).await,
                Err(error) => Ended::Failed(error),
            },
        };
        if let Ended::Failed(error) = ended {
            if let Some(held_back) = troubles.admit() {
                tracing::warn!(service = %fold.source.service, partition = fold.source.partition, %error, held_back, "a standby reads again");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    saver.settle(&mut fold).await;
    Some(fold)
}

/// A cursor behind the fold's checkpoint, and where the log ended when it was looked whether it holds the record before that. One that does not
/// is read from its beginning.
async fn open<A: Aggregate>(origin: &Origin, fold: &mut Fold<A>) -> Result<(Box<dyn Cursor>, i64), LogError> {
    let partition = fold.source.partition;
    let end = origin.log.end(partition).await?;
    if fold.checkpoint.next > 0 {
        match record_at(&*origin.log, partition, fold.checkpoint.next - 1).await? {
            Some(last) if fold.stands_on(&last) => {}
            Some(_) => fold.forget("another record stands where the last one was read"),
            None => fold.forget("it ends before"),
        }
    }
    Ok((origin.log.read(partition, fold.checkpoint.next).await?, end))
}

/// Folds until it is stopped, until the log fails, or until a record that came later than `looked_up_to` does not go on with what was folded.
async fn fold_on<A: Aggregate>(
    mut cursor: Box<dyn Cursor>,
    looked_up_to: i64,
    fold: &mut Fold<A>,
    saver: &mut Saver,
    stop: &CancellationToken,
) -> Ended {
    loop {
        let records = tokio::select! {
            () = stop.cancelled() => return Ended::Stopped,
            records = cursor.next(), if !saver.is_behind(fold) => records,
            ended = saver.next() => {
                saver.proceed(ended, fold);
                continue;
            }
        };
        tripwire::pass("standby", fold.source.partition);
        match records {
            Ok(records) => {
                if !goes_on(records, looked_up_to, fold) {
                    return Ended::Breaks;
                }
            }
            Err(error) => return Ended::Failed(error),
        }
        saver.proceed(None, fold);
        if fold.known.is_spoiled() {
            return Ended::Failed(LogError("its snapshot cannot be read".into()));
        }
    }
}

/// Folds these records, as long as each goes on with what was folded or stood in the log when it was looked at.
fn goes_on<A: Aggregate>(records: Vec<RawRecord>, looked_up_to: i64, fold: &mut Fold<A>) -> bool {
    records.into_iter().all(|record| {
        let goes_on = record.offset < looked_up_to || fold.is_continued_by(&record);
        if goes_on {
            drop(fold.fold(record));
        }
        goes_on
    })
}

/// The nodes that stand by for a partition: the first `count` of the nodes other than its owner, in an order that differs from partition to
/// partition and that every node works out alike (rendezvous hashing, Thaler and Ravishankar 1996).
pub fn standbys<'a>(service: &str, partition: i32, owner: &str, nodes: impl Iterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let mut name = format!("{service}/{partition}/");
    let stem = name.len();
    let mut scored = |node| {
        name.truncate(stem);
        name.push_str(node);
        (murmur2::murmur2(name.as_bytes(), 0x9747_b28c), node)
    };
    let others: Vec<(u32, &str)> = nodes.filter(|node| *node != owner).map(&mut scored).collect();
    // Finds the first ones one by one: sorting a thousand nodes for thousands of partitions each second would cost too much.
    let mut first: Vec<&str> = Vec::new();
    while first.len() < count
        && let Some((_, next)) = others.iter().filter(|(_, node)| !first.contains(node)).min()
    {
        first.push(next);
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Append, Cause, Checkpoint, MemoryLog, PartitionId, Tag, WriterConfig,
        account::{Account, schemas},
        envelope::{EventHeaders, claim},
        log::Log,
        run::Place,
    };
    use event_sourcing::Timestamp;
    use std::sync::Arc;
    use uuid::Uuid;

    fn a_claim() -> Append {
        claim("accounts", "n", Timestamp(1), Vec::new())
    }

    fn event(run: i64, at: i64) -> Append {
        let cause = Cause { actor: "a".into(), correlation_id: "c".into(), causation_id: None, traceparent: None };
        let (aggregate_id, command_id) = (Uuid::from_u128(1), Uuid::from_u128(at as u128));
        let (place, time) = (Place { run, at, index: 1, of: 1 }, Timestamp(1));
        let headers = EventHeaders {
            service: "accounts",
            type_name: "t",
            aggregate_id,
            command_id,
            place,
            version: 1,
            fingerprint: 0,
            time,
            cause: &cause,
        };
        headers.append(Vec::new())
    }

    fn append(log: &MemoryLog, records: Vec<Append>) {
        let (acks, _) = tokio::sync::mpsc::unbounded_channel();
        records.into_iter().for_each(|record| log.append(0, record, Tag { epoch: 1, at: 0 }, &acks).expect("it is queued"));
    }

    async fn others_have_their_turn() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    /// Where a standby stands that has read the first records, and then those that take the place of the ones from `lost` on while it sleeps.
    async fn slept(first: Vec<Append>, lost: i64, then: Vec<Append>) -> Checkpoint {
        let log = MemoryLog::new(1);
        append(&log, first);
        let source = PartitionId { service: "accounts".into(), partition: 0 };
        let config = WriterConfig::default();
        let standby = Standby::<Account>::spawn(Origin { log: Arc::new(log.clone()), source, schemas: schemas(), config, snapshots: None });
        others_have_their_turn().await;
        log.lose(0, lost);
        append(&log, then);
        others_have_their_turn().await;
        standby.hand_over().await.expect("a fold").checkpoint
    }

    #[tokio::test]
    async fn a_standby_that_slept_while_the_log_was_rewritten_reads_it_anew() {
        let first = || vec![a_claim(), event(0, 1), event(0, 2), event(0, 3)];
        let then = vec![a_claim(), event(2, 3), event(2, 4), event(2, 5)];
        assert_eq!(slept(first(), 2, then).await, Checkpoint::new(6, Some(2)), "in a run");
        let broken = vec![a_claim(), event(0, 1), event(0, 9)];
        let then = vec![a_claim(), event(1, 2), event(1, 3)];
        assert_eq!(slept(broken, 1, then).await, Checkpoint::new(4, Some(1)), "in none");
        let then = vec![event(0, 9), a_claim(), event(5, 6)];
        assert_eq!(slept(first(), 4, then).await, Checkpoint::new(7, Some(5)), "nothing was lost");
    }

    #[test]
    fn every_node_works_out_the_same_standbys_and_the_owner_is_none_of_them() {
        let nodes = ["a", "b", "c"];
        for partition in 0..16 {
            let one = standbys("accounts", partition, "b", nodes.into_iter(), 1);
            let same = standbys("accounts", partition, "b", ["c", "a", "b", "a"].into_iter(), 1);
            assert_eq!(one, same);
            assert!(one.len() == 1 && one[0] != "b");
        }
        let all = standbys("accounts", 1, "b", ["c", "a", "b", "a", "d"].into_iter(), 9);
        assert!(all.len() == 3 && all.starts_with(&standbys("accounts", 1, "b", ["d", "c", "a"].into_iter(), 2)));
        let spread = (0..64).filter(|partition| standbys("accounts", *partition, "b", nodes.into_iter(), 1) == ["a"]).count();
        assert!((16..=48).contains(&spread), "{spread} of 64 fall to one of two");
        assert!(standbys("accounts", 0, "a", ["a"].into_iter(), 1).is_empty());
    }
}
