//! Reading and changing the settings of topics.

use super::broker::{Broker, ErrorCode, NODE, once, text};
use crate::{
    settings::{self, Setting, SettingError, TopicSettings, ValueType},
    store::{Topic, TopicError},
};
use kafka_protocol::{
    ResponseError,
    messages::{
        AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse, IncrementalAlterConfigsRequest,
        IncrementalAlterConfigsResponse,
        alter_configs_response::AlterConfigsResourceResponse,
        describe_configs_request::DescribeConfigsResource,
        describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym},
        incremental_alter_configs_response::AlterConfigsResourceResponse as IncrementalResponse,
    },
    protocol::StrBytes,
};

// The protocol's numbers for what has settings.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
// The protocol's numbers for where a value comes from.
const OF_THE_TOPIC: i8 = 1;
const OF_THE_BROKER: i8 = 4;
const DEFAULT: i8 = 5;
// The protocol's numbers for what to do with a setting.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// The broker's own settings that tools look at; none of them can be changed.
const OF_BROKER: &[(&str, &str, ValueType)] = &[
    ("auto.create.topics.enable", "false", ValueType::Boolean),
    ("default.replication.factor", "1", ValueType::Int),
    ("log.retention.ms", "-1", ValueType::Long),
    ("message.max.bytes", "1048588", ValueType::Int),
    ("min.insync.replicas", "1", ValueType::Int),
    ("num.partitions", "1", ValueType::Int),
];

/// One change of one setting.
#[derive(Clone)]
struct Change {
    name: String,
    operation: i8,
    value: Option<String>,
}

/// Why a resource is not changed.
type Refusal = (ResponseError, String);

/// Where a topic's value of a setting comes from.
pub(super) fn source_of(topic: &Topic, setting: &str) -> i8 {
    if topic.settings.contains_key(setting) { OF_THE_TOPIC } else { DEFAULT }
}

impl Broker {
    pub fn describe_configs(&self, _version: i16, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
        let describe = |resource: &DescribeConfigsResource| self.describe(resource, request.include_synonyms);
        let resources = once(request.resources, |resource| (resource.resource_type, resource.resource_name.clone()));
        DescribeConfigsResponse::default().with_results(resources.iter().map(describe).collect())
    }

    fn describe(&self, resource: &DescribeConfigsResource, with_synonyms: bool) -> DescribeConfigsResult {
        let answer =
            DescribeConfigsResult::default().with_resource_type(resource.resource_type).with_resource_name(resource.resource_name.clone());
        let configs = match resource.resource_type {
            TOPIC => self.topic(&resource.resource_name).map(|topic| shown_topic(&topic, with_synonyms)),
            BROKER => is_this_broker(&resource.resource_name).then(shown_broker),
            _ => None,
        };
        let Some(mut configs) = configs else {
            let error =
                if resource.resource_type == TOPIC { ResponseError::UnknownTopicOrPartition } else { ResponseError::InvalidRequest };
            return answer.with_error_code(error.code()).with_error_message(Some(text("there is no such resource")));
        };
        if let Some(keys) = &resource.configuration_keys {
            configs.retain(|config| keys.contains(&config.name));
        }
        answer.with_configs(configs)
    }

    pub async fn incremental_alter_configs(&self, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
        let mut responses = Vec::with_capacity(request.resources.len());
        for resource in request.resources {
            let change = |config: &kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig| Change {
                name: config.name.to_string(),
                operation: config.config_operation,
                value: config.value.as_ref().map(ToString::to_string),
            };
            let changes = resource.configs.iter().map(change).collect();
            let outcome = self.change(resource.resource_type, &resource.resource_name, changes, false, request.validate_only).await;
            let (code, message) = outcome_fields(outcome);
            let answer =
                IncrementalResponse::default().with_resource_type(resource.resource_type).with_resource_name(resource.resource_name);
            responses.push(answer.with_error_code(code).with_error_message(message));
        }
        IncrementalAlterConfigsResponse::default().with_responses(responses)
    }

