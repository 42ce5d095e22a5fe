//! Deadlines: moments in a view's rows. When one passes, its command is sent like any other.

use crate::meta;
use event_sourcing::{AnyCommand, Timestamp};
use event_store::Aggregates;
use futures::{StreamExt, stream};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How many overdue deadlines are read at once.
const PAGE: u32 = 200;
/// How many commands are under way at once: one whose owner is gone does not hold up the others.
const CONCURRENCY: usize = 32;

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

/// Sends the commands of passed deadlines, every `period`, until `stop`. Any number of nodes may do so: they give a deadline's command the
/// same id.
pub async fn keep_deadlines(deadline: Deadline, aggregates: Aggregates, period: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = ask_for_all(&deadline, &aggregates) => {}
        }
    }
}

/// Sends the command of each passed deadline once, page by page. A deadline whose command failed stays due and stands in front of the next
/// page, so each page is longer by the number tried so far: failing deadlines hold back no others.
async fn ask_for_all(deadline: &Deadline, aggregates: &Aggregates) {
    let now = meta::now();
    let mut tried = HashSet::new();
    loop {
        let limit = PAGE.saturating_add(u32::try_from(tried.len()).unwrap_or(u32::MAX));
        let mut due = match deadline.due.due(now, limit).await {
            Ok(due) => due,
            Err(error) => return tracing::warn!(deadline = deadline.name, error, "the deadlines cannot be read"),
        };
        due.retain(|overdue| tried.insert((overdue.command.aggregate_id, overdue.due)));
        if due.is_empty() {
            return;
        }
        stream::iter(due).for_each_concurrent(CONCURRENCY, |overdue| ask_for(deadline.name, aggregates, overdue, now)).await;
    }
}

async fn ask_for(name: &'static str, aggregates: &Aggregates, Overdue { due, command }: Overdue, now: Timestamp) {
    let target = command.aggregate_id;
    if let Err(error) = aggregates.execute(command, meta::of_deadline(name, target, due, now)).await {
        tracing::warn!(%target, name, %error, "what is due could not be asked for yet");
    }
}
