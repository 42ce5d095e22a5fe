//! Users: their accounts and addresses.

mod commands;
mod queries;
pub mod reactors;
pub mod views;

use crate::reservations::{Addresses, Unique};
use domain::user::User;
use system::Service;
use utoipa_axum::router::OpenApiRouter;

pub(crate) fn service() -> Service {
    let commands = |aggregates: &event_store::Aggregates| Unique::of(aggregates).map_or_else(OpenApiRouter::new, commands::commands);
    Service::of::<User>()
        .checked::<Addresses>()
        .view::<views::Users>()
        .reactors(reactors::reactors())
        .commands(commands)
        .queries(queries::queries)
}
