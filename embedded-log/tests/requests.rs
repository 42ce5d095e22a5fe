//! Requests that clients seldom make, by hand: each has the answer that Kafka's protocol wants.

mod common;
#[path = "common/running.rs"]
mod running;
#[path = "common/wire.rs"]
mod wire;

use common::{batch_bytes, create, sealed};
use embedded_log::{Committed, ServerSettings, Store};
use kafka_protocol::{
    ResponseError,
    messages::{
        CreatePartitionsRequest, CreateTopicsRequest, DescribeConfigsRequest, DescribeGroupsRequest, GroupId, MetadataRequest,
        OffsetFetchRequest, ProduceRequest, TopicName,
        create_partitions_request::CreatePartitionsTopic,
        create_topics_request::CreatableTopic,
        describe_configs_request::DescribeConfigsResource,
        metadata_request::MetadataRequestTopic,
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::StrBytes,
};
use running::Running;
use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
};
use wire::{call, connect};

const ORDERS: TopicName = TopicName(StrBytes::from_static_str("orders"));
const READERS: GroupId = GroupId(StrBytes::from_static_str("readers"));

/// A server of the topics `orders` and `other`, with two partitions each.
async fn running(directory: &std::path::Path) -> Running {
    let store = Store::open(directory).expect("the store opens");
    create(&store, "orders", 2).await;
    create(&store, "other", 2).await;
    Running::serve(Arc::new(store), ServerSettings::default()).await
}

/// Does what blocks beside the server.
async fn asking<T: Send + 'static>(address: SocketAddr, ask: impl FnOnce(&mut TcpStream) -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(move || ask(&mut connect(address))).await.expect("it is answered")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn committed_offsets_are_told_all_or_some_and_each_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = running(directory.path()).await;
    let key = |topic: &str, partition| running.store.catalog().partition(topic, partition).expect("a partition").key();
    let committed = |key, offset| Committed { key, offset, leader_epoch: 0, metadata: "so far".into() };
    let offsets = vec![committed(key("orders", 1), 7), committed(key("other", 0), 9)];
    assert_eq!(running.store.commit_offsets("readers", offsets).await, Ok(vec![]));
    asking(running.address, |stream| {
        // All partitions, in a version for one group and in one for several.
        let all = call(stream, 7, &OffsetFetchRequest::default().with_group_id(READERS).with_topics(None));
        let found = |name: &str, partition, offset| (name.to_owned(), vec![(partition, offset)]);
        let told: Vec<_> = all.topics.iter().map(|topic| (topic.name.to_string(), &topic.partitions)).collect();
        let told: Vec<_> = told
            .into_iter()
            .map(|(name, found)| (name, found.iter().map(|found| (found.partition_index, found.committed_offset)).collect::<Vec<_>>()))
            .collect();
        assert_eq!(told, [found("orders", 1, 7), found("other", 0, 9)]);

        let group = || OffsetFetchRequestGroup::default().with_group_id(READERS);
        let some = OffsetFetchRequestTopics::default().with_name(ORDERS).with_partition_indexes(vec![1, 0, 1]);
        let asked = vec![group().with_topics(None), group().with_topics(Some(vec![some.clone()]))];
        let told = call(stream, 8, &OffsetFetchRequest::default().with_groups(asked));
        assert_eq!((told.groups.len(), told.groups[0].topics.len()), (1, 2), "a group that is named twice is told once");
        let asked = vec![group().with_topics(Some(vec![some.clone(), some]))];
        let told = call(stream, 8, &OffsetFetchRequest::default().with_groups(asked));
        let topics = &told.groups[0].topics;
        let offsets: Vec<_> = topics[0].partitions.iter().map(|found| (found.partition_index, found.committed_offset)).collect();
        assert_eq!((offsets, topics[1].partitions.len()), (vec![(1, 7), (0, -1)], 0));

        let some = OffsetFetchRequestTopic::default().with_name(ORDERS).with_partition_indexes(vec![0, 1, 1]);
        let told = call(stream, 5, &OffsetFetchRequest::default().with_group_id(READERS).with_topics(Some(vec![some])));
        assert_eq!(told.topics[0].partitions.len(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_named_twice_is_told_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = running(directory.path()).await;
    asking(running.address, |stream| {
        let topic = || MetadataRequestTopic::default().with_name(Some(ORDERS));
        let told = call(stream, 9, &MetadataRequest::default().with_topics(Some(vec![topic(); 1_000])));
        assert_eq!((told.topics.len(), told.topics[0].partitions.len()), (1, 2));
        let told = call(stream, 5, &DescribeGroupsRequest::default().with_groups(vec![READERS; 1_000]));
        assert_eq!(told.groups.len(), 1);
        let resource = || DescribeConfigsResource::default().with_resource_type(2).with_resource_name("orders".into());
        let other = resource().with_resource_name("other".into());
        let told = call(stream, 4, &DescribeConfigsRequest::default().with_resources(vec![resource(), other, resource()]));
        let names: Vec<&str> = told.results.iter().map(|result| &*result.resource_name).collect();
        assert_eq!(names, ["orders", "other"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_says_why() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = running(directory.path()).await;
    asking(running.address, |stream| {
        let batch = sealed(batch_bytes(&[b"a"], Some((5, 0, 0)), 1));
        let data = PartitionProduceData::default().with_records(Some(batch));
        let topic = TopicProduceData::default().with_name(ORDERS).with_partition_data(vec![data]);
        let told = call(stream, 9, &ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]));
        let refused = &told.responses[0].partition_responses[0];
        assert_eq!(refused.error_code, ResponseError::InvalidProducerIdMapping.code());
        assert!(refused.error_message.as_ref().is_some_and(|why| why.contains("producer's id")), "{refused:?}");

        for validate_only in [true, false] {
            let large = CreatableTopic::default().with_name(TopicName(StrBytes::from_static_str("large")));
            let large = large.with_num_partitions(9_997).with_replication_factor(1);
            let told = call(stream, 7, &CreateTopicsRequest::default().with_topics(vec![large]).with_validate_only(validate_only));
            assert_eq!(told.topics[0].error_code, ResponseError::PolicyViolation.code());
            let why = told.topics[0].error_message.as_ref().expect("words");
            assert!(why.contains("10000") && why.contains("there are 4"), "{why}");
            let more = CreatePartitionsTopic::default().with_name(ORDERS).with_count(9_999);
            let told = call(stream, 3, &CreatePartitionsRequest::default().with_topics(vec![more]).with_validate_only(validate_only));
            assert_eq!(told.results[0].error_code, ResponseError::PolicyViolation.code());
            let fewer = CreatePartitionsTopic::default().with_name(ORDERS).with_count(1);
            let told = call(stream, 3, &CreatePartitionsRequest::default().with_topics(vec![fewer]).with_validate_only(validate_only));
            assert_eq!(told.results[0].error_code, ResponseError::InvalidPartitions.code());
        }
    })
    .await;
}
