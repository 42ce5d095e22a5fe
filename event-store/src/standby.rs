//! A standby follows a partition that another node owns, so that taking it over costs the claim and the tail, not the history.

use crate::{LogError, fold::Fold, log::Cursor, log::Log};
use domain::Aggregate;
use schemas::WireEvent;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a log that fails is left alone.
const PAUSE: Duration = Duration::from_millis(500);

/// Folds a partition as it grows.
pub(crate) struct Standby<A> {
    stop: CancellationToken,
    task: JoinHandle<Fold<A>>,
}

impl<A> Standby<A>
where
    A: Aggregate,
    A::Event: WireEvent,
{
    /// Follows the partition of `fold` from where it stands.
    pub fn spawn(log: Arc<dyn Log>, fold: Fold<A>) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(follow(log, fold, stop.clone()));
        Self { stop, task }
    }

    /// Stops, and hands over what it knows; none where it met a defect.
    pub async fn hand_over(self) -> Option<Fold<A>> {
        self.stop.cancel();
        self.task.await.ok()
    }

    /// Stops, and forgets.
    pub fn stop(self) {
        self.stop.cancel();
    }
}

async fn follow<A>(log: Arc<dyn Log>, mut fold: Fold<A>, stop: CancellationToken) -> Fold<A>
where
    A: Aggregate,
    A::Event: WireEvent,
{
    while !stop.is_cancelled() {
        fold.rewind();
        let failed = tokio::select! {
            () = stop.cancelled() => break,
            cursor = log.read(fold.source.partition, fold.checkpoint.next) => match cursor {
                Ok(cursor) => fold_on(cursor, &mut fold, &stop).await,
                Err(error) => Some(error),
            },
        };
        if let Some(error) = failed {
            tracing::warn!(service = %fold.source.service, partition = fold.source.partition, %error, "a standby reads again");
            tokio::time::sleep(PAUSE).await;
        }
    }
    fold
}

/// Folds until it is stopped, or until the log fails.
async fn fold_on<A>(mut cursor: Box<dyn Cursor>, fold: &mut Fold<A>, stop: &CancellationToken) -> Option<LogError>
where
    A: Aggregate,
    A::Event: WireEvent,
{
    loop {
        let records = tokio::select! {
            () = stop.cancelled() => return None,
            records = cursor.next() => records,
        };
        match records {
            Ok(records) => records.into_iter().for_each(|record| drop(fold.take(record))),
            Err(error) => return Some(error),
        }
    }
}

/// Who stands by for a partition: the first `count` of the nodes other than its owner, in an order that differs from partition to
/// partition and that every node works out alike (rendezvous hashing, Thaler and Ravishankar 1996).
pub fn standbys<'a>(service: &str, partition: i32, owner: &str, nodes: impl Iterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let score = |node: &str| murmur2::murmur2(format!("{service}/{partition}/{node}").as_bytes(), 0x9747_b28c);
    let mut others: Vec<&str> = nodes.filter(|node| *node != owner).collect();
    others.sort_by_key(|node| (score(node), *node));
    others.dedup();
    others.truncate(count);
    others
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
        let spread = (0..64).filter(|partition| standbys("accounts", *partition, "b", nodes.into_iter(), 1) == ["a"]).count();
        assert!((16..=48).contains(&spread), "{spread} of 64 fall to one of two");
        assert!(standbys("accounts", 0, "a", ["a"].into_iter(), 1).is_empty());
    }
}