    /// The older request, which replaces all settings of a resource.
    pub async fn alter_configs(&self, request: AlterConfigsRequest) -> AlterConfigsResponse {
        let mut responses = Vec::with_capacity(request.resources.len());
        for resource in request.resources {
            let change = |config: &kafka_protocol::messages::alter_configs_request::AlterableConfig| Change {
                name: config.name.to_string(),
                operation: SET,
                value: config.value.as_ref().map(ToString::to_string),
            };
            let changes = resource.configs.iter().map(change).collect();
            let outcome = self.change(resource.resource_type, &resource.resource_name, changes, true, request.validate_only).await;
            let (code, message) = outcome_fields(outcome);
            let answer = AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name);
            responses.push(answer.with_error_code(code).with_error_message(message));
        }
        AlterConfigsResponse::default().with_responses(responses)
    }

    async fn change(&self, of: i8, name: &str, changes: Vec<Change>, replace: bool, validate_only: bool) -> Result<(), Refusal> {
        if of != TOPIC {
            return Err((ResponseError::InvalidRequest, "only the settings of topics can be changed".to_owned()));
        }
        let topic = self.topic(name).ok_or_else(|| refusal(&TopicError::Unknown))?;
        let mut settings = if replace { TopicSettings::new() } else { topic.settings.clone() };
        changes.iter().try_for_each(|change| change.apply(&mut settings))?;
        settings::check(&settings).map_err(|error| refusal(&error.into()))?;
        if validate_only {
            return Ok(());
        }
        // The changes are made to the settings as they are then, behind whatever was asked for before.
        let make = move |settings: &mut TopicSettings| {
            if replace {
                settings.clear();
            }
            let _ = changes.iter().try_for_each(|change| change.apply(settings));
        };
        self.store.set_topic_settings(name, make).await.map(drop).map_err(|error| refusal(&error))
    }
}

fn refusal(error: &TopicError) -> Refusal {
    (error.error(), error.to_string())
}

fn outcome_fields(outcome: Result<(), Refusal>) -> (i16, Option<StrBytes>) {
    match outcome {
        Ok(()) => (0, None),
        Err((error, why)) => (error.code(), Some(text(why))),
    }
}

impl Change {
    fn apply(&self, settings: &mut TopicSettings) -> Result<(), Refusal> {
        let setting = settings::known(&self.name).ok_or_else(|| refusal(&SettingError::Unknown(self.name.clone()).into()))?;
        let value = self.value.clone().unwrap_or_default();
        match self.operation {
            SET => drop(settings.insert(self.name.clone(), value)),
            DELETE => drop(settings.remove(&self.name)),
            APPEND | SUBTRACT if setting.value_type == ValueType::List => self.change_list(settings, &value),
            _ => return Err((ResponseError::InvalidConfig, format!("{} is no list", self.name))),
        }
        Ok(())
    }

    fn change_list(&self, settings: &mut TopicSettings, value: &str) {
        let before = settings::value(settings, &self.name).to_owned();
        let words = settings::list(value);
        let mut list: Vec<&str> = settings::list(&before).into_iter().filter(|word| !words.contains(word)).collect();
        if self.operation == APPEND {
            list.extend(words);
        }
        settings.insert(self.name.clone(), list.join(","));
    }
}

fn is_this_broker(name: &str) -> bool {
    name.parse() == Ok(NODE.0)
}

fn shown_topic(topic: &Topic, with_synonyms: bool) -> Vec<DescribeConfigsResourceResult> {
    let shown = |setting: &Setting| {
        let value = settings::value(&topic.settings, setting.name);
        let source = source_of(topic, setting.name);
        let synonym = |value: &str, source| {
            DescribeConfigsSynonym::default().with_name(text(setting.name)).with_value(Some(text(value))).with_source(source)
        };
        let mut synonyms = Vec::new();
        if with_synonyms && source == OF_THE_TOPIC {
            synonyms.push(synonym(value, source));
        }
        if with_synonyms {
            synonyms.push(synonym(setting.default, DEFAULT));
        }
        shown(setting.name, value, setting.value_type).with_config_source(source).with_synonyms(synonyms)
    };
    settings::KNOWN.iter().map(shown).collect()
}

fn shown_broker() -> Vec<DescribeConfigsResourceResult> {
    let shown = |(name, value, value_type): &(&str, &str, ValueType)| {
        shown(name, value, *value_type).with_config_source(OF_THE_BROKER).with_read_only(true)
    };
    OF_BROKER.iter().map(shown).collect()
}

fn shown(name: &str, value: &str, value_type: ValueType) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default().with_name(text(name)).with_value(Some(text(value))).with_config_type(value_type as i8)
}
