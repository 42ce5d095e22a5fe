//! Any request that has the right shape is answered, in each version.

use super::{broker::Broker, connection::Answer};
use crate::{
    settings::TopicSettings,
    store::{NewTopic, Store},
    wire::{
        OFFERED, Received, Request,
        sample::{Numbers, body, frame},
    },
};
use bytes::Bytes;
use kafka_protocol::{
    ResponseError,
    messages::{
        ApiKey, GroupId, OffsetCommitRequest, ResponseHeader, ResponseKind, TopicName,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    },
    protocol::{Decodable, StrBytes},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, mpsc},
    task::Poll,
    time::Duration,
};

async fn broker(directory: &std::path::Path) -> Broker {
    let store = Store::open(directory).expect("the store opens");
    let orders = NewTopic { name: "orders".into(), partitions: 2, settings: TopicSettings::new() };
    store.create_topic(orders).await.expect("created");
    Broker::new(Arc::new(store), SocketAddr::from(([127, 0, 0, 1], 9092)), 1 << 20).expect("a broker")
}

/// What an answer to a made-up request may say that is wrong, by the request's number. Above all, nothing is ever the server's own fault.
const ERRORS: &[(i16, &[i16])] = &[
    (0, &[3, 53]),               // no such topic; transactions
    (1, &[1, 3]),                // an offset out of range; no such topic
    (2, &[3, 35]),               // no such topic; an unknown special time
    (3, &[3, 100]),              // no such topic, by name or id
    (8, &[3, 12, 24, 25]),       // no such topic; a long text; no group or member of the name
    (10, &[15, 42, 53]),         // a coordinator of transactions, of share groups, or of a kind that there is not
    (11, &[23, 24, 25, 26, 79]), // no common protocol; no group's name; no such member; a session's length; an id is needed first
    (12, &[25]),                 // no such member
    (13, &[25]),                 // no such member
    (14, &[25]),                 // no such member
    (15, &[69]),                 // no such group
    (19, &[17, 36, 37, 38, 40]), // a topic's name; it exists; its partitions, copies and settings
    (20, &[3, 100]),             // no such topic, by name or id
    (22, &[53]),                 // transactions
    (23, &[3]),                  // no such topic
    (32, &[3, 42]),              // no such topic; nothing of this type has settings
    (33, &[3, 40, 42]),          // no such topic; a setting; nothing of this type has settings
    (37, &[3, 37]),              // no such topic; its partitions
    (42, &[68, 69]),             // a group with members; no such group
    (44, &[3, 40, 42]),          // no such topic; a setting; nothing of this type has settings
    (47, &[3, 68]),              // no such topic; a group with members
    (60, &[115]),                // no broker's endpoint
];

/// The errors that an answer tells, wherever it does. It is of the request's kind, and whole.
fn codes_in(key: i16, version: i16, correlation: i32, frame: Bytes) -> Vec<i16> {
    let api = ApiKey::try_from(key).expect("a kind that there is");
    let mut bytes = frame.slice(4..);
    assert_eq!(frame[..4], (bytes.len() as i32).to_be_bytes());
    let header = ResponseHeader::decode(&mut bytes, api.response_header_version(version)).expect("a header");
    assert_eq!(header.correlation_id, correlation);
    let answer = ResponseKind::decode(api, &mut bytes, version).expect("an answer of this kind");
    assert!(bytes.is_empty(), "there are bytes behind it: {answer:?}");
    let text = format!("{answer:?}");
    let codes = text.split("error_code: ").skip(1).filter_map(|rest| rest.split([',', ' ', '}']).next()?.parse().ok());
    codes.collect()
}

/// The answer; none if it is one that waits.
async fn answer(broker: &Broker, received: Received) -> Option<Answer> {
    let Received { correlation, version, client, request } = received;
    let answering = async {
        match request {
            Request::Produce(request) => broker.produce(correlation, version, request).await,
            other => broker.answer(correlation, version, client, other).await,
        }
    };
    tokio::time::timeout(Duration::from_millis(20), answering).await.ok()
}

#[tokio::test]
async fn every_request_is_answered_in_every_version_whatever_it_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let broker = broker(directory.path()).await;
    let (mut numbers, mut codes) = (Numbers::new(3), BTreeMap::<i16, BTreeSet<i16>>::new());
    for offer in OFFERED {
        for version in offer.min..=offer.max {
            let mut answered = 0;
            for round in 0..15 {
                let body = body(&mut numbers, offer.key, version);
                let received = Received::decode(&frame(offer.key, version, round, &body)).expect("it has the right shape");
                match answer(&broker, received).await {
                    Some(Answer::Frame(frame, _)) => {
                        codes.entry(offer.key).or_default().extend(codes_in(offer.key, version, round, frame));
                        answered += 1;
                    }
                    Some(Answer::Nothing) if offer.key == 0 => {}
                    Some(Answer::None | Answer::Nothing) => panic!("request {} in version {version} has no answer: {body:?}", offer.key),
                    None => {}
                }
            }
            assert!(answered > 0, "request {} in version {version} always waits", offer.key);
        }
    }
    for (key, told) in codes {
        let may = ERRORS.iter().find(|(of, _)| *of == key).map_or(&[][..], |(_, may)| may);
        let other: Vec<i16> = told.into_iter().filter(|code| *code != 0 && !may.contains(code)).collect();
        assert!(other.is_empty(), "request {key} was answered with {other:?}");
    }
}

/// Begins something that cannot be done yet.
async fn begin<T>(mut work: Pin<&mut impl Future<Output = T>>) {
    std::future::poll_fn(|context| {
        assert!(work.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// Commits offset 1 of the first partition of each topic.
fn commit(topics: &[&'static str]) -> OffsetCommitRequest {
    let topic = |name: &&'static str| {
        let partition = OffsetCommitRequestPartition::default().with_committed_offset(1);
        OffsetCommitRequestTopic::default().with_name(TopicName(StrBytes::from_static_str(name))).with_partitions(vec![partition])
    };
    let request = OffsetCommitRequest::default().with_group_id(GroupId(StrBytes::from_static_str("readers")));
    request.with_generation_id_or_member_epoch(-1).with_topics(topics.iter().map(topic).collect())
}

#[tokio::test]
async fn an_offset_whose_topic_is_deleted_before_it_is_stored_is_not_said_to_be_stored() {
    let directory = tempfile::tempdir().expect("a directory");
    let broker = broker(directory.path()).await;
    let other = NewTopic { name: "other".into(), partitions: 1, settings: TopicSettings::new() };
    broker.store.create_topic(other).await.expect("created");
    // The writer is busy while the deletion and the offsets are queued, in this order.
    let ((is_busy, busy), (go_on, free)) = (mpsc::channel(), mpsc::channel::<()>());
    let mut keeping = pin!(broker.store.set_topic_settings("other", move |_| {
        let _ = is_busy.send(());
        let _ = free.recv();
    }));
    begin(keeping.as_mut()).await;
    busy.recv().expect("it is busy");
    let mut deleting = pin!(broker.store.delete_topic("orders"));
    begin(deleting.as_mut()).await;
    let mut committing = pin!(broker.commit_offsets(commit(&["orders", "other", "none"])));
    begin(committing.as_mut()).await;
    go_on.send(()).expect("it waits");
    let (_, deleted, answer) = tokio::join!(keeping, deleting, committing);
    deleted.expect("deleted");
    let codes: Vec<i16> = answer.topics.iter().map(|topic| topic.partitions[0].error_code).collect();
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(codes, [unknown, 0, unknown]);
    assert_eq!(broker.store.offsets("readers").expect("read").len(), 1, "that of the other topic");
}
