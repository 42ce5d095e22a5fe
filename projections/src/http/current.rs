//! A row as it is now, or the reason why it cannot be told.

use super::{Asked, ReadState};
use crate::{Problem, Table};
use uuid::Uuid;

/// The row of an aggregate. `what` names the kind of aggregate.
///
/// # Errors
/// 404 where there is none, or it is another account's and the caller may see their own only; as [`not_parked`].
pub async fn current<T: Table>(read: &ReadState, asked: &Asked, what: &str, id: Uuid) -> Result<T, Problem> {
    not_parked(read, asked, T::SPEC.name, id).await?;
    let row: Option<T> = read.database().row(&id.to_string()).await?;
    row.filter(|row| asked.may_see(row)).ok_or_else(|| Problem::not_found(what, id))
}

/// Refuses to show an aggregate whose events the view of this table has put aside, where the caller asks for all that was acknowledged
/// (`consistency=strong`) or for what a position holds (`Daybook-At-Least`): the view has passed the position, and shows the aggregate
/// without it. Other readers take what there is.
///
/// # Errors
/// 500 (`view-parked`) with the id of the first dead letter; 503 where the database does not answer, or the view is being built.
pub async fn not_parked(read: &ReadState, asked: &Asked, table: &str, id: Uuid) -> Result<(), Problem> {
    not_building(read, asked, table)?;
    let Some(view) = read.views().iter().find(|view| asked.is_demanding() && view.table().name == table) else { return Ok(()) };
    match read.database().first_letter_of(view.name(), id).await? {
        Some(letter) => Err(Problem::parked(view.name(), id, &letter)),
        None => Ok(()),
    }
}

/// Refuses to show a view that is being built, where the caller asks for all that was acknowledged or for what a position holds: its old
/// rows answer everybody else.
///
/// # Errors
/// 503 (`view-building`) with the reason.
pub(super) fn not_building(read: &ReadState, asked: &Asked, table: &str) -> Result<(), Problem> {
    match read.database().building_table(table).filter(|_| asked.is_demanding()) {
        Some(why) => Err(Problem::building(why)),
        None => Ok(()),
    }
}
