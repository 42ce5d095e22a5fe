//! Appending.

use super::{
    broker::{Broker, ErrorCode, text},
    connection::{Answer, PendingAnswer, answer_with},
};
use crate::{
    batch::{Batch, BatchError},
    store::{AppendError, Appended},
};
use kafka_protocol::{
    ResponseError,
    messages::{
        InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse, ProducerId, TopicName,
        produce_request::{PartitionProduceData, TopicProduceData},
        produce_response::{PartitionProduceResponse, TopicProduceResponse},
    },
};
use std::pin::Pin;

type Outcome = Pin<Box<dyn Future<Output = Result<Appended, AppendError>> + Send>>;

/// An append that is queued, or was refused at once.
struct Queued {
    partition: i32,
    outcome: Result<Outcome, Refused>,
}

struct Refused {
    error: ResponseError,
    why: Option<String>,
}

impl From<BatchError> for Refused {
    fn from(error: BatchError) -> Self {
        let code = match error {
            BatchError::Short(_) | BatchError::Length { .. } | BatchError::Checksum => ResponseError::CorruptMessage,
            BatchError::Format(_) => ResponseError::UnsupportedForMessageFormat,
            BatchError::Attributes(_) | BatchError::Records(_) => ResponseError::InvalidRecord,
        };
        Self { error: code, why: Some(error.to_string()) }
    }
}

impl From<ResponseError> for Refused {
    fn from(error: ResponseError) -> Self {
        Self { error, why: None }
    }
}

impl Broker {
    /// Queues the batches now, in order; the answer comes when they are on the disk.
    pub fn produce(&self, correlation: i32, version: i16, request: ProduceRequest) -> PendingAnswer {
        let acks = request.acks;
        let refused = refusal_of(&request);
        let topics: Vec<_> = request.topic_data.into_iter().map(|topic| self.queue(topic, refused)).collect();
        Box::pin(async move {
            let mut responses = Vec::with_capacity(topics.len());
            for (name, partitions) in topics {
                responses.push(answer_topic(name, partitions).await);
            }
            if acks == 0 {
                return Answer::Nothing;
            }
            answer_with(correlation, version, &ProduceResponse::default().with_responses(responses))
        })
    }

    fn queue(&self, topic: TopicProduceData, refused: Option<ResponseError>) -> (TopicName, Vec<Queued>) {
        let queue = |sent: PartitionProduceData| {
            let partition = sent.index;
            let outcome = match refused {
                Some(error) => Err(error.into()),
                None => self.append(&topic.name, sent),
            };
            Queued { partition, outcome }
        };
        let queued = topic.partition_data.into_iter().map(queue).collect();
        (topic.name, queued)
    }

    fn append(&self, topic: &str, sent: PartitionProduceData) -> Result<Outcome, Refused> {
        let partition = self.partition(topic, sent.index).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let batch = Batch::parse(sent.records.unwrap_or_default())?;
        Ok(Box::pin(self.store.append(partition.key(), batch)))
    }

    /// An id for an idempotent producer. There are no transactions here.
    pub async fn init_producer_id(&self, request: &InitProducerIdRequest) -> InitProducerIdResponse {
        let none = InitProducerIdResponse::default().with_producer_id(ProducerId(-1)).with_producer_epoch(-1);
        if request.transactional_id.is_some() {
            return none.with_error_code(ResponseError::TransactionalIdAuthorizationFailed.code());
        }
        match self.store.new_producer().await {
            Ok(id) => none.with_producer_id(ProducerId(id)).with_producer_epoch(0),
            Err(failed) => none.with_error_code(failed.code()),
        }
    }
}

fn refusal_of(request: &ProduceRequest) -> Option<ResponseError> {
    if request.transactional_id.is_some() {
        return Some(ResponseError::TransactionalIdAuthorizationFailed);
    }
    (!matches!(request.acks, -1..=1)).then_some(ResponseError::InvalidRequiredAcks)
}

async fn answer_topic(name: TopicName, queued: Vec<Queued>) -> TopicProduceResponse {
    let mut partitions = Vec::with_capacity(queued.len());
    for Queued { partition, outcome } in queued {
        let answer = PartitionProduceResponse::default().with_index(partition).with_base_offset(-1);
        partitions.push(match outcome {
            Ok(outcome) => answer_partition(answer, outcome.await),
            Err(Refused { error, why }) => answer.with_error_code(error.code()).with_error_message(why.map(text)),
        });
    }
    TopicProduceResponse::default().with_name(name).with_partition_responses(partitions)
}

fn answer_partition(answer: PartitionProduceResponse, outcome: Result<Appended, AppendError>) -> PartitionProduceResponse {
    match outcome {
        Ok(appended) => answer.with_base_offset(appended.base).with_log_start_offset(0),
        Err(error) => answer.with_error_code(error.code()).with_error_message(Some(text(error))),
    }
}
