//! A shop that takes commands on a port of its own.

use crate::support::{
    hosts::{PARTITIONS, owned},
    served::Served,
};
use command_api::edge::EdgeConfig;
use domain::{order::Order, payment::Payment, product::Product, user::User};
use event_sourcing::Aggregate;
use event_store::{Aggregates, Execute, MemoryLog};
use shop::Settings;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// A served API with all services behind it.
pub struct Shop {
    pub served: Served,
    pub payments: Arc<dyn Execute<Payment>>,
}

impl Shop {
    pub async fn open() -> Self {
        let payments = taking::<Payment>().await;
        let aggregates = Aggregates::default()
            .with(taking::<User>().await)
            .with(taking::<Product>().await)
            .with(taking::<Order>().await)
            .with(payments.clone());
        let system = shop::system(&Settings::default());
        let routes =
            system.services().iter().fold(OpenApiRouter::new(), |routes, service| routes.merge(service.command_routes(&aggregates)));
        Self { served: Served::start(routes, schemas::bundled(), EdgeConfig::default()).await, payments }
    }
}

/// A router to aggregates whose log is empty yet.
async fn taking<A: Aggregate>() -> Arc<dyn Execute<A>> {
    owned(&MemoryLog::new(PARTITIONS), &schemas::bundled()).await
}
