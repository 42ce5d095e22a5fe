//! Whether the brokers let this client in. A refused password or certificate shows nowhere but in a callback of librdkafka's, which goes on
//! trying: whoever asked would wait until his time is up and hear that nobody answered.

use super::{KafkaConfig, TopicsError};
use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseProducer, Producer, ProducerContext},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the brokers may take to let a client in.
const WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether they have refused it.
const LOOK: Duration = Duration::from_millis(450);
/// How long it is listened then. A poll that does not wait takes one event, and most are no errors.
const LISTEN: Duration = Duration::from_millis(50);

/// Brokers that ask for TLS close a connection without it, and librdkafka says nothing of that.
const UNSAID: &str = "; if they ask for TLS or a password, set security.protocol among the properties";

/// What librdkafka has said last about its connections.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Words>>);

#[derive(Clone, Default)]
struct Words {
    refused: Option<String>,
    other: Option<String>,
}

impl ClientContext for Said {
    fn error(&self, error: KafkaError, reason: &str) {
        let mut words = self.0.lock();
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => words.refused = Some(reason.to_owned()),
            // That says nothing of the cause, and comes after it.
            Some(RDKafkaErrorCode::AllBrokersDown) => {}
            _ => words.other = Some(reason.to_owned()),
        }
    }
}

impl ProducerContext for Said {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// Waits until a broker answers. Blocks, for 10 s at most.
///
/// # Errors
/// They refuse this client, or none answers: with librdkafka's reason.
pub(super) fn reach(config: &KafkaConfig, client: &ClientConfig) -> Result<(), TopicsError> {
    let (said, brokers) = (Said::default(), config.brokers.clone());
    let unreachable = |why: String| TopicsError::Unreachable { brokers: brokers.clone(), why };
    let client: BaseProducer<Said> = client.create_with_context(said.clone()).map_err(|error| unreachable(error.to_string()))?;
    let until = Instant::now() + WITHIN;
    loop {
        let Err(error) = client.client().fetch_metadata(None, LOOK) else { return Ok(()) };
        client.poll(LISTEN);
        let words = said.0.lock().clone();
        if let Some(why) = words.refused {
            return Err(TopicsError::Refused { brokers, why });
        }
        if Instant::now() >= until {
            return Err(unreachable(words.other.unwrap_or_else(|| format!("{error}{UNSAID}"))));
        }
    }
}
