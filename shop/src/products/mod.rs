//! Products: the catalogue and its stock.

mod commands;
mod queries;
pub mod reactors;
pub mod views;

use crate::reservations::{Unique, Units};
use domain::product::Product;
use system::Service;
use utoipa_axum::router::OpenApiRouter;

pub(crate) fn service() -> Service {
    let commands = |aggregates: &event_store::Aggregates| Unique::of(aggregates).map_or_else(OpenApiRouter::new, commands::commands);
    Service::of::<Product>()
        .checked::<Units>()
        .view::<views::Products>()
        .reactors(reactors::reactors())
        .commands(commands)
        .queries(queries::queries)
}
