//! A producer that is replaced when its client has met a fatal error: librdkafka then takes no record ever after. It does so, for instance,
//! when the log has lost records that this idempotent producer had written.

use super::{KafkaConfig, log::AckContext};
use crate::{LogError, supervision::whatever_happens, tripwire};
use parking_lot::RwLock;
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, Producer},
};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};

/// How long one call of `poll` lasts, which takes all acknowledgements that come meanwhile. It waits in whole milliseconds, and spins
/// through the last of them: with the 100 ms of rdkafka's `ThreadedProducer` that is a hundredth of a processor for each idle producer.
const POLL: Duration = Duration::from_secs(1);
/// How long to wait before a new producer is tried again where none could be made.
const AGAIN: Duration = Duration::from_millis(500);

type Client = BaseProducer<AckContext>;

/// The producer that is used now.
pub(super) struct Current {
    config: KafkaConfig,
    client: RwLock<Arc<Client>>,
}

impl Current {
    /// Connects in the background, and polls on a thread of its own until the last handle is dropped.
    pub fn connect(config: &KafkaConfig) -> Result<Arc<Self>, LogError> {
        let client = connect(config)?;
        let this = Arc::new(Self { config: config.clone(), client: RwLock::new(client.clone()) });
        this.poll(&client)?;
        Ok(this)
    }

    pub fn client(&self) -> Arc<Client> {
        self.client.read().clone()
    }

    fn poll(self: &Arc<Self>, client: &Arc<Client>) -> Result<(), LogError> {
        let (this, polled) = (Arc::downgrade(self), Arc::downgrade(client));
        let run = move || whatever_happens(|| poll(&this, &polled), || ());
        std::thread::Builder::new().name("producer".into()).spawn(run).map(drop).map_err(|error| LogError(error.to_string()))
    }

    /// Takes another client in place of this one, unless somebody has. The records that wait in the old one are answered with an error.
    pub fn replace(self: &Arc<Self>, broken: &Arc<Client>) -> Result<(), LogError> {
        let mut current = self.client.write();
        if Arc::ptr_eq(&current, broken) {
            let why = broken.client().fatal_error().map(|(_, why)| why);
            tracing::error!(why, "the log's client has met a fatal error: another takes its place");
            let fresh = connect(&self.config)?;
            self.poll(&fresh)?;
            *current = fresh;
        }
        Ok(())
    }
}

/// The settings of a producer.
pub(super) fn settings(config: &KafkaConfig) -> ClientConfig {
    let mut client = config.client();
    client.set("enable.idempotence", "true").set("acks", "all").set("linger.ms", "0");
    client.set("message.timeout.ms", config.append_timeout_millis.to_string());
    client.set("request.timeout.ms", "5000").set("retry.backoff.ms", "20").set("queue.buffering.max.messages", "200000");
    client
}

fn connect(config: &KafkaConfig) -> Result<Arc<Client>, LogError> {
    settings(config).create_with_context(AckContext).map(Arc::new).map_err(|error| LogError(error.to_string()))
}

/// Takes the broker's answers until the last handle of the producer is dropped, or it has been replaced and nobody uses it any more.
fn poll(current: &Weak<Current>, client: &Weak<Client>) {
    while let Some(client) = client.upgrade() {
        client.poll(POLL);
        tripwire::pass("producer", -1);
        if client.client().fatal_error().is_some()
            && let Some(current) = current.upgrade()
            && let Err(error) = current.replace(&client)
        {
            tracing::error!(%error, "there is no new client of the log yet");
            std::thread::sleep(AGAIN);
        }
    }
}
