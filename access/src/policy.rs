//! Who may what: one table of a system, of its actions and its roles.

use std::collections::BTreeMap;

/// How far a role reaches with an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Not at all.
    No,
    /// To what belongs to the caller's own account.
    Own,
    /// To everybody's.
    Any,
}

/// The table of a system: a row for each action, a column for each role. What it does not name, nobody may do.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    roles: Vec<&'static str>,
    rows: BTreeMap<&'static str, Vec<Reach>>,
}

impl Policy {
    /// A table. Its rows have as many columns as there are roles, or it does not compile.
    pub fn new<const ROLES: usize>(roles: [&'static str; ROLES], rows: &[(&'static str, [Reach; ROLES])]) -> Self {
        Self { roles: roles.to_vec(), rows: rows.iter().map(|(action, reaches)| (*action, reaches.to_vec())).collect() }
    }

    /// True where it has no row: nobody said who may what.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The roles, in the order of the columns.
    pub fn roles(&self) -> &[&'static str] {
        &self.roles
    }

    /// The actions.
    pub fn actions(&self) -> impl Iterator<Item = &'static str> {
        self.rows.keys().copied()
    }

    /// How far somebody with these roles reaches with an action: as far as the role that reaches furthest. Roles that the table does not know
    /// are an issuer's other roles, and reach nowhere.
    pub fn reach<'a>(&self, action: &str, held: impl IntoIterator<Item = &'a str>) -> Reach {
        let Some(row) = self.rows.get(action) else { return Reach::No };
        let column = |role: &str| self.roles.iter().position(|known| *known == role);
        held.into_iter().filter_map(|role| row.get(column(role)?).copied()).max().unwrap_or(Reach::No)
    }

    /// The roles that reach somewhere with an action, for the answer to somebody who does not.
    pub fn roles_for(&self, action: &str) -> Vec<&'static str> {
        let row = self.rows.get(action).map(Vec::as_slice).unwrap_or_default();
        self.roles.iter().zip(row).filter(|(_, reach)| **reach != Reach::No).map(|(role, _)| *role).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Policy, Reach};
    use Reach::{Any, No, Own};

    fn policy() -> Policy {
        Policy::new(["customer", "support"], &[("orders.read", [Own, Any]), ("refunds.ask", [No, Any])])
    }

    #[test]
    fn a_caller_reaches_as_far_as_the_furthest_of_their_roles() {
        assert_eq!(policy().reach("orders.read", ["customer"]), Own);
        assert_eq!(policy().reach("orders.read", ["customer", "support"]), Any);
        assert_eq!(policy().reach("refunds.ask", ["customer"]), No);
        assert_eq!(policy().roles_for("refunds.ask"), ["support"]);
    }

    #[test]
    fn what_the_table_does_not_name_nobody_may_do() {
        assert_eq!(policy().reach("orders.burn", ["support"]), No);
        assert_eq!(policy().reach("orders.read", ["offline_access", "Support"]), No);
        assert_eq!(policy().reach("orders.read", []), No);
    }
}
