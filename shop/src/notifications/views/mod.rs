//! The notification service's views: the messages, and the addresses of users.

pub mod contacts;
pub mod notifications;
