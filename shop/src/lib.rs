//! The shop: the first tenant of the engine, with no more privileges than a second one would have.
//!
//! Each service has a folder with its routes, views, reactors and effects side by side; [`system()`] declares them all in one place. The
//! rules are in `domain`, the contracts in `schemas`.

pub mod import;
mod money;
pub mod notifications;
pub mod orders;
pub mod payments;
pub mod products;
pub mod reservations;
mod settings;
mod shapes;
pub mod simulated_gateway;
#[cfg(test)]
mod testing;
pub mod users;
mod who_may;

pub use money::MoneyBody;
pub use settings::{Gateway, Mail, Settings};

use ::system::System;

/// A first request, for somebody who has just started the shop.
const HINT: &str =
    "curl -s -X POST http://{address}/users -H 'content-type: application/json' -d '{\"email\":\"ada@example.com\",\"name\":\"Ada\"}'";

/// The declaration of the shop.
pub fn system(settings: &Settings) -> System {
    System::new("daybook", &schemas::RECORDS)
        .greeting("Daybook", HINT)
        .access(who_may::policy())
        .service(users::service())
        .service(products::service())
        .service(orders::service(settings))
        .service(payments::service(settings))
        .service(notifications::service(settings))
        .service(reservations::service())
        .audited()
}
