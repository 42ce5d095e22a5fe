//! Consumer groups, as the protocol speaks of them.

use super::broker::{Broker, ErrorCode, once, text};
use crate::groups::{Described, DescribedMember, GroupError, Identity, Join, Joined, JoinedMember, State, Sync};
use bytes::Bytes;
use kafka_protocol::{
    ResponseError,
    messages::{
        DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId, HeartbeatRequest,
        HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest,
        ListGroupsResponse, SyncGroupRequest, SyncGroupResponse,
        delete_groups_response::DeletableGroupResult,
        describe_groups_response::{DescribedGroup, DescribedGroupMember},
        join_group_response::JoinGroupResponseMember,
        leave_group_request::MemberIdentity,
        leave_group_response::MemberResponse,
        list_groups_response::ListedGroup,
    },
    protocol::StrBytes,
};
use std::time::Duration;

/// From this version on a client without an id is given one, and joins again with it.
const JOINS_TWICE: i16 = 4;
/// From this version on a leader can be told that it need not assign.
const MAY_SKIP: i16 = 9;
/// From this version on a request names the members that leave, several at once.
const LEAVES_NAMED: i16 = 3;
/// From this version on an unknown group is an error, and errors have a text.
const TELLS_UNKNOWN: i16 = 6;
/// In version 0 there is one time limit for both.
const SEPARATE_REBALANCE: i16 = 1;
const CONSUMER: &str = "consumer";
/// A group that speaks this protocol, and not the newer one that this server does not offer.
const CLASSIC: &str = "classic";

impl ErrorCode for GroupError {
    fn error(&self) -> ResponseError {
        match self {
            Self::UnknownMember => ResponseError::UnknownMemberId,
            Self::IllegalGeneration => ResponseError::IllegalGeneration,
            Self::RebalanceInProgress => ResponseError::RebalanceInProgress,
            Self::InconsistentProtocol => ResponseError::InconsistentGroupProtocol,
            Self::FencedInstance => ResponseError::FencedInstanceId,
            Self::MemberIdRequired(_) => ResponseError::MemberIdRequired,
            Self::InvalidSession => ResponseError::InvalidSessionTimeout,
            Self::InvalidGroup => ResponseError::InvalidGroupId,
            Self::TooMany | Self::TooLarge => ResponseError::GroupMaxSizeReached,
            Self::NotEmpty => ResponseError::NonEmptyGroup,
            Self::NotFound => ResponseError::GroupIdNotFound,
        }
    }
}

fn millis(millis: i32) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

pub(super) fn identity(member: &StrBytes, instance: Option<&StrBytes>) -> Identity {
    Identity { member: member.to_string(), instance: instance.map(ToString::to_string) }
}

impl Broker {
    pub async fn join_group(&self, version: i16, client: String, request: JoinGroupRequest) -> JoinGroupResponse {
        let rebalance = if version < SEPARATE_REBALANCE { request.session_timeout_ms } else { request.rebalance_timeout_ms };
        let join = Join {
            who: identity(&request.member_id, request.group_instance_id.as_ref()),
            client,
            session: millis(request.session_timeout_ms),
            rebalance: millis(rebalance),
            protocol_type: request.protocol_type.to_string(),
            protocols: request.protocols.into_iter().map(|protocol| (protocol.name.to_string(), kept(&protocol.metadata))).collect(),
            joins_twice: version >= JOINS_TWICE,
            may_skip: version >= MAY_SKIP,
        };
        match self.coordinator.join(&request.group_id, join).await {
            Ok(joined) => joined_response(joined),
            Err(error) => refused_response(request.member_id, &error),
        }
    }

    pub async fn sync_group(&self, request: SyncGroupRequest) -> SyncGroupResponse {
        let sync = Sync {
            who: identity(&request.member_id, request.group_instance_id.as_ref()),
            generation: request.generation_id,
            protocol_type: request.protocol_type.map(|name| name.to_string()),
            protocol: request.protocol_name.map(|name| name.to_string()),
            assignments: request.assignments.into_iter().map(|part| (part.member_id.to_string(), kept(&part.assignment))).collect(),
        };
        let answer = SyncGroupResponse::default();
        match self.coordinator.sync(&request.group_id, sync).await {
            Ok(synced) => answer
                .with_protocol_type(Some(text(synced.protocol_type)))
                .with_protocol_name(Some(text(synced.protocol)))
                .with_assignment(synced.assignment),
            Err(error) => answer.with_error_code(error.code()),
        }
    }

    pub fn heartbeat(&self, request: &HeartbeatRequest) -> HeartbeatResponse {
        let who = identity(&request.member_id, request.group_instance_id.as_ref());
        let alive = self.coordinator.heartbeat(&request.group_id, &who, request.generation_id);
        HeartbeatResponse::default().with_error_code(alive.map_or_else(|error| error.code(), |()| 0))
    }

    pub fn leave_group(&self, version: i16, request: LeaveGroupRequest) -> LeaveGroupResponse {
        let leave = |who: &Identity| self.coordinator.leave(&request.group_id, who).map_or_else(|error| error.code(), |()| 0);
        if version < LEAVES_NAMED {
            return LeaveGroupResponse::default().with_error_code(leave(&identity(&request.member_id, None)));
        }
        let answer = |member: &MemberIdentity| {
            let code = leave(&identity(&member.member_id, member.group_instance_id.as_ref()));
            let answer = MemberResponse::default().with_member_id(member.member_id.clone()).with_error_code(code);
            answer.with_group_instance_id(member.group_instance_id.clone())
        };
        LeaveGroupResponse::default().with_members(request.members.iter().map(answer).collect())
    }

