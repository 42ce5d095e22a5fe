//! A store as the tools that read all of it open it: logs, schemas, databases.

use crate::{
    Failure, StoreArguments, System,
    embedded::{self, EmbeddedLog, Missing},
    exclusive::{self, Exclusive},
    identity,
};
use codec::Codecs;
use event_store::{
    Log,
    kafka::{KafkaConfig, KafkaLog, KafkaProducer, Topics},
};
use projections::{Database, DatabaseError, Logs};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// An open store.
pub(crate) struct Store {
    pub logs: Logs,
    pub partitions: HashMap<&'static str, i32>,
    pub codecs: Codecs,
    /// Who opened it.
    tool: &'static str,
    arguments: StoreArguments,
    /// The embedded log, where no other process serves it.
    log: Option<EmbeddedLog>,
}

impl Store {
    /// Opens the store for a tool; serves the embedded log where that is the one to use and no node serves it.
    pub async fn open(system: &System, arguments: &StoreArguments, tool: &'static str) -> Result<Self, Failure> {
        let log = embedded::for_tool(system, arguments, tool, Missing::Refused).await?;
        let config = arguments.kafka.config("daybook-tool");
        let topics = Topics::connect(&config).await.map_err(Failure::failed)?;
        let partitions = topics.partitions(&system.logs()).map_err(Failure::failed)?;
        if partitions.is_empty() {
            return Err(Failure::usage(format!("{} holds no log of {}: it has none of the topics", config.brokers, system.title())));
        }
        let logs = logs(&config, &partitions)?;
        let codecs = system.codecs(arguments.schemas(system).await?);
        Ok(Self { logs, partitions, codecs, tool, arguments: arguments.clone(), log })
    }

    /// The database of a service, which must be there.
    pub async fn database(&self, service: &str) -> Result<Database, Failure> {
        let opened = Database::open_existing(&self.arguments.database(service)).await;
        opened.map_err(|error| match error {
            DatabaseError::Missing => {
                Failure::usage(format!("the database of {service} is not there, or holds no views: {}", self.databases()))
            }
            error => Failure::failed(format!("the database of {service}: {error}")),
        })
    }

    fn databases(&self) -> String {
        match &self.arguments.postgres {
            Some(server) => format!("DAYBOOK_POSTGRES (--postgres) is {}", codec::shown_url(server)),
            None => format!("DAYBOOK_DATA (--data) is {}, and DAYBOOK_POSTGRES (--postgres) not set", self.arguments.data.display()),
        }
    }

    /// Refuses databases that were made of another log.
    pub async fn refuse_other_logs(&self, services: impl Iterator<Item = &'static str>) -> Result<(), Failure> {
        let logs = self.logs.iter().map(|(service, log)| (*service, log.clone())).collect();
        let mut databases = BTreeMap::new();
        for service in services {
            databases.insert(service, self.database(service).await?);
        }
        identity::check(&self.arguments, &databases, false, (&logs, identity::sources(&self.partitions))).await
    }

    /// Keeps other tools away from the shadows of a service's views.
    pub async fn hold(&self, service: &str) -> Result<Held, Failure> {
        let what = format!("the views of {service}");
        match &self.arguments.postgres {
            Some(_) => match self.database(service).await?.hold(&exclusive::me(self.tool)).await {
                Ok(Ok(held)) => Ok(Held::Postgres(held)),
                Ok(Err(holder)) => Err(exclusive::taken(&what, &holder)),
                Err(error) => Err(Failure::failed(format!("the database of {service}: {error}"))),
            },
            None => {
                let database = self.database(service).await?;
                database.close().await;
                Exclusive::take(&self.arguments.data.join("views").join(format!("{service}.lock")), &what, self.tool).map(Held::Sqlite)
            }
        }
    }

    /// Closes the log that was opened for it.
    pub async fn close(self) -> Result<(), Failure> {
        match self.log {
            Some(log) => log.stop().await,
            None => Ok(()),
        }
    }
}

/// What keeps other tools away, until it is dropped.
#[derive(Debug)]
pub(crate) enum Held {
    Sqlite(#[expect(dead_code, reason = "it is held")] Exclusive),
    Postgres(#[expect(dead_code, reason = "it is held")] projections::Held),
}

fn logs(config: &KafkaConfig, partitions: &HashMap<&'static str, i32>) -> Result<Logs, Failure> {
    let producer = KafkaProducer::new(config).map_err(Failure::failed)?;
    let log = |service: &&'static str| -> (&'static str, Arc<dyn Log>) {
        (*service, Arc::new(KafkaLog::new(producer.clone(), service, config.clone())))
    };
    Ok(partitions.keys().map(log).collect())
}
