//! The query API: thin, since the rows are the answers. Each service serves its own part.

mod asked;
mod at_least;
mod audit;
mod dead_letters;
mod notifications;
mod orders;
mod page;
mod payments;
mod products;
mod shown;
mod strong;
mod users;

pub use dead_letters::{LetterBox, letter_routes};
pub(crate) use shown::{MoneyShape, shown};
pub use strong::Owners;

use crate::Database;
use std::{ops::Deref, sync::Arc, time::Duration};
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the handlers of a service's part need. Cheap to clone, which axum does several times for each request.
#[derive(Clone)]
pub struct ReadState(Arc<Read>);

/// What a [`ReadState`] holds.
#[derive(Clone)]
pub struct Read {
    service: Arc<str>,
    database: Database,
    wait: Duration,
    owners: Option<Arc<dyn Owners>>,
}

impl Deref for ReadState {
    type Target = Read;

    fn deref(&self) -> &Read {
        &self.0
    }
}

impl ReadState {
    /// How long `Daybook-At-Least` waits unless it is told otherwise.
    pub const WAIT: Duration = Duration::from_secs(5);

    /// Reads from a service's database.
    pub fn new(service: &str, database: Database) -> Self {
        Self(Arc::new(Read { service: service.into(), database, wait: Self::WAIT, owners: None }))
    }

    /// Serves strong reads by asking these.
    pub fn with_owners(self, owners: Arc<dyn Owners>) -> Self {
        Self(Arc::new(Read { owners: Some(owners), ..Arc::unwrap_or_clone(self.0) }))
    }

    /// Waits at most so long for `Daybook-At-Least`.
    pub fn with_wait(self, wait: Duration) -> Self {
        Self(Arc::new(Read { wait, ..Arc::unwrap_or_clone(self.0) }))
    }
}

/// The routes that a service serves from its database; none for a service that is not in [`crate::DATABASES`].
pub fn routes(state: ReadState) -> OpenApiRouter {
    let open = OpenApiRouter::new();
    let router = match &*state.service {
        "users" => open.routes(routes!(users::user)),
        "products" => open.routes(routes!(products::product)).routes(routes!(products::products)),
        "orders" => open
            .routes(routes!(orders::order))
            .routes(routes!(orders::orders))
            .routes(routes!(orders::orders_of_user))
            .routes(routes!(orders::timeline)),
        "payments" => open.routes(routes!(payments::payment)).routes(routes!(payments::payments)),
        "notifications" => open.routes(routes!(notifications::notification)).routes(routes!(notifications::notifications)),
        "audit" => open.routes(routes!(audit::audit_of)).routes(routes!(audit::state_of)).routes(routes!(audit::audit)),
        _ => open,
    };
    router.with_state(state)
}
