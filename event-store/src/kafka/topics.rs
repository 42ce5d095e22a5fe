//! Creates the topics, and checks that nobody has given them dangerous settings since.

use super::{KafkaConfig, OWNERS_TOPIC, reach::reach, topic_of, topic_rules::check_settings};
use crate::Barrier;
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a look at the copies may take.
const LOOK: Duration = Duration::from_secs(5);

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
    /// They refuse this client: its password, its certificate, or theirs.
    #[error("the brokers {brokers} do not let this client in, or it does not trust them: {why}")]
    Refused {
        /// Their addresses.
        brokers: String,
        /// The client's reason.
        why: String,
    },
    /// The brokers do not show the topic's settings to this client.
    #[error("the settings of topic {topic} are not shown: {why}")]
    NotShown {
        /// The topic.
        topic: String,
        /// The broker's reason.
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

    /// The same, once a broker has answered.
    ///
    /// # Errors
    /// [`TopicsError::Refused`] where they refuse this client, which shows nowhere else; [`TopicsError::Unreachable`] where none answers.
    pub async fn connect(config: &KafkaConfig) -> Result<Self, TopicsError> {
        let (client, asked) = (config.client(), config.clone());
        let reached = tokio::task::spawn_blocking(move || reach(&asked, &client)).await;
        reached.map_err(|error| TopicsError::Unreachable { brokers: config.brokers.clone(), why: error.to_string() })??;
        Self::new(config)
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
        let owners = NewTopic::new(OWNERS_TOPIC, OWNERS_PARTITIONS, TopicReplication::Fixed(replication));
        wanted.push(owners.set("cleanup.policy", "compact").set("min.insync.replicas", &min_insync));
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
    ///
    /// # Errors
    /// No broker answers.
    pub fn barrier(&self, service: &str) -> Result<Barrier, TopicsError> {
        Ok(self.barriers(&[service])?.get(service).copied().unwrap_or(Barrier::Append))
    }

    /// The same for several services; a missing topic is left out. Blocks for a round trip.
    ///
    /// # Errors
    /// No broker answers.
    pub fn barriers<'a>(&self, services: &[&'a str]) -> Result<HashMap<&'a str, Barrier>, TopicsError> {
        let metadata = self.admin.inner().fetch_metadata(None, LOOK).map_err(|error| self.unreachable(&error))?;
        let barrier = |service: &&'a str| {
            let topic = topic_of(service);
            let known = metadata.topics().iter().find(|known| known.name() == topic && known.error().is_none())?;
            let copies = known.partitions().iter().map(|partition| partition.replicas().len()).max().unwrap_or(0);
            Some((*service, if copies == 1 { Barrier::End } else { Barrier::Append }))
        };
        Ok(services.iter().filter_map(barrier).collect())
    }

    /// All deviations from the plan, of the logs and of the owners' topic.
    ///
    /// # Errors
    /// No broker answers, or this client may not see a topic's settings.
    pub async fn check(&self, plan: &TopicPlan) -> Result<Vec<Violation>, TopicsError> {
        let (mut violations, copies) = self.check_layout(plan)?;
        let topics: Vec<(String, i32)> = copies.into_iter().collect();
        if topics.is_empty() {
            return Ok(violations);
        }
        let asked: Vec<ResourceSpecifier<'_>> = topics.iter().map(|(topic, _)| ResourceSpecifier::Topic(topic)).collect();
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let answers = self.admin.describe_configs(&asked, &options).await.map_err(|error| self.unreachable(&error))?;
        for ((topic, copies), answer) in topics.iter().zip(answers) {
            let resource = answer.map_err(|code| TopicsError::NotShown { topic: topic.clone(), why: code.to_string() })?;
            let value = |name: &str| resource.entries.iter().find(|entry| entry.name == name).and_then(|entry| entry.value.clone());
            violations.extend(check_settings(topic, *copies, plan.profile, value));
        }
        Ok(violations)
    }

    /// The deviations of the layout, and the copies of each topic that is there.
    fn check_layout(&self, plan: &TopicPlan) -> Result<(Vec<Violation>, BTreeMap<String, i32>), TopicsError> {
        let metadata = self.admin.inner().fetch_metadata(None, TIMEOUT).map_err(|error| self.unreachable(&error))?;
        let (mut violations, mut there) = (Vec::new(), BTreeMap::new());
        let logs = plan.services.iter().map(|service| (topic_of(service), plan.partitions));
        for (topic, partitions) in logs.chain([(OWNERS_TOPIC.to_owned(), OWNERS_PARTITIONS)]) {
            let mut broken = |setting: &str, is: String, must: String| {
                violations.push(Violation { topic: topic.clone(), setting: setting.into(), is, must })
            };
            let Some(known) = metadata.topics().iter().find(|known| known.name() == topic && known.error().is_none()) else {
                broken("topic", "missing".into(), "there".into());
                continue;
            };
            let is = known.partitions().len() as i32;
            if is != partitions {
                broken("partitions", is.to_string(), partitions.to_string());
            }
            let copies = known.partitions().iter().map(|partition| partition.replicas().len() as i32).min().unwrap_or(0);
            if copies < plan.profile.replication {
                broken("replication", copies.to_string(), format!("at least {}", plan.profile.replication));
            }
            there.insert(topic, copies);
        }
        Ok((violations, there))
    }
}

/// The owners' topic has one: its readers need the announcements of a partition in order, and there are few.
const OWNERS_PARTITIONS: i32 = 1;

fn log_topic<'a>(name: &'a str, plan: &TopicPlan, min_insync: &'a str) -> NewTopic<'a> {
    NewTopic::new(name, plan.partitions, TopicReplication::Fixed(plan.profile.replication))
        .set("cleanup.policy", "delete")
        .set("retention.ms", "-1")
        .set("retention.bytes", "-1")
        .set("min.insync.replicas", min_insync)
        .set("unclean.leader.election.enable", "false")
}
