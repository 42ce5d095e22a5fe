//! Who may what in the shop: the one table.
//!
//! A row is an action, which a route names as its `x-action`; a column is a role, which a token carries. `Own` reaches to what belongs to the
//! caller's own account: the account itself, its orders, payments and notifications.

use access::{
    Policy,
    Reach::{self, Any, No, Own},
};

/// A part of placing an order: stating the price that a merchant agreed with the customer.
pub(crate) const AGREE_PRICES: &str = "orders.agree-prices";

/// The roles. *service* is what other programs are, such as an importer of orders.
const ROLES: [&str; 6] = ["customer", "merchant", "support", "auditor", "operator", "service"];

#[rustfmt::skip]
const TABLE: [(&str, [Reach; 6]); 20] = [
    //                        customer  merchant  support  auditor  operator  service
    ("audit.read",           [No,       No,       No,      Any,     No,       No]),
    ("catalogue.change",     [No,       Any,      No,      No,      No,       Any]),
    ("catalogue.read",       [Any,      Any,      Any,     Any,     Any,      Any]),
    ("dead-letters.drop",    [No,       No,       No,      No,      Any,      No]),
    ("dead-letters.read",    [No,       No,       No,      No,      Any,      No]),
    ("dead-letters.redrive", [No,       No,       No,      No,      Any,      No]),
    ("metrics.read",         [No,       No,       No,      No,      Any,      No]),
    ("notifications.read",   [Own,      No,       Any,     Any,     No,       No]),
    (AGREE_PRICES,           [No,       Any,      No,      No,      No,       Any]),
    ("orders.cancel",        [Own,      No,       Any,     No,      No,       Any]),
    ("orders.place",         [Own,      Any,      No,      No,      No,       Any]),
    ("orders.read",          [Own,      No,       Any,     Any,     No,       Any]),
    ("orders.timeline",      [Own,      No,       Any,     Any,     No,       Any]),
    ("payments.read",        [Own,      No,       Any,     Any,     No,       Any]),
    ("payments.refund",      [No,       No,       Any,     No,      No,       Any]),
    ("stock.receive",        [No,       Any,      No,      No,      No,       Any]),
    ("users.change",         [Own,      No,       No,      No,      No,       Any]),
    ("users.close",          [Own,      No,       No,      No,      No,       Any]),
    ("users.read",           [Own,      No,       Any,     Any,     No,       Any]),
    ("users.register",       [Own,      No,       No,      No,      No,       Any]),
];

/// The table.
pub(crate) fn policy() -> Policy {
    Policy::new(ROLES, &TABLE)
}
