//! What the server says of itself: requests that it understands, the one broker, topics, coordinators.

use super::broker::{Broker, LEADER_EPOCH, NODE, once, text};
use crate::{
    store::{Partition, Topic},
    wire::OFFERED,
};
use kafka_protocol::{
    ResponseError,
    messages::{
        ApiVersionsResponse, DescribeClusterRequest, DescribeClusterResponse, FindCoordinatorRequest, FindCoordinatorResponse,
        MetadataRequest, MetadataResponse, TopicName,
        api_versions_response::ApiVersion,
        describe_cluster_response::DescribeClusterBroker,
        find_coordinator_response::Coordinator,
        metadata_request::MetadataRequestTopic,
        metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
    },
    protocol::StrBytes,
};
use std::sync::Arc;
use uuid::Uuid;

const PRODUCE: i16 = 0;
// The key types of FindCoordinator; there is one more, for share groups.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// The endpoint type of a broker in DescribeCluster.
const BROKER: i8 = 1;

impl Broker {
    pub fn api_versions(&self) -> ApiVersionsResponse {
        let version = |offer: &crate::wire::Offer| {
            // librdkafka compresses nothing for a broker that does not name version 0 of Produce, though it never speaks it. Apache Kafka
            // names it for the same reason.
            let min = if offer.key == PRODUCE { 0 } else { offer.min };
            ApiVersion::default().with_api_key(offer.key).with_min_version(min).with_max_version(offer.max)
        };
        ApiVersionsResponse::default().with_api_keys(OFFERED.iter().map(version).collect())
    }

    /// The answer to a version of ApiVersions that is not offered: in version 0, with all that is.
    pub fn unknown_api_versions(&self) -> ApiVersionsResponse {
        self.api_versions().with_error_code(ResponseError::UnsupportedVersion.code())
    }

    fn host(&self) -> StrBytes {
        text(self.address.ip())
    }

    fn port(&self) -> i32 {
        self.address.port().into()
    }

    pub fn metadata(&self, version: i16, request: MetadataRequest) -> MetadataResponse {
        let broker = MetadataResponseBroker::default().with_node_id(NODE).with_host(self.host()).with_port(self.port());
        let catalog = self.store.catalog();
        let topics = match request.topics {
            // In version 0 an empty list stands for all topics.
            Some(wanted) if !(version == 0 && wanted.is_empty()) => {
                let wanted = once(wanted, |wanted| (wanted.name.clone(), wanted.topic_id));
                wanted.iter().map(|wanted| self.wanted_topic(wanted)).collect()
            }
            _ => catalog.topics().map(topic_metadata).collect(),
        };
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_cluster_id(Some(self.cluster.clone()))
            .with_controller_id(NODE)
            .with_topics(topics)
    }

    fn wanted_topic(&self, wanted: &MetadataRequestTopic) -> MetadataResponseTopic {
        let catalog = self.store.catalog();
        let (found, error) = match &wanted.name {
            Some(name) => (catalog.topic(name), ResponseError::UnknownTopicOrPartition),
            None => (catalog.topic_with_id(wanted.topic_id), ResponseError::UnknownTopicId),
        };
        found.map_or_else(|| unknown_topic(wanted.name.clone(), wanted.topic_id, error), topic_metadata)
    }

    pub fn describe_cluster(&self, request: &DescribeClusterRequest) -> DescribeClusterResponse {
        if request.endpoint_type != BROKER {
            let error = ResponseError::UnsupportedEndpointType;
            return DescribeClusterResponse::default().with_error_code(error.code()).with_endpoint_type(request.endpoint_type);
        }
        let broker = DescribeClusterBroker::default().with_broker_id(NODE).with_host(self.host()).with_port(self.port());
        let answer = DescribeClusterResponse::default().with_cluster_id(self.cluster.clone()).with_controller_id(NODE);
        answer.with_brokers(vec![broker])
    }

    pub fn find_coordinator(&self, version: i16, request: &FindCoordinatorRequest) -> FindCoordinatorResponse {
        if version < 4 {
            return self.find_one_coordinator(request.key_type);
        }
        let coordinators = request.coordinator_keys.iter().map(|key| self.coordinator_of(request.key_type, key.clone())).collect();
        FindCoordinatorResponse::default().with_coordinators(coordinators)
    }

    fn find_one_coordinator(&self, key_type: i8) -> FindCoordinatorResponse {
        let answer = FindCoordinatorResponse::default();
        match no_coordinator(key_type) {
            None => answer.with_node_id(NODE).with_host(self.host()).with_port(self.port()),
            Some((error, why)) => {
                answer.with_error_code(error.code()).with_error_message(Some(text(why))).with_node_id((-1).into()).with_port(-1)
            }
        }
    }

    fn coordinator_of(&self, key_type: i8, key: StrBytes) -> Coordinator {
        let answer = Coordinator::default().with_key(key);
        match no_coordinator(key_type) {
            None => answer.with_node_id(NODE).with_host(self.host()).with_port(self.port()),
            Some((error, why)) => {
                answer.with_error_code(error.code()).with_error_message(Some(text(why))).with_node_id((-1).into()).with_port(-1)
            }
        }
    }
}

/// Why a kind of key has no coordinator here. No client asks again after one of these errors, as each does where the coordinator is said to
/// be away for the moment.
fn no_coordinator(key_type: i8) -> Option<(ResponseError, &'static str)> {
    match key_type {
        GROUP => None,
        TRANSACTION => Some((ResponseError::TransactionalIdAuthorizationFailed, "this log has no transactions")),
        _ => Some((ResponseError::InvalidRequest, "this log coordinates consumer groups only")),
    }
}

fn topic_metadata(topic: &Arc<Topic>) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_name(Some(super::broker::topic_name(&topic.name)))
        .with_topic_id(topic.id)
        .with_partitions(topic.partitions.iter().map(|partition| partition_metadata(partition)).collect())
}

fn partition_metadata(partition: &Partition) -> MetadataResponsePartition {
    MetadataResponsePartition::default()
        .with_partition_index(partition.key().partition as i32)
        .with_leader_id(NODE)
        .with_leader_epoch(LEADER_EPOCH)
        .with_replica_nodes(vec![NODE])
        .with_isr_nodes(vec![NODE])
}

fn unknown_topic(name: Option<TopicName>, id: Uuid, error: ResponseError) -> MetadataResponseTopic {
    MetadataResponseTopic::default().with_error_code(error.code()).with_name(name).with_topic_id(id)
}
