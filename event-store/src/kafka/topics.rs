//! Creates the topics, and checks that nobody has given them dangerous settings since.

use super::{KafkaConfig, OWNERS_TOPIC, topic_of};
use crate::Barrier;
use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
};
use serde::Serialize;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

const TIMEOUT: Duration = Duration::from_secs(10);

/// How safe the topics must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Copies of each partition.
    pub replication: i32,
    /// Copies that must have a record before it is acknowledged.
    pub min_insync: i32,
}

/// The topics as they should be.
#[derive(Clone, Debug)]
pub struct TopicPlan {
    /// The services with a log.
    pub services: Vec<&'static str>,
    /// Partitions of each log; fixed for life, since an aggregate's partition is worked out from it.
    pub partitions: i32,
    /// How safe they must be.
    pub profile: Profile,
}

/// A topic that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The topic.
    pub topic: String,
    /// The setting: `cleanup.policy`, `partitions`, ...
    pub setting: String,
    /// Its value.
    pub is: String,
    /// The value that it must have.
    pub must: String,
}

/// The brokers could not be asked, or refused.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// No broker answered.
    #[error("the brokers {brokers} do not answer: {why}")]
    Unreachable {
        /// Their addresses.
        brokers: String,
        /// The client's reason.
        why: String,
    },
    /// The brokers refused to make a topic.
    #[error("topic {topic} could not be created: {why}")]
    NotCreated {
        /// The topic.
        topic: String,
        /// The broker's reason.
        why: String,
    },
}

/// Makes and checks topics.
pub struct Topics {
    admin: AdminClient<DefaultClientContext>,
    brokers: String,
}

impl Topics {
    /// Connects in the background.
    pub fn new(config: &KafkaConfig) -> Result<Self, TopicsError> {
        let brokers = config.brokers.clone();
        let admin =
            config.client().create().map_err(|error| TopicsError::Unreachable { brokers: brokers.clone(), why: error.to_string() })?;
        Ok(Self { admin, brokers })
    }

    fn unreachable(&self, why: &impl ToString) -> TopicsError {
        TopicsError::Unreachable { brokers: self.brokers.clone(), why: why.to_string() }
    }

    /// Creates the topics that are missing, and waits until the brokers list every log. Leaves those that exist as they are. Returns the
    /// names of the new ones.
    pub async fn create(&self, plan: &TopicPlan) -> Result<Vec<String>, TopicsError> {
        let (replication, min_insync) = (plan.profile.replication, plan.profile.min_insync.to_string());
        let logs: Vec<String> = plan.services.iter().map(|service| topic_of(service)).collect();
        let mut wanted: Vec<NewTopic<'_>> = logs.iter().map(|name| log_topic(name, plan, &min_insync)).collect();
        wanted.push(NewTopic::new(OWNERS_TOPIC, 1, TopicReplication::Fixed(replication)).set("cleanup.policy", "compact"));
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
        let results = self.admin.create_topics(&wanted, &options).await.map_err(|error| self.unreachable(&error))?;
        let mut created = Vec::new();
        for result in results {
            match result {
                Ok(topic) => created.push(topic),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(TopicsError::NotCreated { topic, why: code.to_string() }),
            }
        }
        if !created.is_empty() {
            self.told_of(plan).await?;
        }
        Ok(created)
    }

