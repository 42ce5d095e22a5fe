//! Creating, deleting and growing topics.

use super::broker::{Broker, ErrorCode, text};
use crate::{
    settings,
    store::{NewTopic, Topic, TopicError, check_growth, check_room},
};
use kafka_protocol::{
    ResponseError,
    messages::{
        CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
        DeleteTopicsResponse, TopicName,
        create_partitions_request::CreatePartitionsTopic,
        create_partitions_response::CreatePartitionsTopicResult,
        create_topics_request::CreatableTopic,
        create_topics_response::{CreatableTopicConfigs, CreatableTopicResult},
        delete_topics_response::DeletableTopicResult,
    },
};
use std::sync::Arc;
use uuid::Uuid;

/// What a request says where the server is to choose.
const DEFAULT: i32 = -1;
/// From this version on an answer shows the topic's settings.
const SHOWS_SETTINGS: i16 = 5;

/// Why a topic is not as a request wants it.
type Refusal = (ResponseError, String);

fn refusal(error: &TopicError) -> Refusal {
    (error.error(), error.to_string())
}

impl Broker {
    pub async fn create_topics(&self, version: i16, request: CreateTopicsRequest) -> CreateTopicsResponse {
        let mut topics = Vec::with_capacity(request.topics.len());
        for wanted in request.topics {
            let name = wanted.name.clone();
            let created = self.create_topic(wanted, request.validate_only).await;
            topics.push(created_topic(version, name, created));
        }
        CreateTopicsResponse::default().with_topics(topics)
    }

    async fn create_topic(&self, wanted: CreatableTopic, validate_only: bool) -> Result<Topic, Refusal> {
        let new = new_topic(&wanted)?;
        if !validate_only {
            return self.store.create_topic(new).await.map(|topic| Topic::clone(&topic)).map_err(|error| refusal(&error));
        }
        new.check().map_err(|error| refusal(&error))?;
        if self.topic(&new.name).is_some() {
            return Err(refusal(&TopicError::Exists));
        }
        check_room(self.store.catalog().partitions(), new.partitions as usize).map_err(|error| refusal(&error))?;
        Ok(Topic { name: new.name, number: 0, id: Uuid::nil(), settings: new.settings, partitions: Vec::new() })
    }

    pub async fn delete_topics(&self, version: i16, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
        let mut responses = Vec::new();
        // Until version 5 a request has only names.
        let named = request.topic_names.into_iter().map(|name| (Some(name), Uuid::nil()));
        for (name, id) in named.chain(request.topics.into_iter().map(|topic| (topic.name, topic.topic_id))) {
            responses.push(self.delete_topic(version, name, id).await);
        }
        DeleteTopicsResponse::default().with_responses(responses)
    }

    async fn delete_topic(&self, version: i16, name: Option<TopicName>, id: Uuid) -> DeletableTopicResult {
        let catalog = self.store.catalog();
        let topic = name.as_ref().map_or_else(|| catalog.topic_with_id(id), |name| catalog.topic(name));
        let unknown = if name.is_some() { ResponseError::UnknownTopicOrPartition } else { ResponseError::UnknownTopicId };
        let answer = DeletableTopicResult::default();
        let Some(topic) = topic else {
            // Before version 6 an answer cannot go without a name.
            let name = if version < 6 { Some(name.unwrap_or_default()) } else { name };
            return answer.with_name(name).with_topic_id(id).with_error_code(unknown.code());
        };
        let answer = answer.with_name(Some(super::broker::topic_name(&topic.name))).with_topic_id(topic.id);
        match self.store.delete_topic(&topic.name).await {
            Ok(()) => answer,
            Err(error) => answer.with_error_code(error.code()).with_error_message(Some(text(error))),
        }
    }

    pub async fn create_partitions(&self, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
        let mut results = Vec::with_capacity(request.topics.len());
        for wanted in request.topics {
            let answer = CreatePartitionsTopicResult::default().with_name(wanted.name.clone());
            results.push(match self.add_partitions(&wanted, request.validate_only).await {
                Ok(()) => answer,
                Err((error, why)) => answer.with_error_code(error.code()).with_error_message(Some(text(why))),
            });
        }
        CreatePartitionsResponse::default().with_results(results)
    }

    async fn add_partitions(&self, wanted: &CreatePartitionsTopic, validate_only: bool) -> Result<(), Refusal> {
        let count = u32::try_from(wanted.count).unwrap_or(0);
        if !validate_only {
            return self.store.add_partitions(&wanted.name, count).await.map(drop).map_err(|error| refusal(&error));
        }
        let topic = self.topic(&wanted.name).ok_or_else(|| refusal(&TopicError::Unknown))?;
        let more = (count as usize).saturating_sub(topic.partitions.len());
        check_growth(&topic, count).and_then(|()| check_room(self.store.catalog().partitions(), more)).map_err(|error| refusal(&error))
    }
}

fn new_topic(wanted: &CreatableTopic) -> Result<NewTopic, Refusal> {
    if !matches!(wanted.replication_factor, -1 | 1) && wanted.assignments.is_empty() {
        let why = format!("there is one broker, so a topic has one copy, not {}", wanted.replication_factor);
        return Err((ResponseError::InvalidReplicationFactor, why));
    }
    let partitions = match (wanted.assignments.len(), wanted.num_partitions) {
        (0, DEFAULT) => 1,
        (0, count) => u32::try_from(count).unwrap_or(0),
        // A client that assigns copies to brokers can only mean this one.
        (assigned, _) => assigned as u32,
    };
    let settings = wanted.configs.iter().filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())));
    Ok(NewTopic { name: wanted.name.to_string(), partitions, settings: settings.collect() })
}

fn created_topic(version: i16, name: TopicName, created: Result<Topic, Refusal>) -> CreatableTopicResult {
    let answer = CreatableTopicResult::default().with_name(name).with_configs(Some(Vec::new()));
    let topic = match created {
        Ok(topic) => topic,
        Err((error, why)) => {
            let answer = answer.with_error_code(error.code()).with_error_message(Some(text(why)));
            return answer.with_num_partitions(-1).with_replication_factor(-1).with_configs(None);
        }
    };
    let answer = answer.with_topic_id(topic.id).with_num_partitions(topic.partitions.len() as i32).with_replication_factor(1);
    if version < SHOWS_SETTINGS { answer } else { answer.with_configs(Some(shown_settings(&Arc::new(topic)))) }
}

fn shown_settings(topic: &Topic) -> Vec<CreatableTopicConfigs> {
    let shown = |setting: &settings::Setting| {
        CreatableTopicConfigs::default()
            .with_name(text(setting.name))
            .with_value(Some(text(settings::value(&topic.settings, setting.name))))
            .with_config_source(super::configs::source_of(topic, setting.name))
    };
    settings::KNOWN.iter().map(shown).collect()
}
