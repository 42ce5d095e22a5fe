//! The shop's views, one file each. They are pure: a row and an event make a row.

pub mod as_of;
pub mod audit;
pub mod contacts;
pub mod deadlines;
mod event_json;
pub mod notifications;
pub mod orders;
pub mod payments;
pub mod products;
pub mod saga;
pub mod timeline;
pub mod users;

#[cfg(test)]
mod testing;
