//! A standby follows a partition that another node owns, so that taking it over costs the claim and the tail, not the history.

use crate::{
    Bounded, LogError,
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
        let failed = tokio::select! {
            () = stop.cancelled() => break,
            cursor = open(&origin, &mut fold) => match cursor {
                Ok(cursor) => fold_on(cursor, &mut fold, &mut saver, &stop).await,
                Err(error) => Some(error),
            },
        };
        if let Some(error) = failed {
            if let Some(held_back) = troubles.admit() {
                tracing::warn!(service = %fold.source.service, partition = fold.source.partition, %error, held_back, "a standby reads again");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    saver.settle(&mut fold).await;
    Some(fold)
}

/// A cursor behind the fold's checkpoint. A log that does not hold the record before it any more is read from its beginning.
async fn open<A: Aggregate>(origin: &Origin, fold: &mut Fold<A>) -> Result<Box<dyn Cursor>, LogError> {
    let partition = fold.source.partition;
    if fold.checkpoint.next > 0 {
        match record_at(&*origin.log, partition, fold.checkpoint.next - 1).await? {
            Some(last) if fold.stands_on(&last) => {}
            Some(_) => fold.forget("another record stands where the last one was read"),
            None => fold.forget("it ends before"),
        }
    }
    origin.log.read(partition, fold.checkpoint.next).await
}

/// Folds until it is stopped, or until the log fails.
async fn fold_on<A: Aggregate>(
    mut cursor: Box<dyn Cursor>,
    fold: &mut Fold<A>,
    saver: &mut Saver,
    stop: &CancellationToken,
) -> Option<LogError> {
    loop {
        let records = tokio::select! {
            () = stop.cancelled() => return None,
            records = cursor.next(), if !saver.is_behind(fold) => records,
            ended = saver.next() => {
                saver.proceed(ended, fold);
                continue;
            }
        };
        tripwire::pass("standby", fold.source.partition);
        match records {
            Ok(records) => records.into_iter().for_each(|record| drop(fold.fold(record))),
            Err(error) => return Some(error),
        }
        saver.proceed(None, fold);
        if fold.known.is_spoiled() {
            return Some(LogError("its snapshot cannot be read".into()));
        }
    }
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
    use super::standbys;

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
