//! The real routes; instead of owners a list takes the commands.

use axum::{Router, body::Body, http::Request, response::Response};
use domain::{
    order::{Order, OrderCommand},
    payment::{Payment, PaymentCommand},
    product::{Product, ProductCommand},
    reservation::{Reservation, ReservationCommand},
    user::{User, UserCommand},
};
use event_sourcing::{Aggregate, Command};
use event_store::{Accepted, Aggregates, CommandError, CommandMeta, Execute, Position};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use shop::Settings;
use std::{fmt::Debug, sync::Arc};
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

/// A command, and to whom.
#[derive(Debug)]
pub enum Sent {
    User(Uuid, UserCommand),
    Product(Uuid, ProductCommand),
    Order(Uuid, OrderCommand),
    Payment(Uuid, PaymentCommand),
}

impl Sent {
    /// A command goes to another node as JSON, and must be the same command there.
    pub fn survives_its_way(&self) {
        match self {
            Self::User(_, command) => survives(command),
            Self::Product(_, command) => survives(command),
            Self::Order(_, command) => survives(command),
            Self::Payment(_, command) => survives(command),
        }
    }

    /// Whether it is the same command to the same aggregate, but for the clock.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::User(id, one), Self::User(other, two)) => id == other && one.intent() == two.intent(),
            (Self::Product(id, one), Self::Product(other, two)) => id == other && one.intent() == two.intent(),
            (Self::Order(id, one), Self::Order(other, two)) => id == other && one.intent() == two.intent(),
            (Self::Payment(id, one), Self::Payment(other, two)) => id == other && one.intent() == two.intent(),
            (Self::User(..) | Self::Product(..) | Self::Order(..) | Self::Payment(..), _) => false,
        }
    }
}

fn survives<C: Serialize + DeserializeOwned + PartialEq + Debug>(command: &C) {
    let json = serde_json::to_vec(command).expect("a command has a JSON form");
    assert_eq!(&serde_json::from_slice::<C>(&json).expect("its JSON form can be read"), command);
}

/// Records every command and does nothing else.
#[derive(Clone, Default)]
struct Taker(Arc<Mutex<Vec<Sent>>>);

macro_rules! takes {
    ($($aggregate:ident)*) => {
        $(#[async_trait::async_trait]
        impl Execute<$aggregate> for Taker {
            async fn execute(&self, id: Uuid, command: <$aggregate as Aggregate>::Command, _: CommandMeta) -> Result<Accepted, CommandError> {
                self.0.lock().push(Sent::$aggregate(id, command));
                Ok(accepted())
            }

            async fn read(&self, _: Uuid) -> Result<Accepted, CommandError> {
                Ok(accepted())
            }
        })*
    };
}

takes! { User Product Order Payment }

/// Everything is free, and reserved by whoever asks; what is told here is a command to the one that asks.
#[async_trait::async_trait]
impl Execute<Reservation> for Taker {
    async fn execute(&self, _: Uuid, _: ReservationCommand, _: CommandMeta) -> Result<Accepted, CommandError> {
        Ok(accepted())
    }

    async fn read(&self, _: Uuid) -> Result<Accepted, CommandError> {
        Ok(accepted())
    }
}

fn accepted() -> Accepted {
    let position = Position { service: "any".into(), partition: 0, offset: 1 };
    Accepted { version: 1, position, events: 1, repeated: false }
}

/// The API over a taker.
pub struct Shop {
    routes: Router,
    taker: Taker,
}

thread_local! {
    /// Made once: the description of the routes is much larger than a request.
    static SHOP: Shop = Shop::open();
}

impl Shop {
    fn open() -> Self {
        let taker = Taker::default();
        let all = Arc::new(taker.clone());
        let aggregates = Aggregates::default().with::<User>(all.clone()).with::<Product>(all.clone()).with::<Order>(all.clone());
        let aggregates = aggregates.with::<Payment>(all.clone()).with::<Reservation>(all);
        let system = shop::system(&Settings::default());
        let routes =
            system.services().iter().fold(OpenApiRouter::new(), |routes, service| routes.merge(service.command_routes(&aggregates)));
        Self { routes: routes.split_for_parts().0, taker }
    }

    /// This thread's shop.
    pub fn with<T>(visit: impl FnOnce(&Self) -> T) -> T {
        SHOP.with(visit)
    }

    /// Asks as a client does.
    pub async fn ask(&self, request: Request<Body>) -> Response {
        match self.routes.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// The commands since this was asked last.
    pub fn taken(&self) -> Vec<Sent> {
        std::mem::take(&mut *self.taker.0.lock())
    }
}
