//! A log that is served by the test itself.

use embedded_log::{Amount, NewTopic, Server, Store, TopicSettings};
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};
use tempfile::TempDir;

/// A log that is served until the test ends.
pub struct Log {
    pub address: String,
    store: Arc<Store>,
    _directory: TempDir,
}

impl Log {
    /// Serves a log with these topics, each with so many partitions.
    pub async fn serve(topics: &[(&str, u32)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Arc::new(Store::open(directory.path()).expect("a log"));
        for (name, partitions) in topics {
            let new = NewTopic { name: (*name).to_owned(), partitions: *partitions, settings: TopicSettings::new() };
            store.create_topic(new).await.expect("the topic is made");
        }
        let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), store.clone()).await.expect("a port");
        let address = server.local_addr().to_string();
        tokio::spawn(server.run(std::future::pending()));
        Self { address, store, _directory: directory }
    }

    /// Appends a record for each value to partition 0, stamped 1000, 2000, ...
    pub async fn append(&self, topic: &str, values: &[&str]) {
        let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", &self.address).create().expect("a producer");
        for (time, value) in (1..).zip(values) {
            let record = FutureRecord::<(), str>::to(topic).partition(0).payload(value).timestamp(time * 1_000);
            producer.send(record, Duration::from_secs(20)).await.expect("acknowledged");
        }
    }

    /// The codecs of the batches of partition 0, by Kafka's numbers, as the log holds them.
    pub fn codecs(&self, topic: &str) -> BTreeSet<u8> {
        let catalog = self.store.catalog();
        let partition = catalog.partition(topic, 0).expect("the topic is there");
        let bytes = self.store.read_batches(partition, 0, Amount { bytes: usize::MAX, at_least_one: true }).expect("it can be read");
        let (mut rest, mut codecs) = (&bytes[..], BTreeSet::new());
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[8..12].try_into().expect("four bytes")) as usize;
            codecs.insert(rest[22] & 7);
            rest = &rest[12 + length..];
        }
        codecs
    }
}
