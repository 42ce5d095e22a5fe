//! Consumer groups, by Kafka's classic protocol: members join, one of them (the leader) assigns the partitions, and each hears its part.
//!
//! Membership is in memory. After a restart the members learn that nobody knows them, and join anew; what they have committed is in the
//! store.

mod coordinator;
mod group;
mod member;
mod membership;
#[cfg(test)]
mod room_tests;
#[cfg(test)]
mod tests;

pub(crate) use coordinator::Coordinator;
pub(crate) use group::State;
pub(crate) use member::{Described, DescribedMember, GroupError, Identity, Join, Joined, JoinedMember, Sync};
