//! Reservations: which account has an e-mail address, and which product a stock-keeping unit (ADR 16).

mod doubles;
pub mod effects;
pub mod reactors;
mod unique;

pub(crate) use doubles::{Addresses, Units};
pub(crate) use unique::{Unique, Wanted};

use consumers::{Destination, EffectKind, Patience};
use domain::{
    ReservationId,
    reservation::{Reservation, ReservationCommand},
};
use event_sourcing::AnyCommand;
use std::sync::Arc;
use system::{Failure, Service, Surroundings};

pub(crate) fn service() -> Service {
    let open = AnyCommand::to::<Reservation>(ReservationId::gate().0, &ReservationCommand::Open);
    Service::of::<Reservation>().reactors(reactors::reactors()).effects(kinds).once_caught_up(open)
}

/// The one kind of effect. It goes to the system's own aggregates, which the limits of a destination suit as well.
fn kinds(surroundings: &Surroundings<'_>) -> Result<Vec<(&'static str, EffectKind)>, Failure> {
    // An aggregate that cannot be asked now can be later; until all is reserved nothing else is.
    let patience = Patience { attempts: u32::MAX, ..surroundings.patience };
    let performer = Arc::new(effects::InUse::of(surroundings.aggregates));
    let destination = Arc::new(Destination::new("the reservations", surroundings.destination));
    Ok(vec![(effects::RESERVE_IN_USE, EffectKind { performer, destination, patience })])
}