    /// Waits until the brokers list every log: a broker answers that it has created a topic before it, or another broker, knows of the
    /// topic.
    async fn told_of(&self, plan: &TopicPlan) -> Result<(), TopicsError> {
        let until = Instant::now() + TIMEOUT;
        loop {
            let known = self.partitions(&plan.services)?;
            let Some(missing) = plan.services.iter().find(|service| !known.contains_key(*service)) else { return Ok(()) };
            if Instant::now() >= until {
                return Err(TopicsError::NotCreated { topic: topic_of(missing), why: "no broker tells of it".to_owned() });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The cluster's own id. Blocks for a round trip.
    pub fn cluster_id(&self) -> Result<String, TopicsError> {
        let id = self.admin.inner().fetch_cluster_id(TIMEOUT);
        id.ok_or_else(|| self.unreachable(&"they do not say which cluster they are"))
    }

    /// The number of partitions of each service's log, by service; a missing topic is left out. Blocks for a round trip.
    pub fn partitions(&self, services: &[&'static str]) -> Result<HashMap<&'static str, i32>, TopicsError> {
        let metadata = self.admin.inner().fetch_metadata(None, TIMEOUT).map_err(|error| self.unreachable(&error))?;
        let count = |service: &&'static str| {
            let topic = topic_of(service);
            let found = metadata.topics().iter().find(|known| known.name() == topic && known.error().is_none());
            found.map(|found| (*service, found.partitions().len() as i32))
        };
        Ok(services.iter().filter_map(count).collect())
    }

    /// The barrier that a service's log needs: the log's end is enough only where a partition has one copy. Blocks for a round trip.
    pub fn barrier(&self, service: &str) -> Result<Barrier, TopicsError> {
        let topic = topic_of(service);
        let metadata = self.admin.inner().fetch_metadata(Some(&topic), TIMEOUT).map_err(|error| self.unreachable(&error))?;
        let partitions = metadata.topics().iter().flat_map(|known| known.partitions());
        let copies = partitions.map(|partition| partition.replicas().len()).max().unwrap_or(0);
        Ok(if copies == 1 { Barrier::End } else { Barrier::Append })
    }

    /// All deviations from the plan.
    pub async fn check(&self, plan: &TopicPlan) -> Result<Vec<Violation>, TopicsError> {
        let mut violations = self.check_layout(plan)?;
        let missing: Vec<String> =
            violations.iter().filter(|violation| violation.setting == "topic").map(|violation| violation.topic.clone()).collect();
        let topics: Vec<String> = plan.services.iter().map(|service| topic_of(service)).filter(|topic| !missing.contains(topic)).collect();
        let asked: Vec<ResourceSpecifier<'_>> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let answers = self.admin.describe_configs(&asked, &options).await.map_err(|error| self.unreachable(&error))?;
        for (topic, answer) in topics.iter().zip(answers) {
            let resource = answer.map_err(|code| self.unreachable(&code))?;
            violations.extend(check_settings(topic, &resource, plan.profile));
        }
        Ok(violations)
    }

    fn check_layout(&self, plan: &TopicPlan) -> Result<Vec<Violation>, TopicsError> {
        let metadata = self.admin.inner().fetch_metadata(None, TIMEOUT).map_err(|error| self.unreachable(&error))?;
        let mut violations = Vec::new();
        for topic in plan.services.iter().map(|service| topic_of(service)) {
            let mut broken = |setting: &str, is: String, must: String| {
                violations.push(Violation { topic: topic.clone(), setting: setting.into(), is, must })
            };
            match metadata.topics().iter().find(|known| known.name() == topic && known.error().is_none()) {
                None => broken("topic", "missing".into(), "there".into()),
                Some(known) => {
                    let (is, must) = (known.partitions().len() as i32, plan.partitions);
                    if is != must {
                        broken("partitions", is.to_string(), must.to_string());
                    }
                    let copies = known.partitions().iter().map(|partition| partition.replicas().len() as i32).min().unwrap_or(0);
                    if copies < plan.profile.replication {
                        broken("replication", copies.to_string(), format!("at least {}", plan.profile.replication));
                    }
                }
            }
        }
        Ok(violations)
    }
}

fn log_topic<'a>(name: &'a str, plan: &TopicPlan, min_insync: &'a str) -> NewTopic<'a> {
    NewTopic::new(name, plan.partitions, TopicReplication::Fixed(plan.profile.replication))
        .set("cleanup.policy", "delete")
        .set("retention.ms", "-1")
        .set("retention.bytes", "-1")
        .set("min.insync.replicas", min_insync)
        .set("unclean.leader.election.enable", "false")
}

/// A setting, whether a value of it is right, and what it must be in words.
type Rule<'a> = (&'a str, &'a dyn Fn(&str) -> bool, String);

/// The settings that would lose or rewrite history. One that the broker does not report is not judged.
fn check_settings(topic: &str, resource: &ConfigResource, profile: Profile) -> Vec<Violation> {
    let min_insync = |value: &str| value.parse::<i32>().is_ok_and(|copies| copies >= profile.min_insync);
    let rules: [Rule<'_>; 5] = [
        ("cleanup.policy", &|value| value == "delete", "delete".into()),
        ("retention.ms", &|value| value == "-1", "-1".into()),
        ("retention.bytes", &|value| value == "-1", "-1".into()),
        ("unclean.leader.election.enable", &|value| value == "false", "false".into()),
        ("min.insync.replicas", &min_insync, format!("at least {}", profile.min_insync)),
    ];
    let value_of = |name: &str| resource.entries.iter().find(|entry| entry.name == name).and_then(|entry| entry.value.clone());
    let judge = |(setting, holds, must): Rule<'_>| {
        let is = value_of(setting)?;
        (!holds(&is)).then(|| Violation { topic: topic.into(), setting: setting.into(), is, must })
    };
    rules.into_iter().filter_map(judge).collect()
}
