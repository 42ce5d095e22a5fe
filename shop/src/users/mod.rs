//! Users: their accounts and addresses.

mod commands;
mod queries;
pub mod reactors;
pub mod views;

use domain::user::User;
use system::Service;
use utoipa_axum::router::OpenApiRouter;

pub(crate) fn service() -> Service {
    let commands = |aggregates: &event_store::Aggregates| aggregates.typed::<User>().map_or_else(OpenApiRouter::new, commands::commands);
    Service::of::<User>().view::<views::Users>().reactors(reactors::reactors()).commands(commands).queries(queries::queries)
}
