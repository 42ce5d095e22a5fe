//! What `daybook verify` asks of all events together: no two open accounts with one address, no two listed products with one stock-keeping
//! unit. A log that was begun before there were reservations may hold such doubles.

use domain::{ReservationId, product::ProductEvent, user::UserEvent};
use event_sourcing::{AnyEvent, Recorded};
use std::collections::{BTreeMap, HashMap};
use system::Check;
use uuid::Uuid;

/// Who uses what, at the end of the log.
#[derive(Default)]
struct Uses(HashMap<Uuid, ReservationId>);

impl Uses {
    fn shared(&self, by: &str, what: &str) -> Vec<String> {
        let mut users: BTreeMap<ReservationId, Vec<Uuid>> = BTreeMap::new();
        self.0.iter().for_each(|(holder, reservation)| users.entry(*reservation).or_default().push(*holder));
        let say = |holders: &mut Vec<Uuid>| {
            holders.sort();
            let names: Vec<String> = holders.iter().map(Uuid::to_string).collect();
            format!("{} {by} share one {what}: {}", holders.len(), names.join(", "))
        };
        users.values_mut().filter(|holders| holders.len() > 1).map(say).collect()
    }
}

/// The addresses of open accounts. An address is personal data: the findings name the accounts only.
#[derive(Default)]
pub(crate) struct Addresses(Uses);

impl Check for Addresses {
    fn take(&mut self, event: &Recorded<AnyEvent>) {
        let (uses, user) = (&mut self.0.0, event.aggregate_id);
        match event.event.downcast::<UserEvent>() {
            Some(UserEvent::Registered(registered)) => {
                uses.insert(user, ReservationId::of_email(&registered.email));
            }
            Some(UserEvent::ProfileChanged(changed)) => {
                uses.extend(changed.email.as_ref().map(|email| (user, ReservationId::of_email(email))))
            }
            Some(UserEvent::Closed(_)) => {
                uses.remove(&user);
            }
            Some(UserEvent::Vouched(_) | UserEvent::Refused(_) | UserEvent::EmailForgone(_)) | None => {}
        }
    }

    fn findings(&self) -> Vec<String> {
        self.0.shared("accounts", "address")
    }
}

/// The stock-keeping units of listed products.
#[derive(Default)]
pub(crate) struct Units(Uses);

impl Check for Units {
    fn take(&mut self, event: &Recorded<AnyEvent>) {
        let uses = &mut self.0.0;
        match event.event.downcast::<ProductEvent>() {
            Some(ProductEvent::Listed(listed)) => {
                uses.insert(event.aggregate_id, ReservationId::of_sku(&listed.sku));
            }
            Some(ProductEvent::Withdrawn(_)) => {
                uses.remove(&event.aggregate_id);
            }
            Some(
                ProductEvent::PriceChanged(_)
                | ProductEvent::StockReceived(_)
                | ProductEvent::StockReserved(_)
                | ProductEvent::ReservationRejected(_)
                | ProductEvent::StockReleased(_)
                | ProductEvent::StockShipped(_)
                | ProductEvent::SkuForgone(_),
            )
            | None => {}
        }
    }

    fn findings(&self) -> Vec<String> {
        self.0.shared("products", "stock-keeping unit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{recorded, text};
    use domain::user::{UserClosed, UserProfileChanged, UserRegistered};
    use event_sourcing::Context;

    fn seen(events: &[(u128, UserEvent)]) -> Vec<String> {
        let mut check = Addresses::default();
        for (user, event) in events {
            let record = recorded("users", 1, AnyEvent::new(event.clone()));
            let context = Context { aggregate_id: Uuid::from_u128(*user), ..(*record.context).clone() };
            check.take(&Recorded::new(context, record.event));
        }
        check.findings()
    }

    fn registered(email: &str) -> UserEvent {
        UserEvent::Registered(UserRegistered { email: text(email), name: text("Ada"), address: None, reserved: None })
    }

    #[test]
    fn accounts_that_share_an_address_are_told_without_it() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let found = seen(&[(2, registered("ada@example.com")), (1, registered("Ada@Example.com")), (3, registered("eve@example.com"))]);
        assert_eq!(found, [format!("2 accounts share one address: {one}, {other}")]);
    }

    #[test]
    fn what_was_left_is_free() {
        let moved = UserProfileChanged { email: Some(text("b@example.com")), name: None, address: None, reserved: None, left: None };
        let (moved, closed) = (UserEvent::ProfileChanged(moved), UserEvent::Closed(UserClosed { reason: None, left: None }));
        for left in [moved, closed] {
            assert_eq!(seen(&[(1, registered("a@example.com")), (1, left), (2, registered("a@example.com"))]), [""; 0]);
        }
    }
}
