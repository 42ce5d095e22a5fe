//! The reactors of reservations: what an account or a product has left is free again, and what was in use before there were reservations
//! gets one.

use super::effects::{InUse, RESERVE_IN_USE};
use consumers::{Effect, Reaction, Reactor};
use domain::{
    HolderId, ReservationId,
    product::ProductEvent,
    reservation::{Kind, Reservation, ReservationCommand, Reserved},
    user::UserEvent,
};
use event_sourcing::Recorded;
use uuid::Uuid;

/// The reactors.
pub fn reactors() -> Vec<Reactor> {
    vec![Reactor::of::<UserEvent>(on_user), Reactor::of::<ProductEvent>(on_product)]
}

fn on_user(event: &Recorded<UserEvent>) -> Vec<Reaction> {
    let user = event.aggregate_id;
    let uses = |email| InUse::effect(Kind::Email, user, ReservationId::of_email(email));
    match &event.event {
        UserEvent::Registered(registered) if registered.reserved.is_none() => vec![reserve(uses(&registered.email))],
        UserEvent::Registered(_) | UserEvent::Vouched(_) | UserEvent::Refused(_) => Vec::new(),
        UserEvent::ProfileChanged(changed) => {
            let new = changed.email.as_ref().filter(|_| changed.reserved.is_none());
            changed.left.map(|left| end(user, left)).into_iter().chain(new.map(|email| reserve(uses(email)))).collect()
        }
        UserEvent::Closed(closed) => closed.left.map(|left| end(user, left)).into_iter().collect(),
        UserEvent::EmailForgone(forgone) => vec![end(user, forgone.reserved)],
    }
}

fn on_product(event: &Recorded<ProductEvent>) -> Vec<Reaction> {
    let product = event.aggregate_id;
    match &event.event {
        ProductEvent::Listed(listed) if listed.reserved.is_none() => {
            vec![reserve(InUse::effect(Kind::Sku, product, ReservationId::of_sku(&listed.sku)))]
        }
        ProductEvent::Withdrawn(withdrawn) => withdrawn.left.map(|left| end(product, left)).into_iter().collect(),
        ProductEvent::SkuForgone(forgone) => vec![end(product, forgone.reserved)],
        ProductEvent::Listed(_)
        | ProductEvent::PriceChanged(_)
        | ProductEvent::StockReceived(_)
        | ProductEvent::StockReserved(_)
        | ProductEvent::ReservationRejected(_)
        | ProductEvent::StockReleased(_)
        | ProductEvent::StockShipped(_) => Vec::new(),
    }
}

/// It names the number: a late one never ends another's reservation.
fn end(holder: Uuid, left: Reserved) -> Reaction {
    let command = ReservationCommand::End { holder: HolderId(holder), number: left.number };
    Reaction::command::<Reservation>("end-reservation", left.reservation_id.0, &command)
}

fn reserve(effect: Effect) -> Reaction {
    Reaction::effect(RESERVE_IN_USE, effect)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ID, recorded, text};
    use consumers::Task;
    use domain::user::{UserClosed, UserEmailForgone, UserProfileChanged, UserRegistered};

    fn reserved(number: i64) -> Reserved {
        Reserved { reservation_id: ReservationId::of_email(&text("ada@example.com")), number }
    }

    fn tasks(event: UserEvent) -> Vec<Task> {
        on_user(&recorded("users", 1, event)).into_iter().map(|reaction| reaction.task).collect()
    }

    fn ends(number: i64) -> Vec<Task> {
        vec![end(ID, reserved(number)).task]
    }

    fn registered(reserved: Option<Reserved>) -> UserEvent {
        UserEvent::Registered(UserRegistered { email: text("ada@example.com"), name: text("Ada"), address: None, reserved })
    }

    fn changed(email: Option<&str>, reserved: Option<Reserved>, left: Option<Reserved>) -> UserEvent {
        UserEvent::ProfileChanged(UserProfileChanged { email: email.map(text), name: None, address: None, reserved, left })
    }

    #[test]
    fn what_is_left_is_ended_under_its_number() {
        let closed = |left| UserEvent::Closed(UserClosed { reason: None, left });
        assert_eq!(tasks(closed(Some(reserved(3)))), ends(3));
        assert_eq!(tasks(closed(None)), []);
        assert_eq!(tasks(changed(Some("b@example.com"), Some(reserved(1)), Some(reserved(3)))), ends(3));
        assert_eq!(tasks(UserEvent::EmailForgone(UserEmailForgone { reserved: reserved(5) })), ends(5));
    }

    #[test]
    fn what_was_in_use_without_a_reservation_gets_one() {
        let is_effect = |task: &Task| matches!(task, Task::Effect(effect) if effect.kind == RESERVE_IN_USE);
        assert_eq!(tasks(registered(Some(reserved(1)))), []);
        assert_eq!(tasks(changed(None, None, None)), []);
        assert!(tasks(registered(None)).iter().any(is_effect));
        assert!(tasks(changed(Some("b@example.com"), None, None)).iter().any(is_effect));
    }
}
