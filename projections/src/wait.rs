//! Read your own writes: waiting until the views have applied a position.

use crate::{Database, DatabaseError, views_of};
use event_store::{PartitionId, Position};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How often the checkpoints are read where the projector is another process, which cannot wake us.
const POLL: Duration = Duration::from_millis(20);

impl Database {
    /// Waits until every view of `service` that reads the position's log has applied it; false when `within` was too short.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the checkpoints cannot be read.
    pub async fn wait_until_applied(&self, service: &str, position: &Position, within: Duration) -> Result<bool, DatabaseError> {
        let views = views_of(service);
        let names: Vec<&str> = views.iter().filter(|view| view.sources().contains(&&*position.service)).map(|view| view.name()).collect();
        self.wait_for(&names, position, within).await
    }

    /// Waits until all these readers have passed the position; false when `within` was too short.
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
                    // The database, which sends, lives as long as this call.
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
