//! Deadlines: moments in a view's rows. When one passes, its command is sent like any other.

use crate::{
    meta,
    schedule::{Moment, Queue, Schedule},
};
use event_sourcing::{AnyCommand, Timestamp};
use event_store::{Aggregates, CommandError};
use futures::{StreamExt, stream::FuturesUnordered};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many overdue deadlines are read at once, at least.
const PAGE: u32 = 200;

/// A deadline that has passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Overdue {
    /// When it was due.
    pub due: Timestamp,
    /// The command to send.
    pub command: AnyCommand,
}

/// Reads the deadlines that have passed.
#[async_trait::async_trait]
pub trait Due: Send + Sync + 'static {
    /// The deadlines that passed at `now` or before, the longest overdue first, at most `limit`.
    ///
    /// # Errors
    /// The reason, in words, why they cannot be read now.
    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<Overdue>, String>;
}

/// Deadlines of one kind.
#[derive(Clone)]
pub struct Deadline {
    /// The name from which the commands' ids are made: `expire`.
    pub name: &'static str,
    /// Reads those that have passed.
    pub due: Arc<dyn Due>,
}

/// The end of a deadline's command, and whether it was answered.
type Ended = (Queue, Overdue, bool);

/// Sends the commands of passed deadlines, every `period`, until `stop`. Any number of nodes may do so: they give a deadline's command the
/// same id. Those whose partition has no owner hold up no others.
pub async fn keep_deadlines(deadline: Deadline, aggregates: Aggregates, period: Duration, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = keep(&deadline, &aggregates, period) => {}
    }
}

async fn keep(deadline: &Deadline, aggregates: &Aggregates, period: Duration) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut schedule, mut under_way) = (Schedule::default(), FuturesUnordered::new());
    loop {
        let wakes = schedule.wakes();
        tokio::select! {
            _ = ticks.tick() => look(deadline, aggregates, &mut schedule).await,
            Some(ended) = under_way.next() => take(deadline.name, &mut schedule, ended),
            () = until(wakes) => {}
        }
        for (queue, overdue) in schedule.begin(Instant::now()) {
            under_way.push(send(deadline.name, aggregates, queue, overdue));
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Reads the deadlines that have passed, all of them: those that are known stand in front, so each page is longer than the one before.
async fn look(deadline: &Deadline, aggregates: &Aggregates, schedule: &mut Schedule) {
    let now = meta::now();
    loop {
        let limit = u32::try_from(schedule.len() * 2).unwrap_or(u32::MAX).max(PAGE);
        let due = match deadline.due.due(now, limit).await {
            Ok(due) => due,
            Err(error) => return tracing::warn!(deadline = deadline.name, error, "the deadlines cannot be read"),
        };
        let is_all = due.len() < limit as usize;
        let still: Option<HashSet<Moment>> =
            is_all.then(|| due.iter().map(|overdue| (overdue.command.aggregate_id, overdue.due)).collect());
        let instant = Instant::now();
        let new = due.into_iter().filter(|overdue| schedule.add(queue_of(aggregates, overdue), overdue.clone(), instant)).count();
        if let Some(still) = still {
            return schedule.retain(|moment| still.contains(moment));
        }
        if new == 0 {
            return;
        }
    }
}

fn queue_of(aggregates: &Aggregates, Overdue { command, .. }: &Overdue) -> Queue {
    let id = command.aggregate_id;
    aggregates.partition_of(&command.service, id).map_or(Queue::Aggregate(id), Queue::Partition)
}

async fn send(name: &'static str, aggregates: &Aggregates, queue: Queue, overdue: Overdue) -> Ended {
    let target = overdue.command.aggregate_id;
    let sent = aggregates.execute(overdue.command.clone(), meta::of_deadline(name, target, overdue.due, meta::now())).await;
    match sent {
        Ok(_) => {}
        Err(CommandError::Unavailable(not_now)) => {
            tracing::debug!(%target, name, reason = not_now.reason, "what is due could not be asked for yet");
            return (queue, overdue, false);
        }
        Err(error) => tracing::warn!(%target, name, %error, "what is due could not be asked for yet"),
    }
    (queue, overdue, true)
}

/// Notes how a command ended. That a partition is away is said once, until it is back.
fn take(name: &str, schedule: &mut Schedule, (queue, overdue, answered): Ended) {
    let target = overdue.command.aggregate_id;
    if schedule.ended(queue, overdue, answered, Instant::now()) {
        tracing::warn!(%target, name, ?queue, "what is due cannot be asked for: it is tried again, less and less often");
    }
}
