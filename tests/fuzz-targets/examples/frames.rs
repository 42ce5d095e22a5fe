//! Writes seeds of `frames`, a valid request for each kind that the embedded log offers: `cargo run -p fuzz-targets --example frames -- FOLDER`.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    indexmap::IndexMap,
    messages::{self as kafka, ApiKey, GroupId, RequestHeader, TopicName},
    protocol::{Encodable, StrBytes},
    records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType},
};
use std::{error::Error, path::PathBuf};

const ORDERS: TopicName = TopicName(StrBytes::from_static_str("orders"));
const READERS: GroupId = GroupId(StrBytes::from_static_str("readers"));

fn text(value: &'static str) -> StrBytes {
    StrBytes::from_static_str(value)
}

/// A frame behind its length.
fn frame(key: ApiKey, version: i16, body: &impl Encodable) -> Vec<u8> {
    let header = RequestHeader::default().with_request_api_key(key as i16).with_request_api_version(version);
    let header = header.with_correlation_id(key as i32).with_client_id(Some(text("seed")));
    let mut bytes = BytesMut::new();
    bytes.put_i32(0);
    header.encode(&mut bytes, key.request_header_version(version)).expect("a header");
    body.encode(&mut bytes, version).expect("a body");
    let length = bytes.len() as i32 - 4;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes.to_vec()
}

fn batch() -> Bytes {
    let record = |offset: i64| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: -1,
        timestamp: 1_000,
        key: Some(Bytes::from_static(b"key")),
        value: Some(Bytes::from_static(b"value")),
        headers: IndexMap::new(),
    };
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, [&record(0), &record(1)], &options).expect("a batch");
    bytes.freeze()
}

/// Requests about records.
fn about_records() -> Vec<(&'static str, Vec<u8>)> {
    use kafka::{
        fetch_request as fetch, list_offsets_request as list, offset_for_leader_epoch_request as epoch, produce_request as produce,
    };
    let data = produce::PartitionProduceData::default().with_records(Some(batch()));
    let data = produce::TopicProduceData::default().with_name(ORDERS).with_partition_data(vec![data]);
    let sent = |acks| kafka::ProduceRequest::default().with_acks(acks).with_topic_data(vec![data.clone()]);
    let wanted = fetch::FetchPartition::default().with_partition_max_bytes(1_000);
    let wanted = fetch::FetchTopic::default().with_topic(ORDERS).with_partitions(vec![wanted]);
    let wanted = kafka::FetchRequest::default().with_max_bytes(1_000).with_topics(vec![wanted]);
    let time = |partition, time| list::ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(time);
    let times = list::ListOffsetsTopic::default().with_name(ORDERS).with_partitions(vec![time(0, -1), time(1, 5)]);
    let ends = epoch::OffsetForLeaderTopic::default().with_topic(ORDERS).with_partitions(vec![epoch::OffsetForLeaderPartition::default()]);
    let (first, produced) = (frame(ApiKey::ApiVersions, 0, &kafka::ApiVersionsRequest::default()), frame(ApiKey::Produce, 9, &sent(-1)));
    vec![
        ("produce", produced.clone()),
        ("produce-without-answer", [frame(ApiKey::Produce, 3, &sent(0)), produced.clone()].concat()),
        // What may wait stands behind something that does not.
        ("fetch", [first, produced, frame(ApiKey::Fetch, 12, &wanted)].concat()),
        ("list-offsets", frame(ApiKey::ListOffsets, 7, &kafka::ListOffsetsRequest::default().with_topics(vec![times]))),
        (
            "offset-for-leader-epoch",
            frame(ApiKey::OffsetForLeaderEpoch, 4, &kafka::OffsetForLeaderEpochRequest::default().with_topics(vec![ends])),
        ),
        ("init-producer-id", frame(ApiKey::InitProducerId, 4, &kafka::InitProducerIdRequest::default().with_transaction_timeout_ms(1_000))),
    ]
}

