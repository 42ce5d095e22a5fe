//! Read your own writes: waiting until the views have applied a position.

use crate::{Database, DatabaseError, Views};
use event_sourcing::Position;
use event_store::PartitionId;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How often a waiter reads the checkpoints if nothing wakes it: a projector in another process cannot.
const POLL: Duration = Duration::from_millis(20);

impl Database {
    /// Waits until all of these views that read the position's log have applied it; false when `within` was too short.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the checkpoints cannot be read.
    pub async fn wait_until_applied(&self, views: &Views, position: &Position, within: Duration) -> Result<bool, DatabaseError> {
        self.wait_for(&views.names_reading(&position.service), position, within).await
    }

    /// Waits until all these readers have passed the position; false when `within` was too short.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the checkpoints cannot be read.
    pub async fn wait_for(&self, readers: &[&str], position: &Position, within: Duration) -> Result<bool, DatabaseError> {
        let deadline = Instant::now() + within;
        let source = PartitionId { service: position.service.clone(), partition: position.partition };
        let mut moves = self.moves();
        loop {
            let standing = self.checkpoints(&source).await?;
            if readers.iter().all(|reader| standing.get(*reader).is_some_and(|at| at.next > position.offset)) {
                return Ok(true);
            }
            let moved = async {
                tokio::select! {
                    // `changed` cannot fail here: `self` holds the sender.
                    _ = moves.changed() => {}
                    () = sleep(POLL) => {}
                }
            };
            if timeout_at(deadline, moved).await.is_err() {
                return Ok(false);
            }
        }
    }
}
