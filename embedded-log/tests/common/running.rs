//! A server in the test's own runtime, and clients for it.

#![allow(dead_code, reason = "each test file is a crate of its own, and uses a part of this")]

use embedded_log::{Server, ServerSettings, Store};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, StreamConsumer},
    producer::{FutureProducer, FutureRecord},
};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{sync::oneshot, task::JoinHandle};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A server that runs until it is stopped.
pub struct Running {
    pub address: SocketAddr,
    pub store: Arc<Store>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn start(directory: &Path) -> Self {
        Self::serve(Arc::new(Store::open(directory).expect("the store opens")), ServerSettings::default()).await
    }

    pub async fn serve(store: Arc<Store>, settings: ServerSettings) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind_with(any, store.clone(), settings).await.expect("a free port");
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server.run(async move {
            let _ = stopped.await;
        }));
        Self { address, store, stop: Some(stop), task }
    }

    /// Ends the server and closes the store.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        self.task.await.expect("the server ends");
        // A read may still be on its way.
        while Arc::strong_count(&self.store) > 1 {
            tokio::task::yield_now().await;
        }
    }

    pub fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", self.address.to_string()).set("client.id", "test");
        client
    }

    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("an admin client")
    }

    pub async fn create(&self, topic: &str, partitions: i32) {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
        let created = self.admin().create_topics(&[new], &AdminOptions::new()).await.expect("an answer");
        assert_eq!(created, vec![Ok(topic.to_owned())]);
    }

    pub fn producer(&self, properties: &[(&str, &str)]) -> FutureProducer {
        let mut client = self.client();
        client.set("linger.ms", "0").set("message.timeout.ms", "20000");
        properties.iter().for_each(|(name, value)| {
            client.set(*name, *value);
        });
        client.create().expect("a producer")
    }

    fn reader(&self, properties: &[(&str, &str)]) -> ClientConfig {
        let mut client = self.client();
        client.set("group.id", "readers").set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
        properties.iter().for_each(|(name, value)| {
            client.set(*name, *value);
        });
        client
    }

    pub fn consumer(&self, properties: &[(&str, &str)]) -> StreamConsumer {
        self.reader(properties).create().expect("a consumer")
    }

    pub fn base_consumer(&self, properties: &[(&str, &str)]) -> BaseConsumer {
        self.reader(properties).create().expect("a consumer")
    }
}

/// Appends a record and waits until it is acknowledged; returns its offset.
pub async fn produce(producer: &FutureProducer, topic: &str, partition: i32, value: &str) -> i64 {
    let record = FutureRecord::<(), str>::to(topic).partition(partition).payload(value);
    let delivery = producer.send(record, PATIENCE).await;
    delivery.expect("acknowledged").offset
}
