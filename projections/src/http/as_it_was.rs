//! A row as it was, folded from the events of its aggregate.

use crate::{Problem, shown::rfc3339, view::Fold};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use event_sourcing::{AnyEvent, Recorded};
use serde_json::json;
use uuid::Uuid;

/// The row that a view makes of these events of one aggregate, with the position of the last of them. `what` names the kind of aggregate.
///
/// # Errors
/// 404 where they make no row.
pub fn as_it_was(what: &str, id: Uuid, view: &dyn Fold, events: &[Recorded<AnyEvent>]) -> Result<Response, Problem> {
    let (Some(mut row), Some(last)) = (view.as_of(events), events.last()) else {
        return Err(Problem::not_found(&format!("{what} (as of then)"), id));
    };
    row["as_of"] = json!({ "position": last.position.to_string(), "time": rfc3339(last.time) });
    Ok(([("daybook-position", last.position.to_string())], Json(row)).into_response())
}
