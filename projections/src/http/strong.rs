//! Strong reads: the owner of the aggregate says, behind its read barrier, how far the log reached; the view is read once it has
//! applied that. So the answer shows everything that was acknowledged before the question, whoever acknowledged it.

use super::{Asked, ReadState};
use crate::Problem;
use uuid::Uuid;

/// Waits until the views show what a strong read (`consistency=strong`) must show; at once where none is asked for.
///
/// # Errors
/// 503 where the owner cannot be asked, or the views do not come so far in time.
pub async fn settle(read: &ReadState, asked: &mut Asked, aggregate: Uuid) -> Result<(), Problem> {
    if !asked.strong() {
        return Ok(());
    }
    let aggregates = read.aggregates().ok_or_else(|| Problem::unavailable("strong reads are not served by this process"))?;
    let settled = aggregates.read(read.service(), aggregate).await.map_err(|error| Problem::unavailable(error.to_string()))?;
    let position = settled.position;
    if read.database().wait_until_applied(read.views(), &position, read.wait()).await? {
        return Ok(());
    }
    let (service, waited) = (read.service(), read.wait().as_millis());
    Err(Problem::behind(format!("the views of {service} have not applied {position} within {waited} ms")))
}
