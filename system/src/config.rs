//! Turns the arguments into the configuration of each part: the one place that reads them.

use crate::{Failure, HostPort, KafkaArguments, Pooler, Role, RunArguments, StoreArguments, System, naming};
use codec::Schemas;
use consumers::{DestinationConfig, Patience};
use event_store::{
    Membership,
    kafka::{KafkaConfig, Profile, TopicPlan},
};
use std::time::Duration;

impl KafkaArguments {
    /// True when no brokers are named.
    pub fn is_embedded(&self) -> bool {
        self.kafka.is_none()
    }

    /// How to reach the brokers.
    pub fn config(&self, client_id: &str) -> KafkaConfig {
        let embedded = format!("127.0.0.1:{}", self.broker_port);
        let brokers = self.kafka.as_deref().unwrap_or(&embedded);
        KafkaConfig { properties: self.kafka_properties.clone().unwrap_or_default(), ..KafkaConfig::new(brokers, client_id) }
    }

    /// The topics as they should be.
    pub fn plan(&self, system: &System) -> TopicPlan {
        let partitions = self.partitions.unwrap_or(if self.is_embedded() { 1 } else { 4 });
        let profile = Profile { replication: self.replication, min_insync: self.min_insync };
        TopicPlan { services: system.logs(), partitions, profile }
    }
}

impl StoreArguments {
    /// The database of a service. Session options in the server's address (`?options=...`) hold for each.
    pub fn database(&self, service: &str) -> String {
        match &self.postgres {
            Some(address) => {
                let (server, sessions) = address.split_at(address.find('?').unwrap_or(address.len()));
                let pooler = match self.postgres_pooler {
                    Some(Pooler::Transaction) => format!("{}pooler=transaction", if sessions.is_empty() { '?' } else { '&' }),
                    None => String::new(),
                };
                format!("{}/daybook_{service}{sessions}{pooler}", server.trim_end_matches('/'))
            }
            None => {
                let file = self.data.join("views").join(format!("{service}.db")).display().to_string();
                // The driver takes a question mark for the beginning of options, and decodes what follows a percent sign.
                format!("sqlite://{}", file.replace('%', "%25").replace('?', "%3F"))
            }
        }
    }

    /// The schemas by which events become bytes: with the registry's ids where a registry is named, else with this build's.
    ///
    /// # Errors
    /// The registry does not answer, or refuses a schema.
    pub async fn schemas(&self, system: &System) -> Result<Schemas, Failure> {
        self.registry.schemas(system).await
    }
}

impl RunArguments {
    /// Whether this process plays a role of a service.
    pub fn plays(&self, service: &str, role: Role) -> bool {
        let service = self.services.is_empty() || self.services.iter().any(|known| known == service);
        service && (self.roles.is_empty() || self.roles.contains(&role))
    }

    /// Those of the given services of which this process plays a role.
    pub fn playing<'a>(&self, services: &[&'a str], role: Role) -> Vec<&'a str> {
        services.iter().copied().filter(|service| self.plays(service, role)).collect()
    }

    /// Whether this node shares partitions with others.
    pub fn membership(&self) -> Membership {
        if self.store.kafka.is_embedded() { Membership::Alone } else { Membership::Shared { standbys: self.standbys.into() } }
    }

    /// How long and how often an effect is tried.
    pub fn patience(&self) -> Patience {
        let seconds = Duration::from_secs;
        let (within, longest_pause) = (seconds(self.effect_within), seconds(self.effect_longest_pause));
        let first_pause = Patience::default().first_pause.min(longest_pause);
        Patience { attempts: self.effect_attempts, within, first_pause, longest_pause }
    }

    /// The limits of a destination of effects.
    pub fn destination(&self) -> DestinationConfig {
        let timeout = Duration::from_millis(self.effect_timeout);
        DestinationConfig { timeout, concurrency: self.effect_concurrency.into(), ..DestinationConfig::default() }
    }

    /// This node's name.
    pub fn node_name(&self) -> String {
        self.name.clone().unwrap_or_else(naming::of_this_process)
    }

    /// Where other nodes are told to reach this one, which listens at `port`.
    pub fn told_address(&self, port: u16) -> HostPort {
        let told = self.node_address.as_ref().unwrap_or(&self.node);
        let is_listened_at = self.node_address.is_none() || told.port == 0;
        HostPort { port: if is_listened_at { port } else { told.port }, ..told.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Asked {
        #[command(flatten)]
        store: StoreArguments,
    }

    #[test]
    fn a_database_keeps_what_the_servers_address_says_of_its_sessions() {
        let database = |address| Asked::parse_from(["asked", "--postgres", address]).store.database("users");
        assert_eq!(database("postgres://a@b:1/"), "postgres://a@b:1/daybook_users");
        let pooled = Asked::parse_from(["asked", "--postgres-pooler", "transaction", "--postgres", "postgres://a@b?sslmode=require"]);
        assert_eq!(pooled.store.database("users"), "postgres://a@b/daybook_users?sslmode=require&pooler=transaction");
        assert_eq!(database("postgres://a@b:1?options=-c%20jit%3Don"), "postgres://a@b:1/daybook_users?options=-c%20jit%3Don");
    }
}