    pub async fn list_groups(&self, request: &ListGroupsRequest) -> ListGroupsResponse {
        let stored = match self.reading(|store| store.groups(), Err).await {
            Ok(stored) => stored,
            Err(failed) => return ListGroupsResponse::default().with_error_code(failed.code()),
        };
        let mut groups = self.coordinator.list();
        let living: Vec<String> = groups.iter().map(|(name, ..)| name.clone()).collect();
        let empty = stored.into_iter().filter(|name| !living.contains(name));
        groups.extend(empty.map(|name| (name, CONSUMER.to_owned(), State::Empty)));
        let has = |filter: &[StrBytes], value: &str| filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value));
        groups.retain(|(.., state)| has(&request.states_filter, state.name()) && has(&request.types_filter, CLASSIC));
        ListGroupsResponse::default().with_groups(groups.into_iter().map(listed).collect())
    }

    pub async fn describe_groups(&self, version: i16, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
        let mut groups = Vec::with_capacity(request.groups.len());
        for group in once(request.groups, GroupId::clone) {
            groups.push(self.describe_group(version, group).await);
        }
        DescribeGroupsResponse::default().with_groups(groups)
    }

    async fn describe_group(&self, version: i16, group: GroupId) -> DescribedGroup {
        if let Some(described) = self.coordinator.describe(&group) {
            return described_group(described);
        }
        let answer = DescribedGroup::default().with_group_id(group.clone());
        match self.has_offsets(&group).await {
            Ok(true) => answer.with_group_state(text(State::Empty.name())).with_protocol_type(text(CONSUMER)),
            Ok(false) if version < TELLS_UNKNOWN => answer.with_group_state(text("Dead")),
            Ok(false) => {
                let error = GroupError::NotFound;
                answer.with_group_state(text("Dead")).with_error_code(error.code()).with_error_message(Some(text(error)))
            }
            Err(failed) => answer.with_error_code(failed.code()),
        }
    }

    async fn has_offsets(&self, group: &str) -> Result<bool, crate::store::StorageFailed> {
        let group = group.to_owned();
        self.reading(move |store| Ok(!store.offsets(&group)?.is_empty()), Err).await
    }

    pub async fn delete_groups(&self, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
        let mut results = Vec::with_capacity(request.groups_names.len());
        for group in once(request.groups_names, GroupId::clone) {
            let code = self.delete_group(&group).await;
            results.push(DeletableGroupResult::default().with_group_id(group).with_error_code(code));
        }
        DeleteGroupsResponse::default().with_results(results)
    }

    async fn delete_group(&self, group: &str) -> i16 {
        if self.coordinator.has_members(group) {
            return GroupError::NotEmpty.code();
        }
        match self.store.forget_offsets(group, None).await {
            Ok(true) => 0,
            Ok(false) => GroupError::NotFound.code(),
            Err(failed) => failed.code(),
        }
    }
}

fn joined_response(joined: Joined) -> JoinGroupResponse {
    let member = |member: JoinedMember| {
        let answer = JoinGroupResponseMember::default().with_member_id(text(member.member)).with_metadata(member.metadata);
        answer.with_group_instance_id(member.instance.map(text))
    };
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type(Some(text(joined.protocol_type)))
        .with_protocol_name(Some(text(joined.protocol)))
        .with_leader(text(joined.leader))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(text(joined.member))
        .with_members(joined.members.into_iter().map(member).collect())
}

fn refused_response(member: StrBytes, error: &GroupError) -> JoinGroupResponse {
    let member = match error {
        GroupError::MemberIdRequired(id) => text(id),
        _ => member,
    };
    // Before version 7 the protocol's name is never missing.
    let answer = JoinGroupResponse::default().with_generation_id(-1).with_protocol_name(Some(StrBytes::default()));
    answer.with_error_code(error.code()).with_member_id(member)
}

fn listed((name, protocol_type, state): (String, String, State)) -> ListedGroup {
    ListedGroup::default()
        .with_group_id(GroupId(text(name)))
        .with_protocol_type(text(protocol_type))
        .with_group_state(text(state.name()))
        .with_group_type(text(CLASSIC))
}

fn described_group(described: Described) -> DescribedGroup {
    // Nobody has agreed on a protocol before the rebalance has ended.
    let is_settled = matches!(described.state, State::Stable | State::Completing { .. });
    let member = |member: DescribedMember| {
        let (metadata, assignment) = if is_settled { (member.metadata, member.assignment) } else { (Bytes::new(), Bytes::new()) };
        DescribedGroupMember::default()
            .with_member_id(text(member.member))
            .with_group_instance_id(member.instance.map(text))
            .with_client_id(text(member.client))
            .with_client_host(text("/127.0.0.1"))
            .with_member_metadata(metadata)
            .with_member_assignment(assignment)
    };
    DescribedGroup::default()
        .with_group_id(GroupId(text(described.group)))
        .with_group_state(text(described.state.name()))
        .with_protocol_type(text(described.protocol_type))
        .with_protocol_data(text(described.protocol))
        .with_members(described.members.into_iter().map(member).collect())
}

/// A copy: the bytes of a request are a part of its whole frame, which a member must not keep in memory.
fn kept(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
