//! The registry of schemas, as the arguments name it.

use crate::{
    Failure, System,
    settings::{http_url, readable, secret, visible},
};
use clap::Args;
use codec::{Access, Registry, Schemas};
use std::path::PathBuf;

/// Where the registry of schemas is, and how it lets us in.
#[derive(Args, Clone)]
pub struct RegistryArguments {
    /// A Confluent-compatible schema registry, `https://user:password@host`. Without it, the schema ids of this build.
    #[arg(long, env = "SCHEMA_REGISTRY_URL", hide_env_values = true, value_parser = http_url)]
    pub registry: Option<String>,
    /// The user at the registry, where the address names none.
    #[arg(long, env = "SCHEMA_REGISTRY_USER", value_parser = visible)]
    pub registry_user: Option<String>,
    /// That user's password.
    #[arg(long, env = "SCHEMA_REGISTRY_PASSWORD", hide_env_values = true, value_parser = secret)]
    pub registry_password: Option<String>,
    /// The bearer token for the registry, in place of a user.
    #[arg(long, env = "SCHEMA_REGISTRY_TOKEN", hide_env_values = true, value_parser = visible)]
    pub registry_token: Option<String>,
    /// A file of certificates (PEM) by which the registry is known, beside those of the system.
    #[arg(long, env = "SCHEMA_REGISTRY_CA", value_parser = readable)]
    pub registry_ca: Option<PathBuf>,
}

impl RegistryArguments {
    /// The schemas by which events become bytes: with the registry's ids where a registry is named, else with this build's.
    ///
    /// # Errors
    /// The registry does not answer, or refuses a schema; its certificates cannot be read.
    pub async fn schemas(&self, system: &System) -> Result<Schemas, Failure> {
        match self.registry()? {
            Some(registry) => Schemas::connect(system.records(), &registry).await.map_err(Failure::failed),
            None => Ok(Schemas::bundled(system.records())),
        }
    }

    fn registry(&self) -> Result<Option<Registry>, Failure> {
        let Some(url) = &self.registry else { return Ok(None) };
        let mut access = Access { bearer: self.registry_token.clone(), ..Access::default() };
        if let (Some(user), Some(password)) = (&self.registry_user, &self.registry_password) {
            access.basic = Some((user.clone(), password.clone()));
        }
        if let Some(path) = &self.registry_ca {
            let wrong = |error| Failure::usage(format!("SCHEMA_REGISTRY_CA (--registry-ca) cannot be read: {error}"));
            access.authorities = std::fs::read(path).map_err(wrong)?;
        }
        Registry::new(url, access).map(Some).map_err(Failure::usage)
    }
}
