//! Orders: their commands, their views, and the timeline of each.

mod commands;
mod queries;
pub mod reactors;
pub mod views;

use crate::Settings;
use consumers::Overdue;
use domain::order::{Order, OrderCommand};
use event_sourcing::{AnyCommand, Timestamp};
use system::Service;
use utoipa_axum::router::OpenApiRouter;
use views::deadlines::{Deadline, Deadlines};

pub(crate) fn service(settings: &Settings) -> Service {
    let deadline = settings.order_deadline();
    let commands = move |aggregates: &event_store::Aggregates| match aggregates.typed::<Order>() {
        Some(orders) => commands::commands(orders, deadline),
        None => OpenApiRouter::new(),
    };
    Service::of::<Order>()
        .view::<views::orders::Orders>()
        .view::<views::timeline::Timeline>()
        .view::<Deadlines>()
        .reactors(reactors::reactors())
        .deadline::<Deadlines>("expire", &["due_at", "order_id"], expire)
        .commands(commands)
        .queries(queries::queries)
}

fn expire(row: &Deadline, now: Timestamp) -> Overdue {
    Overdue { due: row.due_at, command: AnyCommand::to::<Order>(row.order_id.0, &OrderCommand::Expire { now }) }
}
