//! `Daybook-At-Least`: the answer comes when the views have applied the positions that the caller names, or says that they have not.

use super::ReadState;
use crate::Problem;
use axum::http::HeaderMap;
use event_sourcing::Position;
use tokio::time::Instant;

const HEADER: &str = "Daybook-At-Least";
/// More positions than a client that follows its own writes ever has.
const MOST: usize = 64;

/// Waits until the views have applied all the positions, which share one deadline; true if there was any.
pub(super) async fn reached(read: &ReadState, headers: &HeaderMap) -> Result<bool, Problem> {
    if !headers.contains_key(HEADER) {
        return Ok(false);
    }
    let deadline = Instant::now() + read.wait();
    for position in positions(read, headers)? {
        let left = deadline.saturating_duration_since(Instant::now());
        if !read.database().wait_until_applied(read.views(), &position, left).await? {
            let (service, waited) = (read.service(), read.wait().as_millis());
            return Err(Problem::behind(format!("the views of {service} have not applied {position} within {waited} ms")));
        }
    }
    Ok(true)
}

fn positions(read: &ReadState, headers: &HeaderMap) -> Result<Vec<Position>, Problem> {
    let mut positions = Vec::new();
    for value in headers.get_all(HEADER) {
        let text = value.to_str().map_err(|_| Problem::field(HEADER, "must be printable ASCII"))?;
        for part in text.split(',') {
            positions.push(position(read, part.trim())?);
        }
    }
    if positions.len() > MOST {
        return Err(Problem::field(HEADER, format!("must name at most {MOST} positions")));
    }
    Ok(positions)
}

fn position(read: &ReadState, text: &str) -> Result<Position, Problem> {
    let position: Position = text.parse().map_err(|error| Problem::field(HEADER, format!("is malformed: {error}")))?;
    let sources = read.sources();
    if sources.contains(&&*position.service) {
        return Ok(position);
    }
    Err(Problem::field(HEADER, format!("must name a log that this view reads ({}), not {}", sources.join(", "), position.service)))
}
