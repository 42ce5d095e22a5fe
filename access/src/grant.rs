//! What the edge lets a request do, for the handlers behind it.

use crate::policy::{Policy, Reach};
use std::sync::Arc;
use uuid::Uuid;

/// What a request may do, and in whose name. The edge puts it into the request's extensions.
#[derive(Clone, Debug)]
pub struct Grant(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// Nobody is asked who they are, and everybody may do everything.
    Open,
    /// Nothing is known of the caller, and they may do nothing.
    Nothing,
    To(Arc<Granted>),
}

#[derive(Debug)]
struct Granted {
    reach: Reach,
    actor: String,
    account: Uuid,
    roles: Vec<String>,
    policy: Arc<Policy>,
}

impl Grant {
    /// Of open mode.
    pub fn open() -> Self {
        Self(Kind::Open)
    }

    /// Of a request before its caller is known.
    pub fn nothing() -> Self {
        Self(Kind::Nothing)
    }

    /// The grant of an action to a caller; none where the table does not let any of their roles do it. `actor` is the name under which they
    /// stand in the log, `account` the id of the account that is theirs.
    pub fn of(policy: &Arc<Policy>, action: &str, roles: Vec<String>, actor: String, account: Uuid) -> Option<Self> {
        let reach = policy.reach(action, roles.iter().map(String::as_str));
        let granted = Granted { reach, actor, account, roles, policy: policy.clone() };
        (reach != Reach::No).then(|| Self(Kind::To(Arc::new(granted))))
    }

    /// How far the caller reaches with the request's action.
    pub fn reach(&self) -> Reach {
        match &self.0 {
            Kind::Open => Reach::Any,
            Kind::Nothing => Reach::No,
            Kind::To(granted) => granted.reach,
        }
    }

    /// How far the caller reaches with another action, which a part of the request needs. None in open mode, where nobody is asked.
    pub fn reach_with(&self, action: &str) -> Option<Reach> {
        match &self.0 {
            Kind::Open => None,
            Kind::Nothing => Some(Reach::No),
            Kind::To(granted) => Some(granted.policy.reach(action, granted.roles.iter().map(String::as_str))),
        }
    }

    /// The name under which the caller stands in the log; none where nobody was asked.
    pub fn actor(&self) -> Option<&str> {
        match &self.0 {
            Kind::Open | Kind::Nothing => None,
            Kind::To(granted) => Some(&granted.actor),
        }
    }

    /// The id of the caller's own account; none where nobody was asked.
    pub fn account(&self) -> Option<Uuid> {
        match &self.0 {
            Kind::Open | Kind::Nothing => None,
            Kind::To(granted) => Some(granted.account),
        }
    }

    /// The account to whose things alone the request may reach; none where it reaches to everybody's. A grant of nothing reaches to an
    /// account that nobody has.
    pub fn only_of(&self) -> Option<Uuid> {
        match self.reach() {
            Reach::Any => None,
            Reach::Own => self.account(),
            Reach::No => Some(Uuid::nil()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Arc<Policy> {
        Arc::new(Policy::new(
            ["customer", "support"],
            &[("orders.read", [Reach::Own, Reach::Any]), ("refunds.ask", [Reach::No, Reach::Any])],
        ))
    }

    fn granted(action: &str, role: &str) -> Option<Grant> {
        Grant::of(&policy(), action, vec![role.to_owned()], "issuer#ada".to_owned(), Uuid::from_u128(7))
    }

    #[test]
    fn a_customer_reaches_to_their_own_account_only() {
        let grant = granted("orders.read", "customer").expect("a customer may");
        assert_eq!((grant.only_of(), grant.actor()), (Some(Uuid::from_u128(7)), Some("issuer#ada")));
        assert_eq!(grant.reach_with("refunds.ask"), Some(Reach::No));
        assert_eq!(granted("orders.read", "support").expect("support may").only_of(), None);
        assert!(granted("refunds.ask", "customer").is_none());
    }

    #[test]
    fn who_is_not_known_reaches_nothing_and_in_open_mode_nobody_is_asked() {
        assert_eq!(Grant::nothing().only_of(), Some(Uuid::nil()));
        assert_eq!((Grant::open().only_of(), Grant::open().reach_with("refunds.ask")), (None, None));
    }
}
