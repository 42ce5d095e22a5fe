//! A shop that takes commands on a port of its own.

use crate::{
    support::{
        hosts::{PARTITIONS, owned},
        served::Served,
    },
    unique::meta,
};
use command_api::edge::EdgeConfig;
use domain::{
    ReservationId,
    order::Order,
    payment::Payment,
    product::Product,
    reservation::{Reservation, ReservationCommand},
    user::User,
};
use event_sourcing::Aggregate;
use event_store::{Aggregates, Execute, MemoryLog};
use shop::Settings;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// A served API with all services behind it.
pub struct Shop {
    pub served: Served,
    pub payments: Arc<dyn Execute<Payment>>,
    pub users: Arc<dyn Execute<User>>,
    pub reservations: Arc<dyn Execute<Reservation>>,
    pub aggregates: Aggregates,
}

impl Shop {
    pub async fn open() -> Self {
        Self::opened(Self::closed().await).await
    }

    /// One that asks for reservations through what is given, which the commands of its tests do not.
    pub async fn reserving(through: impl FnOnce(Arc<dyn Execute<Reservation>>) -> Arc<dyn Execute<Reservation>>) -> Self {
        Self::opened(Self::with(through).await).await
    }

    async fn opened(shop: Self) -> Self {
        let opened = shop.reservations.execute(ReservationId::gate().0, ReservationCommand::Open, meta()).await;
        opened.expect("the gate opens");
        shop
    }

    /// One in which what was in use before there were reservations is not reserved yet.
    pub async fn closed() -> Self {
        Self::with(|reservations| reservations).await
    }

    async fn with(through: impl FnOnce(Arc<dyn Execute<Reservation>>) -> Arc<dyn Execute<Reservation>>) -> Self {
        let (payments, users, reservations) = (taking::<Payment>().await, taking::<User>().await, taking::<Reservation>().await);
        let aggregates = Aggregates::default()
            .with(users.clone())
            .with(through(reservations.clone()))
            .with(taking::<Product>().await)
            .with(taking::<Order>().await)
            .with(payments.clone());
        let system = shop::system(&Settings::default());
        let routes =
            system.services().iter().fold(OpenApiRouter::new(), |routes, service| routes.merge(service.command_routes(&aggregates)));
        let served = Served::start(routes, schemas::bundled(), EdgeConfig::default()).await;
        Self { served, payments, users, reservations, aggregates }
    }
}

/// A router to aggregates whose log is empty yet.
async fn taking<A: Aggregate>() -> Arc<dyn Execute<A>> {
    owned(&MemoryLog::new(PARTITIONS), &schemas::bundled()).await
}
