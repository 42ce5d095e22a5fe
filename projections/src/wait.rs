//! Read your own writes: waiting until the views have applied a position.

use crate::{Database, DatabaseError, Views};
use event_sourcing::Position;
use std::time::Duration;

impl Database {
    /// Waits until all of these views that read the position's log have applied it; false when `within` was too short.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the checkpoints cannot be read.
    pub async fn wait_until_applied(&self, views: &Views, position: &Position, within: Duration) -> Result<bool, DatabaseError> {
        self.wait_for(&views.names_reading(&position.service), position, within).await
    }
}
