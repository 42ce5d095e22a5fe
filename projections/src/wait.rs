//! Read your own writes: waiting until the views have applied a position.

use crate::{Database, DatabaseError, Views};
use event_sourcing::Position;
use std::time::Duration;

impl Database {
    /// Waits until all of these views that read the position's log have applied it; false when `within` was too short. Nobody waits for a
    /// view that is being built: who reads it hears that.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the checkpoints cannot be read.
    pub async fn wait_until_applied(&self, views: &Views, position: &Position, within: Duration) -> Result<bool, DatabaseError> {
        let mut readers = Vec::new();
        for view in views.names_reading(&position.service) {
            if self.building(view).is_none() {
                readers.push(self.reader_of(view).await?);
            }
        }
        let readers: Vec<&str> = readers.iter().map(String::as_str).collect();
        self.wait_for(&readers, position, within).await
    }

    /// Waits until the version of this view that answers reads has applied the position; false when `within` was too short.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the checkpoints cannot be read.
    pub async fn wait_until_view_applied(&self, view: &str, position: &Position, within: Duration) -> Result<bool, DatabaseError> {
        let reader = self.reader_of(view).await?;
        self.wait_for(&[&reader], position, within).await
    }
}
