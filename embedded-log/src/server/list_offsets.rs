//! Offsets by time, and where partitions begin and end.

use super::broker::{Broker, ErrorCode, LEADER_EPOCH};
use crate::store::{Partition, ReadError, Store};
use kafka_protocol::{
    ResponseError,
    messages::{
        ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
        offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic},
        offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult},
    },
};
use std::sync::Arc;

// What the protocol asks for with a negative time.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const NEWEST: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const NONE: (i64, i64) = (-1, -1);

impl Broker {
    pub async fn list_offsets(&self, request: ListOffsetsRequest) -> ListOffsetsResponse {
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            topics.push(self.list_topic(topic).await);
        }
        ListOffsetsResponse::default().with_topics(topics)
    }

    async fn list_topic(&self, topic: ListOffsetsTopic) -> ListOffsetsTopicResponse {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in topic.partitions {
            let found = match self.partition(&topic.name, wanted.partition_index) {
                Some(partition) => self.offset_at(partition, wanted.timestamp).await,
                None => Err(ResponseError::UnknownTopicOrPartition),
            };
            partitions.push(list_partition(&wanted, found));
        }
        ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    }

    /// The offset and the time of the record that a time means.
    async fn offset_at(&self, partition: Arc<Partition>, time: i64) -> Result<(i64, i64), ResponseError> {
        match time {
            LATEST => Ok((partition.end(), -1)),
            EARLIEST | EARLIEST_LOCAL => Ok((0, -1)),
            LATEST_TIERED => Ok(NONE),
            NEWEST => self.look_up(move |store| store.newest(&partition)).await,
            time if time >= 0 => self.look_up(move |store| store.offset_since(&partition, time)).await,
            _ => Err(ResponseError::UnsupportedVersion),
        }
    }

    async fn look_up(
        &self,
        work: impl FnOnce(&Store) -> Result<Option<(i64, i64)>, ReadError> + Send + 'static,
    ) -> Result<(i64, i64), ResponseError> {
        let found = self.reading(work, |failed| Err(failed.into())).await;
        found.map(|found| found.unwrap_or(NONE)).map_err(|error| error.error())
    }

    /// There was only ever one leader, so its epoch ends where the log does.
    pub fn offsets_for_leader_epoch(&self, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
        let topics = request.topics.into_iter().map(|topic| self.epochs_of(topic)).collect();
        OffsetForLeaderEpochResponse::default().with_topics(topics)
    }

    fn epochs_of(&self, topic: OffsetForLeaderTopic) -> OffsetForLeaderTopicResult {
        let end_of = |wanted: &OffsetForLeaderPartition| {
            let answer = EpochEndOffset::default().with_partition(wanted.partition);
            match self.partition(&topic.topic, wanted.partition) {
                Some(partition) if wanted.leader_epoch == LEADER_EPOCH => {
                    answer.with_leader_epoch(LEADER_EPOCH).with_end_offset(partition.end())
                }
                Some(_) => answer,
                None => answer.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
            }
        };
        let partitions = topic.partitions.iter().map(end_of).collect();
        OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions)
    }
}

fn list_partition(wanted: &ListOffsetsPartition, found: Result<(i64, i64), ResponseError>) -> ListOffsetsPartitionResponse {
    let answer = ListOffsetsPartitionResponse::default().with_partition_index(wanted.partition_index);
    match found {
        // No leader's epoch is named: version 1 has no field for it, and there is only one.
        Ok((offset, time)) => answer.with_offset(offset).with_timestamp(time),
        Err(error) => answer.with_error_code(error.code()),
    }
}
