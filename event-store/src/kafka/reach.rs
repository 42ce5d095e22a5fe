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
const LOOK: Duration = Duration::from_millis(500);

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
        let answer = client.client().fetch_metadata(None, LOOK);
        client.poll(Duration::ZERO);
        let words = said.0.lock().clone();
        match (answer, words.refused) {
            (Ok(_), _) => return Ok(()),
            (Err(_), Some(why)) => return Err(TopicsError::Refused { brokers, why }),
            (Err(error), None) if Instant::now() >= until => return Err(unreachable(words.other.unwrap_or_else(|| error.to_string()))),
            (Err(_), None) => {}
        }
    }
}
