//! Orders that nobody confirmed in time expire. The deadlines are a view; their passing becomes an event like any other.

use crate::{Commands, commands::Command, commands::meta_of_deadline, commands::now};
use domain::{OrderId, Timestamp, order::OrderCommand};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How many orders one look expires at most.
const MOST_AT_ONCE: u32 = 200;

/// Knows which orders are still open and until when they may be.
#[async_trait::async_trait]
pub trait Deadlines: Send + Sync + 'static {
    /// Open orders whose deadline is not after `now`, the earliest first, at most `limit`.
    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<(OrderId, Timestamp)>, String>;
}

/// Looks every `period` which orders are due, and expires them, until `stop`. Any number of nodes may do so: the command's id
/// is the same everywhere.
pub async fn keep_deadlines(deadlines: Arc<dyn Deadlines>, commands: Commands, period: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => expire_due(&*deadlines, &commands).await,
        }
    }
}

async fn expire_due(deadlines: &dyn Deadlines, commands: &Commands) {
    let now = now();
    let due = match deadlines.due(now, MOST_AT_ONCE).await {
        Ok(due) => due,
        Err(error) => return tracing::warn!(error, "the deadlines cannot be read"),
    };
    for (order, until) in due {
        let meta = meta_of_deadline(order, until, now);
        if let Err(error) = commands.execute(Command::Order(order, OrderCommand::Expire { now }), meta).await {
            tracing::warn!(%order, %error, "an order that is due could not be expired yet");
        }
    }
}
