//! Offsets that groups commit.

use super::{
    broker::{Broker, ErrorCode, once, text, topic_name},
    groups::identity,
};
use crate::{
    groups::GroupError,
    store::{Committed, PartitionKey, StorageFailed},
};
use kafka_protocol::{
    ResponseError,
    messages::{
        GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest,
        OffsetFetchResponse, TopicName,
        offset_commit_request::OffsetCommitRequestPartition,
        offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
        offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic},
        offset_fetch_response::{
            OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
            OffsetFetchResponseTopics,
        },
    },
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// From this version on a request asks about several groups.
const MANY_GROUPS: i16 = 8;
/// The longest text that a client may commit with an offset, as in Kafka.
const LONGEST_METADATA: usize = 4_096;

/// The bytes of offsets in an answer. Those of one group fit, even if it has committed the longest text for each partition that there may be.
const MOST_FOUND_BYTES: usize = 64 << 20;

/// What somebody wants to know of a group: these partitions, or all that it has committed.
type Wanted = Option<Vec<(TopicName, Vec<i32>)>>;
/// Topics, and what becomes of each partition's offset: where it is stored, if nothing forbids it.
type Judged = Vec<(TopicName, Vec<(i32, Result<PartitionKey, i16>)>)>;
/// A partition's committed offset, or none.
type Found = (i32, Option<Committed>);

