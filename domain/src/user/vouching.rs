use super::{Account, User, UserEvent};
use crate::OrderId;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How many orders an account remembers to have answered for, the latest ones.
///
/// A repeat comes from a reactor that reads again from its last checkpoint, so it comes soon; and it carries the same command id, which the
/// writer remembers as well. Remembering every order would make the account of a customer who orders every minute grow for ever.
pub const ANSWERED_ORDERS: usize = 256;

/// The orders that were answered for, the oldest first, which is the first to be forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered(VecDeque<OrderId>);

impl Answered {
    /// True where the order has had its answer, as far back as is remembered.
    pub(super) fn contains(&self, order: OrderId) -> bool {
        self.0.contains(&order)
    }

    /// Remembers that the order has had its answer.
    pub(super) fn add(&mut self, order: OrderId) {
        self.0.push_back(order);
        if self.0.len() > ANSWERED_ORDERS {
            self.0.pop_front();
        }
    }
}

/// The customer of an order has an open account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerVouched {
    pub order_id: OrderId,
}

/// The customer of an order has no open account: the order is to be cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerRefused {
    pub order_id: OrderId,
    /// `unknown-customer` or `closed-account`.
    pub reason: String,
}

impl User {
    /// An answer in each state, not a refusal: the order that waits for it must hear of it.
    pub(super) fn vouch_for(&self, order_id: OrderId) -> Vec<UserEvent> {
        if self.answered.contains(order_id) {
            return vec![];
        }
        let refused = |reason: &str| UserEvent::Refused(CustomerRefused { order_id, reason: reason.to_owned() });
        match &self.account {
            Account::NotRegistered(_) => vec![refused("unknown-customer")],
            Account::Open(_) => vec![UserEvent::Vouched(CustomerVouched { order_id })],
            Account::Closed => vec![refused("closed-account")],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Email, ReservationId,
        reservation::Reserved,
        testing::given,
        user::{UserClosed, UserCommand, UserRegistered},
    };

    fn email() -> Email {
        "ada@example.com".parse().unwrap()
    }

    fn reserved() -> Option<Reserved> {
        Some(Reserved { reservation_id: ReservationId::of_email(&email()), number: 1 })
    }

    fn register() -> UserCommand {
        UserCommand::Register { email: email(), name: "Ada".parse().unwrap(), address: None, reserved: reserved() }
    }

    fn registered() -> UserEvent {
        UserEvent::Registered(UserRegistered { email: email(), name: "Ada".parse().unwrap(), address: None, reserved: reserved() })
    }

    fn closed() -> UserEvent {
        UserEvent::Closed(UserClosed { reason: None, left: reserved() })
    }

    fn order(name: &str) -> OrderId {
        OrderId::derive("test", name)
    }

    fn vouch_for(name: &str) -> UserCommand {
        UserCommand::VouchFor { order_id: order(name) }
    }

    fn vouched(name: &str) -> UserEvent {
        UserEvent::Vouched(CustomerVouched { order_id: order(name) })
    }

    fn refused(name: &str, reason: &str) -> UserEvent {
        UserEvent::Refused(CustomerRefused { order_id: order(name), reason: reason.into() })
    }

    #[test]
    fn an_order_is_its_customers_while_the_account_is_open() {
        given::<User>([registered()]).when(vouch_for("1")).then([vouched("1")]);
        given::<User>([registered(), closed()]).when(vouch_for("1")).then([refused("1", "closed-account")]);
    }

    #[test]
    fn an_identity_that_was_asked_for_before_it_registered_still_registers() {
        let given = given::<User>([]).when(vouch_for("1")).then([refused("1", "unknown-customer")]);
        assert_eq!(given.state().profile(), None);
        given.when(UserCommand::Close { reason: None }).not_found("unknown-user");
        let past = crate::testing::given::<User>([refused("1", "unknown-customer")]).when(register()).then([registered()]);
        past.when(vouch_for("2")).then([vouched("2")]);
    }

    #[test]
    fn the_first_answer_for_an_order_stands() {
        given::<User>([registered(), vouched("1"), closed()]).when(vouch_for("1")).then_nothing();
        given::<User>([refused("1", "unknown-customer"), registered()]).when(vouch_for("1")).then_nothing();
    }

    #[test]
    fn an_account_remembers_its_latest_answers_only() {
        let past = (0..=ANSWERED_ORDERS).map(|n| vouched(&n.to_string()));
        let given = given::<User>([registered()].into_iter().chain(past));
        let given = given.when(vouch_for("1")).then_nothing().when(vouch_for("256")).then_nothing();
        given.when(vouch_for("0")).then([vouched("0")]);
    }
}