/// Requests about topics, their settings and the cluster.
fn about_topics() -> Vec<(&'static str, Vec<u8>)> {
    use kafka::{
        alter_configs_request as alter, create_partitions_request as grow, create_topics_request as create,
        describe_configs_request as describe,
    };
    use kafka::{delete_topics_request as delete, incremental_alter_configs_request as change, metadata_request as metadata};
    let (name, value) = (text("max.message.bytes"), Some(text("2000")));
    let config = create::CreatableTopicConfig::default().with_name(name.clone()).with_value(value.clone());
    let users = create::CreatableTopic::default()
        .with_name(TopicName(text("users")))
        .with_num_partitions(3)
        .with_replication_factor(1)
        .with_configs(vec![config]);
    let more = grow::CreatePartitionsTopic::default().with_name(ORDERS).with_count(3);
    let shown = describe::DescribeConfigsResource::default().with_resource_type(2).with_resource_name(text("orders"));
    let setting = alter::AlterableConfig::default().with_name(name.clone()).with_value(value.clone());
    let set = alter::AlterConfigsResource::default().with_resource_type(2).with_resource_name(text("orders")).with_configs(vec![setting]);
    let setting = change::AlterableConfig::default().with_name(name).with_value(value);
    let changed =
        change::AlterConfigsResource::default().with_resource_type(2).with_resource_name(text("orders")).with_configs(vec![setting]);
    let gone = delete::DeleteTopicState::default().with_name(Some(ORDERS));
    let asked = metadata::MetadataRequestTopic::default().with_name(Some(ORDERS));
    let mut newer = frame(ApiKey::ApiVersions, 3, &kafka::ApiVersionsRequest::default());
    newer[6..8].copy_from_slice(&99_i16.to_be_bytes());
    vec![
        ("api-versions", frame(ApiKey::ApiVersions, 3, &kafka::ApiVersionsRequest::default().with_client_software_name(text("seed")))),
        ("api-versions-of-a-newer-client", newer),
        ("metadata", frame(ApiKey::Metadata, 12, &kafka::MetadataRequest::default().with_topics(Some(vec![asked])))),
        ("describe-cluster", frame(ApiKey::DescribeCluster, 1, &kafka::DescribeClusterRequest::default().with_endpoint_type(1))),
        ("create-topics", frame(ApiKey::CreateTopics, 7, &kafka::CreateTopicsRequest::default().with_topics(vec![users]))),
        ("create-partitions", frame(ApiKey::CreatePartitions, 3, &kafka::CreatePartitionsRequest::default().with_topics(vec![more]))),
        ("describe-configs", frame(ApiKey::DescribeConfigs, 4, &kafka::DescribeConfigsRequest::default().with_resources(vec![shown]))),
        ("alter-configs", frame(ApiKey::AlterConfigs, 2, &kafka::AlterConfigsRequest::default().with_resources(vec![set]))),
        (
            "incremental-alter-configs",
            frame(ApiKey::IncrementalAlterConfigs, 1, &kafka::IncrementalAlterConfigsRequest::default().with_resources(vec![changed])),
        ),
        ("delete-topics", frame(ApiKey::DeleteTopics, 6, &kafka::DeleteTopicsRequest::default().with_topics(vec![gone]))),
    ]
}

