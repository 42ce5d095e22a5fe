//! Products: the catalogue and its stock.

mod commands;
mod queries;
pub mod reactors;
pub mod views;

use domain::product::Product;
use system::Service;
use utoipa_axum::router::OpenApiRouter;

pub(crate) fn service() -> Service {
    let commands = |aggregates: &event_store::Aggregates| aggregates.typed::<Product>().map_or_else(OpenApiRouter::new, commands::commands);
    Service::of::<Product>().view::<views::Products>().reactors(reactors::reactors()).commands(commands).queries(queries::queries)
}
