//! Tells an aggregate that a service's reactors have handled all that stood in the logs when this process started.

use crate::meta;
use consumers::READER;
use event_sourcing::AnyCommand;
use event_store::{Aggregates, Log, PartitionId};
use projections::Database;
use std::{fmt::Display, future::Future, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether they have.
const EVERY: Duration = Duration::from_millis(100);
/// After how many looks in vain a line is logged, and again each time.
const LOOKS_PER_LINE: u32 = 300;

/// The reactors of a service, and what to send once they have caught up.
pub(crate) struct CatchingUp {
    pub service: &'static str,
    pub sources: Vec<(PartitionId, Arc<dyn Log>)>,
    pub database: Database,
    pub aggregates: Aggregates,
    pub command: AnyCommand,
}

impl CatchingUp {
    /// Waits until they have, and sends the command. Any number of nodes may do so: the command must make no event the second time.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.tell() => {}
        }
    }

    async fn tell(&self) {
        let mut ends = Vec::new();
        for (source, log) in &self.sources {
            ends.push((source, self.until(|| log.end(source.partition)).await));
        }
        for (source, end) in ends {
            self.wait_for(source, end).await;
        }
        let send = || self.aggregates.execute(self.command.clone(), meta::of_system(self.service, self.command.aggregate_id));
        self.until(send).await;
        tracing::info!(service = self.service, "the reactors have handled all that stood in their logs");
    }

    /// Waits until no reaction to an event before this offset is left to do, among the dead letters neither.
    async fn wait_for(&self, source: &PartitionId, end: i64) {
        for look in 1_u32.. {
            let at = self.until(|| self.database.checkpoint(READER, source)).await.next;
            let left = self.until(|| self.database.errand_pairs(source)).await.len();
            if at >= end && left == 0 {
                return;
            }
            if look % LOOKS_PER_LINE == 0 {
                tracing::warn!(service = self.service, %source, at, end, left, "the reactors have not caught up yet");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Asks until there is an answer.
    async fn until<T, E: Display, F: Future<Output = Result<T, E>>>(&self, ask: impl Fn() -> F) -> T {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(error) => tracing::debug!(service = self.service, %error, "not yet: asked again"),
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}
