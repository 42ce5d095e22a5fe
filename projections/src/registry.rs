//! Which database holds which views: one line per view.

use crate::{
    ErasedView,
    view::erased,
    views::{audit, contacts, deadlines, notifications, orders, payments, products, timeline, users},
};
use std::collections::BTreeSet;

/// The databases that hold views: one for each service with a log, and the auditor's.
pub const DATABASES: [&str; 6] = ["users", "products", "orders", "payments", "notifications", "audit"];

/// The views in a service's database; none for a service that is not in [`DATABASES`].
pub fn views_of(service: &str) -> Vec<ErasedView> {
    match service {
        "users" => vec![erased::<users::Users>()],
        "products" => vec![erased::<products::Products>()],
        "orders" => vec![erased::<orders::Orders>(), erased::<timeline::Timeline>(), erased::<deadlines::Deadlines>()],
        "payments" => vec![erased::<payments::Payments>()],
        "notifications" => vec![erased::<notifications::Notifications>(), erased::<contacts::Contacts>()],
        "audit" => vec![erased::<audit::Audit>()],
        _ => Vec::new(),
    }
}

/// The services whose logs a database's views read, in alphabetical order.
pub fn sources_of(service: &str) -> Vec<&'static str> {
    let sources: BTreeSet<&str> = views_of(service).iter().flat_map(|view| view.sources().iter().copied()).collect();
    sources.into_iter().collect()
}