impl Broker {
    pub async fn commit_offsets(&self, request: OffsetCommitRequest) -> OffsetCommitResponse {
        let who = identity(&request.member_id, request.group_instance_id.as_ref());
        let allowed = self.coordinator.may_commit(&request.group_id, &who, request.generation_id_or_member_epoch);
        let (mut judged, mut offsets) = (Judged::new(), Vec::new());
        for topic in request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for wanted in &topic.partitions {
                let committed = allowed.clone().map_err(|error| error.error()).and_then(|()| self.committed(&topic.name, wanted));
                partitions.push((wanted.partition_index, committed.as_ref().map(|offset| offset.key).map_err(ResponseError::code)));
                offsets.extend(committed);
            }
            judged.push((topic.name, partitions));
        }
        let stored = if offsets.is_empty() { Ok(Vec::new()) } else { self.store.commit_offsets(&request.group_id, offsets).await };
        committed_response(judged, &stored)
    }

    fn committed(&self, topic: &str, wanted: &OffsetCommitRequestPartition) -> Result<Committed, ResponseError> {
        let partition = self.partition(topic, wanted.partition_index).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let metadata = wanted.committed_metadata.as_ref().map(ToString::to_string).unwrap_or_default();
        if metadata.len() > LONGEST_METADATA {
            return Err(ResponseError::OffsetMetadataTooLarge);
        }
        let (offset, leader_epoch) = (wanted.committed_offset, wanted.committed_leader_epoch);
        Ok(Committed { key: partition.key(), offset, leader_epoch, metadata })
    }

    pub async fn fetch_offsets(&self, version: i16, request: OffsetFetchRequest) -> OffsetFetchResponse {
        if version < MANY_GROUPS {
            let wanted = request.topics.map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect());
            return self.fetch_one_group(&request.group_id, wanted).await;
        }
        let mut left = MOST_FOUND_BYTES;
        let mut groups = Vec::with_capacity(request.groups.len());
        for group in once(request.groups, |group| group.group_id.clone()) {
            let wanted = group.topics.map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect());
            groups.push(self.fetch_group(group.group_id, wanted, &mut left).await);
        }
        OffsetFetchResponse::default().with_groups(groups)
    }

    async fn fetch_one_group(&self, group: &str, wanted: Wanted) -> OffsetFetchResponse {
        let found = match self.find_offsets(group, wanted, &mut { MOST_FOUND_BYTES }).await {
            Ok(found) => found,
            Err(error) => return OffsetFetchResponse::default().with_error_code(error.code()),
        };
        let partition = |(number, committed): Found| {
            let answer = OffsetFetchResponsePartition::default().with_partition_index(number).with_metadata(Some(text("")));
            match committed {
                None => answer.with_committed_offset(-1),
                Some(committed) => answer
                    .with_committed_offset(committed.offset)
                    .with_committed_leader_epoch(committed.leader_epoch)
                    .with_metadata(Some(text(committed.metadata))),
            }
        };
        let topic = |(name, partitions): (TopicName, Vec<Found>)| {
            OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions.into_iter().map(partition).collect())
        };
        OffsetFetchResponse::default().with_topics(found.into_iter().map(topic).collect())
    }

    async fn fetch_group(&self, group: GroupId, wanted: Wanted, left: &mut usize) -> OffsetFetchResponseGroup {
        let answer = OffsetFetchResponseGroup::default().with_group_id(group.clone());
        let found = match self.find_offsets(&group, wanted, left).await {
            Ok(found) => found,
            Err(error) => return answer.with_error_code(error.code()),
        };
        let partition = |(number, committed): Found| {
            let answer = OffsetFetchResponsePartitions::default().with_partition_index(number).with_metadata(Some(text("")));
            match committed {
                None => answer.with_committed_offset(-1),
                Some(committed) => answer
                    .with_committed_offset(committed.offset)
                    .with_committed_leader_epoch(committed.leader_epoch)
                    .with_metadata(Some(text(committed.metadata))),
            }
        };
        let topic = |(name, partitions): (TopicName, Vec<Found>)| {
            OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions.into_iter().map(partition).collect())
        };
        answer.with_topics(found.into_iter().map(topic).collect())
    }

    /// The offsets that are wanted, each once. They take their bytes off those that are left, and are refused where these are too few.
    async fn find_offsets(&self, group: &str, wanted: Wanted, left: &mut usize) -> Result<Vec<(TopicName, Vec<Found>)>, ResponseError> {
        let name = group.to_owned();
        let stored = self.reading(move |store| store.offsets(&name), Err).await;
        let stored = stored.map_err(|_| ResponseError::CoordinatorNotAvailable)?;
        let bytes: usize = stored.iter().map(|committed| committed.metadata.len() + size_of::<Committed>()).sum();
        *left = left.checked_sub(bytes).ok_or(ResponseError::InvalidRequest)?;
        let Some(wanted) = wanted else { return Ok(self.by_topic(stored)) };
        let stored: HashMap<PartitionKey, Committed> = stored.into_iter().map(|committed| (committed.key, committed)).collect();
        let mut seen = HashSet::new();
        let mut of_topic = |(topic, mut partitions): (TopicName, Vec<i32>)| {
            partitions.retain(|number| seen.insert((topic.clone(), *number)));
            let found = partitions.into_iter().map(|number| {
                let partition = self.partition(&topic, number);
                (number, partition.and_then(|partition| stored.get(&partition.key()).cloned()))
            });
            let found = found.collect();
            (topic, found)
        };
        Ok(wanted.into_iter().map(&mut of_topic).collect())
    }

    fn by_topic(&self, stored: Vec<Committed>) -> Vec<(TopicName, Vec<Found>)> {
        let catalog = self.store.catalog();
        let mut topics: BTreeMap<String, Vec<Found>> = BTreeMap::new();
        for committed in stored {
            if let Some(topic) = catalog.topic_with_number(committed.key.topic) {
                topics.entry(topic.name.clone()).or_default().push((committed.key.partition as i32, Some(committed)));
            }
        }
        topics.into_iter().map(|(name, found)| (topic_name(&name), found)).collect()
    }

    pub async fn delete_offsets(&self, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
        if self.coordinator.has_members(&request.group_id) {
            return OffsetDeleteResponse::default().with_error_code(GroupError::NotEmpty.code());
        }
        let (mut keys, mut topics) = (Vec::new(), Vec::with_capacity(request.topics.len()));
        for topic in request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for wanted in topic.partitions {
                let partition = self.partition(&topic.name, wanted.partition_index);
                let code = partition.as_ref().map_or(ResponseError::UnknownTopicOrPartition.code(), |_| 0);
                keys.extend(partition.map(|partition| partition.key()));
                partitions
                    .push(OffsetDeleteResponsePartition::default().with_partition_index(wanted.partition_index).with_error_code(code));
            }
            topics.push(OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions));
        }
        match self.store.forget_offsets(&request.group_id, Some(keys)).await {
            Ok(_) => OffsetDeleteResponse::default().with_topics(topics),
            Err(_) => OffsetDeleteResponse::default().with_error_code(ResponseError::CoordinatorNotAvailable.code()),
        }
    }
}

fn committed_response(judged: Judged, stored: &Result<Vec<PartitionKey>, StorageFailed>) -> OffsetCommitResponse {
    // Their topics were deleted while the offsets waited to be stored.
    let gone: HashSet<PartitionKey> = stored.iter().flatten().copied().collect();
    let code = |judged: Result<PartitionKey, i16>| match judged {
        Err(refused) => refused,
        Ok(_) if stored.is_err() => ResponseError::CoordinatorNotAvailable.code(),
        Ok(key) if gone.contains(&key) => ResponseError::UnknownTopicOrPartition.code(),
        Ok(_) => 0,
    };
    let partition = |(number, judged)| OffsetCommitResponsePartition::default().with_partition_index(number).with_error_code(code(judged));
    let topic = |(name, partitions): (TopicName, Vec<_>)| {
        OffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions.into_iter().map(partition).collect())
    };
    OffsetCommitResponse::default().with_topics(judged.into_iter().map(topic).collect())
}
