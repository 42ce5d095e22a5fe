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
use std::{net::SocketAddr, sync::Arc, time::Duration};

async fn broker(directory: &std::path::Path) -> Broker {
    let store = Store::open(directory).expect("the store opens");
    let orders = NewTopic { name: "orders".into(), partitions: 2, settings: TopicSettings::new() };
    store.create_topic(orders).await.expect("created");
    Broker::new(Arc::new(store), SocketAddr::from(([127, 0, 0, 1], 9092)), 1 << 20).expect("a broker")
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
    let mut numbers = Numbers::new(3);
    for offer in OFFERED {
        for version in offer.min..=offer.max {
            let mut answered = 0;
            for round in 0..15 {
                let body = body(&mut numbers, offer.key, version);
                let received = Received::decode(&frame(offer.key, version, round, &body)).expect("it has the right shape");
                match answer(&broker, received).await {
                    Some(Answer::Frame(frame, _)) => {
                        assert_eq!(frame[4..8], round.to_be_bytes());
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
}
