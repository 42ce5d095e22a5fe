//! Strong reads: the owner of the aggregate says, behind its read barrier, how far the log reached; the view is read once it has
//! applied that. So the answer shows everything that was acknowledged before the question, whoever acknowledged it.

use super::{ReadState, asked::Asked};
use crate::Problem;
use event_store::{CommandError, Position};
use uuid::Uuid;

/// Asks the owners of aggregates.
#[async_trait::async_trait]
pub trait Owners: Send + Sync + 'static {
    /// A position of the service's log that everything acknowledged for this aggregate before the question stands at or below.
    async fn settled(&self, service: &str, aggregate: Uuid) -> Result<Position, CommandError>;
}

/// Waits until the view shows what a strong read must show; at once where none is asked for.
pub(super) async fn settle(read: &ReadState, asked: &mut Asked, aggregate: Uuid) -> Result<(), Problem> {
    if !asked.strong() {
        return Ok(());
    }
    let owners = read.owners.as_ref().ok_or_else(|| Problem::unavailable("strong reads are not served by this process"))?;
    let position = owners.settled(&read.service, aggregate).await.map_err(|error| Problem::unavailable(error.to_string()))?;
    if read.database.wait_until_applied(&read.service, &position, read.wait).await? {
        return Ok(());
    }
    Err(Problem::behind(format!("the views of {} have not applied {position} within {} ms", read.service, read.wait.as_millis())))
}
