//! Which part answers which request.

use super::connection::{Answer, answer_with, budgeted_answer};
use crate::{
    groups::Coordinator,
    store::{AppendError, Partition, ReadError, StorageFailed, Store, Topic, TopicError},
    wire::{Budget, Request},
};
use kafka_protocol::{
    ResponseError,
    messages::{BrokerId, TopicName},
    protocol::StrBytes,
};
use std::{collections::HashSet, hash::Hash, net::SocketAddr, sync::Arc};

/// The only broker's id.
pub(super) const NODE: BrokerId = BrokerId(1);
/// The only epoch of the only leader.
pub(super) const LEADER_EPOCH: i32 = 0;

/// Answers requests.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) store: Arc<Store>,
    pub(super) coordinator: Arc<Coordinator>,
    pub(super) address: SocketAddr,
    pub(super) cluster: StrBytes,
    /// The memory that answers on their way to clients may take.
    pub(super) answers: Budget,
}

impl Broker {
    pub fn new(store: Arc<Store>, address: SocketAddr, max_answer_bytes: usize) -> Result<Self, StorageFailed> {
        let cluster = text(store.cluster_id()?.simple());
        Ok(Self { store, coordinator: Arc::default(), address, cluster, answers: Budget::new(max_answer_bytes) })
    }

    /// The answer to any request but an append.
    pub async fn answer(&self, correlation: i32, version: i16, client: String, request: Request) -> Answer {
        // Each answer has a type of its own, so each arm encodes its own.
        macro_rules! answers {
            ($answer:expr) => {
                budgeted_answer(&self.answers, correlation, version, &$answer)
            };
        }
        match request {
            // Produce is answered by `produce`, which does not wait for the disk.
            Request::Produce(_) => Answer::None,
            Request::UnknownApiVersions => answer_with(correlation, 0, &self.unknown_api_versions()),
            Request::ApiVersions(_) => answers!(self.api_versions()),
            Request::Metadata(request) => answers!(self.metadata(version, request)),
            Request::DescribeCluster(request) => answers!(self.describe_cluster(&request)),
            Request::FindCoordinator(request) => answers!(self.find_coordinator(version, &request)),
            Request::InitProducerId(request) => answers!(self.init_producer_id(&request).await),
            Request::Fetch(request) => {
                let (answer, share) = self.fetch(request).await;
                answer_with(correlation, version, &answer).holding(share)
            }
            Request::ListOffsets(request) => answers!(self.list_offsets(request).await),
            Request::OffsetForLeaderEpoch(request) => answers!(self.offsets_for_leader_epoch(request)),
            Request::CreateTopics(request) => answers!(self.create_topics(version, request).await),
            Request::DeleteTopics(request) => answers!(self.delete_topics(version, request).await),
            Request::CreatePartitions(request) => answers!(self.create_partitions(request).await),
            Request::DescribeConfigs(request) => answers!(self.describe_configs(version, request)),
            Request::AlterConfigs(request) => answers!(self.alter_configs(request).await),
            Request::IncrementalAlterConfigs(request) => answers!(self.incremental_alter_configs(request).await),
            Request::JoinGroup(request) => answers!(self.join_group(version, client, request).await),
            Request::SyncGroup(request) => answers!(self.sync_group(request).await),
            Request::Heartbeat(request) => answers!(self.heartbeat(&request)),
            Request::LeaveGroup(request) => answers!(self.leave_group(version, request)),
            Request::ListGroups(request) => answers!(self.list_groups(&request).await),
            Request::DescribeGroups(request) => answers!(self.describe_groups(version, request).await),
            Request::DeleteGroups(request) => answers!(self.delete_groups(request).await),
            Request::OffsetCommit(request) => answers!(self.commit_offsets(request).await),
            Request::OffsetFetch(request) => answers!(self.fetch_offsets(version, request).await),
            Request::OffsetDelete(request) => answers!(self.delete_offsets(request).await),
        }
    }

    pub(super) fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.store.catalog().topic(name).cloned()
    }

    pub(super) fn partition(&self, topic: &str, partition: i32) -> Option<Arc<Partition>> {
        self.store.catalog().partition(topic, partition).cloned()
    }

    /// Does work that reads the disk where it holds up no other connection.
    pub(super) async fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> T + Send + 'static,
        failed: impl FnOnce(StorageFailed) -> T,
    ) -> T {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|_| failed(StorageFailed))
    }
}

/// The elements whose keys are named for the first time: who names something twice is told once, however large the answer is.
pub(super) fn once<T, K: Eq + Hash>(elements: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut seen = HashSet::with_capacity(elements.len());
    elements.into_iter().filter(|element| seen.insert(key(element))).collect()
}

pub(super) fn text(value: impl ToString) -> StrBytes {
    StrBytes::from_string(value.to_string())
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// Kafka's number for an error.
pub(super) trait ErrorCode {
    fn error(&self) -> ResponseError;

    fn code(&self) -> i16 {
        self.error().code()
    }
}

impl ErrorCode for StorageFailed {
    fn error(&self) -> ResponseError {
        ResponseError::KafkaStorageError
    }
}

impl ErrorCode for AppendError {
    fn error(&self) -> ResponseError {
        match self {
            Self::UnknownPartition => ResponseError::UnknownTopicOrPartition,
            Self::TooLarge(_) => ResponseError::MessageTooLarge,
            Self::OutOfOrder => ResponseError::OutOfOrderSequenceNumber,
            Self::StaleEpoch => ResponseError::InvalidProducerEpoch,
            // Not UNKNOWN_PRODUCER_ID: to that librdkafka and Kafka's own client answer with another epoch of the same id, again and again.
            // This one they report at once.
            Self::UnknownProducer => ResponseError::InvalidProducerIdMapping,
            Self::Storage(failed) => failed.error(),
        }
    }
}

impl ErrorCode for ReadError {
    fn error(&self) -> ResponseError {
        match self {
            Self::Damaged(_) => ResponseError::CorruptMessage,
            Self::Storage(failed) => failed.error(),
        }
    }
}

impl ErrorCode for TopicError {
    fn error(&self) -> ResponseError {
        match self {
            Self::Exists => ResponseError::TopicAlreadyExists,
            Self::Unknown => ResponseError::UnknownTopicOrPartition,
            Self::Name => ResponseError::InvalidTopicException,
            Self::Partitions { .. } => ResponseError::InvalidPartitions,
            Self::TooManyPartitions { .. } => ResponseError::PolicyViolation,
            Self::Setting(_) => ResponseError::InvalidConfig,
            Self::Storage(failed) => failed.error(),
        }
    }
}