/// Requests about groups.
fn about_groups() -> Vec<(&'static str, Vec<u8>)> {
    use kafka::{
        join_group_request as join, leave_group_request as leave, offset_commit_request as commit, offset_delete_request as forget,
        offset_fetch_request as fetch,
    };
    let protocol = join::JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(Bytes::from_static(&[0, 1]));
    let joining =
        kafka::JoinGroupRequest::default().with_group_id(READERS).with_session_timeout_ms(10_000).with_rebalance_timeout_ms(10_000);
    let joining = joining.with_protocol_type(text("consumer")).with_protocols(vec![protocol]);
    let syncing = kafka::SyncGroupRequest::default().with_group_id(READERS).with_generation_id(1).with_member_id(text("nobody"));
    let beating = kafka::HeartbeatRequest::default().with_group_id(READERS).with_generation_id(1).with_member_id(text("nobody"));
    let leaving = kafka::LeaveGroupRequest::default().with_group_id(READERS).with_members(vec![leave::MemberIdentity::default()]);
    let offset = commit::OffsetCommitRequestPartition::default().with_committed_offset(1).with_committed_metadata(Some(text("at")));
    let offset = commit::OffsetCommitRequestTopic::default().with_name(ORDERS).with_partitions(vec![offset]);
    let committing =
        kafka::OffsetCommitRequest::default().with_group_id(READERS).with_generation_id_or_member_epoch(-1).with_topics(vec![offset]);
    let asked = fetch::OffsetFetchRequestTopics::default().with_name(ORDERS).with_partition_indexes(vec![0, 1]);
    let asked = fetch::OffsetFetchRequestGroup::default().with_group_id(READERS).with_topics(Some(vec![asked]));
    let gone = forget::OffsetDeleteRequestTopic::default()
        .with_name(ORDERS)
        .with_partitions(vec![forget::OffsetDeleteRequestPartition::default()]);
    let committed = frame(ApiKey::OffsetCommit, 8, &committing);
    let first = frame(ApiKey::ApiVersions, 0, &kafka::ApiVersionsRequest::default());
    let behind = |before: &[u8], request: Vec<u8>| [before, &request].concat();
    vec![
        (
            "find-coordinator",
            frame(ApiKey::FindCoordinator, 4, &kafka::FindCoordinatorRequest::default().with_coordinator_keys(vec![text("readers")])),
        ),
        ("join-group", behind(&first, frame(ApiKey::JoinGroup, 9, &joining))),
        // An older client is given its id at once, and so the only member's rebalance ends.
        ("join-group-of-an-older-client", behind(&first, frame(ApiKey::JoinGroup, 2, &joining))),
        ("sync-group", behind(&first, frame(ApiKey::SyncGroup, 5, &syncing))),
        ("heartbeat", frame(ApiKey::Heartbeat, 4, &beating)),
        ("leave-group", frame(ApiKey::LeaveGroup, 5, &leaving)),
        ("offset-commit", committed.clone()),
        ("offset-fetch", behind(&committed, frame(ApiKey::OffsetFetch, 8, &kafka::OffsetFetchRequest::default().with_groups(vec![asked])))),
        (
            "offset-delete",
            behind(
                &committed,
                frame(ApiKey::OffsetDelete, 0, &kafka::OffsetDeleteRequest::default().with_group_id(READERS).with_topics(vec![gone])),
            ),
        ),
        ("list-groups", behind(&committed, frame(ApiKey::ListGroups, 5, &kafka::ListGroupsRequest::default()))),
        (
            "describe-groups",
            behind(&committed, frame(ApiKey::DescribeGroups, 5, &kafka::DescribeGroupsRequest::default().with_groups(vec![READERS]))),
        ),
        (
            "delete-groups",
            behind(&committed, frame(ApiKey::DeleteGroups, 2, &kafka::DeleteGroupsRequest::default().with_groups_names(vec![READERS]))),
        ),
    ]
}

/// What is refused, and must stay so.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let metadata = frame(ApiKey::Metadata, 12, &kafka::MetadataRequest::default());
    let mut unknown = metadata.clone();
    unknown[4..6].copy_from_slice(&999_i16.to_be_bytes());
    vec![
        ("refused-too-large", [1_025_i32.to_be_bytes().to_vec(), vec![0; 1_025]].concat()),
        ("refused-negative-length", [&(-1_i32).to_be_bytes()[..], &metadata].concat()),
        ("refused-cut-off", metadata[..metadata.len() - 1].to_vec()),
        ("refused-unknown-request", unknown),
        // Metadata in version 1, a list of two billion topics.
        ("refused-billions-of-topics", vec![0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 9, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]),
        // DescribeGroups in version 5, whose compact list announces four billion.
        ("refused-billions-of-groups", vec![0, 0, 0, 16, 0, 15, 0, 5, 0, 0, 0, 9, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    ]
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: frames FOLDER")?);
    for (name, bytes) in about_records().into_iter().chain(about_topics()).chain(about_groups()).chain(hostile()) {
        std::fs::write(folder.join(format!("{name}.seed")), bytes)?;
    }
    Ok(())
}
