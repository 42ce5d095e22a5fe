//! Members, what they ask for, and what they are told.

use bytes::Bytes;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Why a member does not get what it asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GroupError {
    #[error("the group has no such member")]
    UnknownMember,
    #[error("the member speaks of another generation of the group")]
    IllegalGeneration,
    #[error("the group is rebalancing: join again")]
    RebalanceInProgress,
    #[error("the member has no protocol in common with the others")]
    InconsistentProtocol,
    #[error("another member has taken the place of this instance")]
    FencedInstance,
    #[error("join again as {0}")]
    MemberIdRequired(String),
    #[error("a session lasts between 100 ms and 30 minutes")]
    InvalidSession,
    #[error("a group's name is not empty")]
    InvalidGroup,
    #[error("there are too many members")]
    TooMany,
    #[error("the group's members hold more bytes than a group may, or all groups together")]
    TooLarge,
    #[error("the group has members")]
    NotEmpty,
    #[error("there is no such group")]
    NotFound,
}

/// Answers whoever waits; the receiver is gone if its connection is.
pub(super) type Reply<T> = oneshot::Sender<Result<T, GroupError>>;

/// Who asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    /// The id that the coordinator gave; empty at first.
    pub member: String,
    /// The member's own name, if it is a static member: it keeps its partitions over a restart.
    pub instance: Option<String>,
}

/// A request to join.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub who: Identity,
    pub client: String,
    pub session: Duration,
    pub rebalance: Duration,
    pub protocol_type: String,
    /// Protocols that it can, the best first, each with the member's metadata for it.
    pub protocols: Vec<(String, Bytes)>,
    /// The client joins a second time, with the id that the first answer gave it.
    pub joins_twice: bool,
    /// The client can be told that it leads and need not assign anything.
    pub may_skip: bool,
}

impl Join {
    /// The bytes that a member keeps of this.
    pub fn bytes(&self) -> usize {
        let Identity { member, instance } = &self.who;
        let names = member.len() + instance.as_ref().map_or(0, String::len) + self.client.len() + self.protocol_type.len();
        names + self.protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum::<usize>()
    }
}

/// What a member is told when all have joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Joined {
    pub generation: i32,
    pub protocol_type: String,
    pub protocol: String,
    pub leader: String,
    pub member: String,
    /// All members, told to the leader only.
    pub members: Vec<JoinedMember>,
    pub skip_assignment: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JoinedMember {
    pub member: String,
    pub instance: Option<String>,
    pub metadata: Bytes,
}

/// A request for the member's part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sync {
    pub who: Identity,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    /// Each member's part, from the leader.
    pub assignments: Vec<(String, Bytes)>,
}

/// A member's part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Synced {
    pub protocol_type: String,
    pub protocol: String,
    pub assignment: Bytes,
}

/// A group as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub group: String,
    pub state: super::State,
    pub protocol_type: String,
    pub protocol: String,
    pub members: Vec<DescribedMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DescribedMember {
    pub member: String,
    pub instance: Option<String>,
    pub client: String,
    pub metadata: Bytes,
    pub assignment: Bytes,
}

/// A member of a group.
#[derive(Debug)]
pub(super) struct Member {
    pub instance: Option<String>,
    pub client: String,
    pub session: Duration,
    pub rebalance: Duration,
    pub protocols: Vec<(String, Bytes)>,
    /// The bytes that it keeps of its request to join.
    pub joined_bytes: usize,
    pub assignment: Bytes,
    /// It waits for the others to join.
    pub joining: Option<Reply<Joined>>,
    /// It waits for its part.
    pub syncing: Option<Reply<Synced>>,
    /// When it is taken for dead, if it does not say anything before.
    pub expires: Instant,
    /// Members joined in this order.
    pub order: u64,
}

impl Member {
    pub fn new(join: Join, order: u64, now: Instant) -> Self {
        Self {
            joined_bytes: join.bytes(),
            instance: join.who.instance,
            client: join.client,
            expires: now + join.session,
            session: join.session,
            rebalance: join.rebalance,
            protocols: join.protocols,
            assignment: Bytes::new(),
            joining: None,
            syncing: None,
            order,
        }
    }

    pub fn update(&mut self, join: Join) {
        self.joined_bytes = join.bytes();
        (self.session, self.rebalance, self.protocols, self.client) = (join.session, join.rebalance, join.protocols, join.client);
    }

    pub fn bytes(&self) -> usize {
        self.joined_bytes + self.assignment.len()
    }

    pub fn refresh(&mut self, now: Instant) {
        self.expires = now + self.session;
    }

    /// It waits for an answer, and its connection is there: it need not say anything meanwhile.
    pub fn is_waiting(&self) -> bool {
        self.joining.as_ref().is_some_and(|reply| !reply.is_closed()) || self.syncing.as_ref().is_some_and(|reply| !reply.is_closed())
    }

    pub fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    pub fn has_protocol(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }
}
