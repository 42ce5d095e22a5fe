//! The order service's views: orders, their stories, and the deadlines of those that are open.

pub mod deadlines;
pub mod orders;
pub mod saga;
pub mod step;
pub mod timeline;
