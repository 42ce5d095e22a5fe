//! Strong reads: the aggregate's owner answers, after its barrier, how far the log reaches; the view is read once it has applied that
//! position. So the answer shows everything that any node acknowledged before the request.

use super::{Asked, ReadState};
use crate::Problem;
use uuid::Uuid;

/// For a strong read (`consistency=strong`), waits until the views have applied the position that the owner answers. Other requests go on
/// at once.
///
/// # Errors
/// 503 if the owner cannot be asked, or the views do not reach the position in time.
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
