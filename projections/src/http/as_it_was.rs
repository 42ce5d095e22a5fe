//! A row as it was, folded from the events of its aggregate.

use crate::{AsOf, Problem, shown::rfc3339, view::Fold, view::Folding};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use event_sourcing::{AnyEvent, Position, Recorded, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

/// Folds the events of one aggregate, in the log's order, into the row that a view made of them at a moment or a position. It keeps the row
/// alone, so that it does not matter how many events there are.
pub struct AsItWas {
    at: Option<AsOf>,
    folding: Box<dyn Folding>,
    last: Option<(Position, Timestamp)>,
}

impl AsItWas {
    /// Before the first event; without a moment or a position all events count.
    pub fn new(view: &dyn Fold, at: Option<AsOf>) -> Self {
        Self { at, folding: view.folding(), last: None }
    }

    /// Folds the next event; false where it is too late, and with it all events behind it.
    ///
    /// # Errors
    /// 400 where the position that was asked for is in another partition than the aggregate: it says nothing about it.
    pub fn fold(&mut self, event: &Recorded<AnyEvent>) -> Result<bool, Problem> {
        if let Some(AsOf::Position(asked)) = &self.at
            && asked.partition != event.position.partition
        {
            let Position { service, partition, .. } = &event.position;
            return Err(Problem::field(
                "at",
                format!("must be a position in the aggregate's own partition, {service}/{partition}, is {asked}"),
            ));
        }
        let counts = self.at.as_ref().is_none_or(|at| at.includes(event));
        if counts {
            self.folding.fold(event);
            self.last = Some((event.position.clone(), event.time));
        }
        Ok(counts)
    }

    /// The row so far; none where the events make none.
    pub fn row(&self) -> Option<Value> {
        self.folding.shown()
    }

    /// The row with the position of the last event. `what` names the kind of aggregate.
    ///
    /// # Errors
    /// 404 where the events make no row.
    pub fn answer(self, what: &str, id: Uuid) -> Result<Response, Problem> {
        let (Some(mut row), Some((position, time))) = (self.row(), self.last) else {
            return Err(Problem::not_found(&format!("{what} (as of then)"), id));
        };
        row["as_of"] = json!({ "position": position.to_string(), "time": rfc3339(time) });
        Ok(([("daybook-position", position.to_string())], Json(row)).into_response())
    }
}
