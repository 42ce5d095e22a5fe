//! A store as the tools that read all of it open it: logs, schemas, databases.

use crate::{Failure, StoreArguments, System, embedded::EmbeddedLog};
use codec::Codecs;
use event_store::{
    Log,
    kafka::{KafkaConfig, KafkaLog, KafkaProducer, Topics},
};
use projections::{Database, Logs};
use std::{collections::HashMap, sync::Arc};

/// An open store.
pub(crate) struct Store {
    pub logs: Logs,
    pub partitions: HashMap<&'static str, i32>,
    pub codecs: Codecs,
    arguments: StoreArguments,
    /// The embedded log, where no other process serves it.
    log: Option<EmbeddedLog>,
}

impl Store {
    /// Opens the store; serves the embedded log where that is the one to use and no other process serves it yet.
    pub async fn open(system: &System, arguments: &StoreArguments) -> Result<Self, Failure> {
        let log = EmbeddedLog::start_unless_served(arguments).await?;
        let config = arguments.kafka.config("daybook-tool");
        let topics = Topics::new(&config).map_err(Failure::failed)?;
        let partitions = topics.partitions(&system.logs()).map_err(Failure::failed)?;
        let logs = logs(&config, &partitions)?;
        let codecs = system.codecs(arguments.schemas(system).await?);
        Ok(Self { logs, partitions, codecs, arguments: arguments.clone(), log })
    }

    /// The database of a service.
    pub async fn database(&self, service: &str) -> Result<Database, Failure> {
        let opened = Database::open(&self.arguments.database(service)).await;
        opened.map_err(|error| Failure::failed(format!("the database of {service}: {error}")))
    }

    /// Closes the log that was opened for it.
    pub async fn close(self) -> Result<(), Failure> {
        match self.log {
            Some(log) => log.stop().await,
            None => Ok(()),
        }
    }
}

fn logs(config: &KafkaConfig, partitions: &HashMap<&'static str, i32>) -> Result<Logs, Failure> {
    let producer = KafkaProducer::new(config).map_err(Failure::failed)?;
    let log = |service: &&'static str| -> (&'static str, Arc<dyn Log>) {
        (*service, Arc::new(KafkaLog::new(producer.clone(), service, config.clone())))
    };
    Ok(partitions.keys().map(log).collect())
}
