//! The schema registry: where it is used, the ids are its.

use crate::{
    Schemas,
    bundle::{Record, records},
    compatibility::{Incompatible, check},
};
use apache_avro::Schema;
use schema_registry_converter::{
    async_impl::schema_registry::{SrSettings, get_schema_by_id, get_schema_by_subject, post_schema},
    error::SRCError,
    schema_registry_common::{SchemaType, SubjectNameStrategy, SuppliedSchema},
};
use std::{collections::HashMap, time::Duration};

/// The registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Nobody answers, or what they say makes no sense.
    #[error("the schema registry at {url} failed: {reason}")]
    Failed {
        /// Where it was sought.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// A schema of this build would break readers or writers of an earlier one.
    #[error("{subject} is not compatible with its registered version: {why}")]
    Incompatible {
        /// The record's full name.
        subject: String,
        /// Which field, and why.
        why: Incompatible,
    },
}

impl Schemas {
    /// Registers the schemas of this build at a registry that speaks Confluent's API, under FULL_TRANSITIVE, and takes its ids.
    pub async fn connect(url: &str) -> Result<Self, RegistryError> {
        // Which of rustls' providers is meant must be said once in a process; a second saying changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = settings(url)?;
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().map_err(|error| failed(url, &error))?;
        let mut ids = HashMap::new();
        for record in records() {
            require_compatibility(&client, url, record.name).await?;
            ids.insert(record.name, register(&settings, url, record).await?);
        }
        Ok(Self::with_ids(ids, Some(url.to_owned())))
    }

    /// Asks the registry for a schema that was met in a log. True when it is known now.
    pub async fn learn(&self, id: i32) -> bool {
        if self.by_id(id).is_some() {
            return true;
        }
        let Some(url) = self.registry() else { return false };
        match fetch(url, id).await {
            Ok(schema) => {
                self.add(id, schema);
                true
            }
            Err(error) => {
                tracing::warn!(id, %error, "a schema cannot be learned");
                false
            }
        }
    }
}

fn failed(url: &str, reason: &impl ToString) -> RegistryError {
    RegistryError::Failed { url: url.to_owned(), reason: reason.to_string() }
}

fn settings(url: &str) -> Result<SrSettings, RegistryError> {
    SrSettings::new_builder(url.to_owned()).set_timeout(Duration::from_secs(10)).build().map_err(|error| failed(url, &error))
}

async fn fetch(url: &str, id: i32) -> Result<Schema, RegistryError> {
    let id = u32::try_from(id).map_err(|error| failed(url, &error))?;
    let registered = get_schema_by_id(id, &settings(url)?).await.map_err(|error| failed(url, &error))?;
    Schema::parse_str(&registered.schema).map_err(|error| failed(url, &error))
}

async fn require_compatibility(client: &reqwest::Client, url: &str, subject: &str) -> Result<(), RegistryError> {
    let put = client.put(format!("{url}/config/{subject}")).json(&serde_json::json!({"compatibility": "FULL_TRANSITIVE"}));
    put.send().await.and_then(reqwest::Response::error_for_status).map(drop).map_err(|error| failed(url, &error))
}

async fn register(settings: &SrSettings, url: &str, record: &'static Record) -> Result<i32, RegistryError> {
    let supplied = SuppliedSchema::new(Some(record.name.to_owned()), SchemaType::Avro, record.text.to_owned());
    match post_schema(settings, record.name.to_owned(), supplied).await {
        Ok(registered) => i32::try_from(registered.id).map_err(|error| failed(url, &error)),
        Err(error) => Err(explain(settings, url, record, &error).await),
    }
}

/// The registry says no more than "incompatible": which field it is, we say ourselves.
async fn explain(settings: &SrSettings, url: &str, record: &'static Record, error: &SRCError) -> RegistryError {
    let strategy = SubjectNameStrategy::RecordNameStrategy(record.name.to_owned());
    let latest = get_schema_by_subject(settings, &strategy).await.ok().and_then(|latest| Schema::parse_str(&latest.schema).ok());
    match latest.map(|latest| check(&latest, record.schema)) {
        Some(Err(why)) => RegistryError::Incompatible { subject: record.name.to_owned(), why },
        Some(Ok(())) | None => failed(url, error),
    }
}
