//! The notification service's views: what was to be sent, and where to.

pub mod contacts;
pub mod notifications;
