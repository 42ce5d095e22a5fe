//! The schema registry; if one is used, it gives the ids.

use crate::{
    RecordSet, Schemas,
    compatibility::{Incompatible, check},
    record_set::Record,
};
use apache_avro::Schema;
use backon::{ExponentialBuilder, Retryable};
use reqwest::{
    Certificate,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use schema_registry_converter::{
    async_impl::schema_registry::{SrSettings, get_schema_by_id, get_schema_by_subject, post_schema},
    error::SRCError,
    schema_registry_common::{SchemaType, SubjectNameStrategy, SuppliedSchema},
};
use std::{collections::HashMap, time::Duration};

/// How long the registry may take to accept a connection, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// How long a whole answer of the registry's may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often to try again after another node set the same rule at the same moment.
const MOST_CONFLICTS: usize = 8;

/// The registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry does not answer, or its answer makes no sense.
    #[error("the schema registry at {url} failed: {reason}")]
    Failed {
        /// The registry's address.
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

/// How a registry lets us in, beside a user and a password in its address.
#[derive(Clone, Default)]
pub struct Access {
    /// A user and a password.
    pub basic: Option<(String, String)>,
    /// A token (RFC 6750).
    pub bearer: Option<String>,
    /// Certificates (PEM) by which it is known, beside those of the system.
    pub authorities: Vec<u8>,
}

/// A registry that speaks Confluent's API.
#[derive(Clone)]
pub struct Registry {
    url: String,
    client: reqwest::Client,
    settings: SrSettings,
}

impl Registry {
    /// The registry at this address; connects to nothing.
    ///
    /// # Errors
    /// A secret cannot stand in a header, or the certificates are none.
    pub fn new(url: &str, access: Access) -> Result<Self, RegistryError> {
        // rustls needs its provider chosen once in a process; a second choice fails and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = with_user(url, access.basic);
        let builder = || http(access.bearer.as_deref(), &access.authorities).map_err(|why| failed(&url, &why));
        let client = builder()?.build().map_err(|error| failed(&url, &error))?;
        let settings = SrSettings::new_builder(url.clone()).build_with(builder()?).map_err(|error| failed(&url, &error))?;
        Ok(Self { url, client, settings })
    }

    /// Its address as a person may see it.
    pub fn shown(&self) -> String {
        shown_url(&self.url)
    }
}

/// The address with a user and a password in it, which is how both of our clients take them.
fn with_user(url: &str, basic: Option<(String, String)>) -> String {
    let Some(((user, password), mut parsed)) = basic.zip(reqwest::Url::parse(url).ok()) else { return url.to_owned() };
    let set = parsed.set_username(&user).and_then(|()| parsed.set_password(Some(&password)));
    if set.is_ok() { parsed.as_str().trim_end_matches('/').to_owned() } else { url.to_owned() }
}

impl Schemas {
    /// Registers the schemas of this build at a registry that speaks Confluent's API, under FULL_TRANSITIVE, and takes its ids.
    pub async fn connect(set: &RecordSet, registry: &Registry) -> Result<Self, RegistryError> {
        let mut ids = HashMap::new();
        for record in set.records() {
            require_compatibility(registry, &record.name).await?;
            ids.insert(record.name.as_str(), register(registry, record).await?);
        }
        Ok(Self::with_ids(set, ids, Some(registry.clone())))
    }

    /// Asks the registry for the schema of an id that stands in a log.
    pub async fn learn(&self, id: i32) -> Learned {
        if self.by_id(id).is_some() {
            return Learned::Known;
        }
        let Some(registry) = self.registry() else { return Learned::NeverGiven };
        match fetch(registry, id).await {
            Ok(Some(schema)) => {
                self.add(id, schema);
                Learned::Known
            }
            Ok(None) => Learned::NeverGiven,
            Err(error) => {
                tracing::warn!(id, %error, "a schema cannot be learned now");
                Learned::NotNow
            }
        }
    }
}

/// The outcome of asking for a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// It is known: decoding may be tried again.
    Known,
    /// No schema has this id: a record that names it will never be decoded. (The registry gives an id before anybody writes under it.)
    NeverGiven,
    /// The registry did not answer: a record that names it must wait.
    NotNow,
}

/// A URL as a person may see it: without the user and the password that may stand in it, and without its options, one of which may be a
/// password too (`postgres://host?password=...`).
pub fn shown_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (&url[..scheme.len() + 3], rest));
    // The last one: a password may have a slash or another @ in it.
    let (user, place) = rest.rfind('@').map_or(("", rest), |at| ("***@", &rest[at + 1..]));
    format!("{scheme}{user}{}", place.split('?').next().unwrap_or_default())
}

fn failed(url: &str, reason: &impl ToString) -> RegistryError {
    let (url, reason) = (shown_url(url), reason.to_string().replace(url, &shown_url(url)));
    RegistryError::Failed { url, reason }
}

fn http(bearer: Option<&str>, authorities: &[u8]) -> Result<reqwest::ClientBuilder, String> {
    let mut headers = HeaderMap::new();
    if let Some(token) = bearer {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| "its token cannot stand in a header")?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let wrong = |error: reqwest::Error| format!("its certificates are none: {error}");
    let known = Certificate::from_pem_bundle(authorities).map_err(wrong)?;
    if known.is_empty() && !authorities.is_empty() {
        return Err("the file of its certificates holds none".to_owned());
    }
    let client = reqwest::Client::builder().connect_timeout(CONNECT_WITHIN).timeout(ANSWER_WITHIN);
    Ok(client.default_headers(headers).tls_certs_merge(known))
}

/// The schema of an id; none if the registry says that there is none.
async fn fetch(registry: &Registry, id: i32) -> Result<Option<Schema>, RegistryError> {
    let Ok(id) = u32::try_from(id) else { return Ok(None) };
    match get_schema_by_id(id, &registry.settings).await {
        Ok(registered) => Schema::parse_str(&registered.schema).map(Some).map_err(|error| failed(&registry.url, &error)),
        Err(error) if error.error.contains("status 404") => Ok(None),
        Err(error) => Err(failed(&registry.url, &error)),
    }
}

/// Sets the rule FULL_TRANSITIVE for a subject. Of nodes that start together on a new registry and set the same rule at once, all but one
/// are answered 409: they try again.
async fn require_compatibility(registry: &Registry, subject: &str) -> Result<(), RegistryError> {
    let url = &registry.url;
    let put = registry.client.put(format!("{url}/config/{subject}")).json(&serde_json::json!({"compatibility": "FULL_TRANSITIVE"}));
    let put =
        || async { put.try_clone().expect("a JSON body can be sent again").send().await.and_then(reqwest::Response::error_for_status) };
    let pauses = ExponentialBuilder::default().with_min_delay(Duration::from_millis(20)).with_jitter().with_max_times(MOST_CONFLICTS);
    let lost_a_race = |error: &reqwest::Error| error.status() == Some(reqwest::StatusCode::CONFLICT);
    put.retry(pauses).when(lost_a_race).await.map(drop).map_err(|error| failed(url, &with_causes(&error.without_url())))
}

/// An error with what it came from: "error sending request" alone hides that the certificate was refused.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}

async fn register(registry: &Registry, record: &'static Record) -> Result<i32, RegistryError> {
    let supplied = SuppliedSchema::new(Some(record.name.clone()), SchemaType::Avro, record.text.to_owned());
    match post_schema(&registry.settings, record.name.clone(), supplied).await {
        Ok(registered) => i32::try_from(registered.id).map_err(|error| failed(&registry.url, &error)),
        Err(error) => Err(explain(registry, record, &error).await),
    }
}

/// The registry says no more than "incompatible", so we compare with its latest version to name the field.
async fn explain(registry: &Registry, record: &'static Record, error: &SRCError) -> RegistryError {
    let strategy = SubjectNameStrategy::RecordNameStrategy(record.name.clone());
    let latest = get_schema_by_subject(&registry.settings, &strategy).await.ok();
    let latest = latest.and_then(|latest| Schema::parse_str(&latest.schema).ok());
    match latest.map(|latest| check(&latest, record.schema)) {
        Some(Err(why)) => RegistryError::Incompatible { subject: record.name.clone(), why },
        Some(Ok(())) | None => failed(&registry.url, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_user_password_and_options() {
        for (url, shown) in [
            ("http://a:1/b", "http://a:1/b"),
            ("postgres://u:p/w@rd@h:5432?sslmode=disable", "postgres://***@h:5432"),
            ("postgres://u@h?password=canary", "postgres://***@h"),
            ("postgres://h?password=c@nary", "postgres://***@nary"),
            ("u:canary@h", "***@h"),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }

    #[test]
    fn a_user_and_a_password_stand_in_the_address_whatever_signs_they_have() {
        let basic = Some(("u".to_owned(), "p@ss/wo rd".to_owned()));
        assert_eq!(with_user("https://h:1/apis", basic), "https://u:p%40ss%2Fwo%20rd@h:1/apis");
        assert_eq!(with_user("https://h:1", None), "https://h:1");
    }

    #[test]
    fn wrong_access_is_refused_without_the_secret() {
        let wrong = |access| Registry::new("https://u:canary@h", access).err().map(|error| error.to_string());
        let token = wrong(Access { bearer: Some("can\nary".to_owned()), ..Access::default() }).expect("no header has a line break");
        let file = wrong(Access { authorities: b"no certificate".to_vec(), ..Access::default() }).expect("it holds none");
        assert!(token.contains("token") && file.contains("holds none") && !format!("{token}{file}").contains("canary"), "{token} {file}");
        assert!(Registry::new("https://h", Access { bearer: Some("abc".to_owned()), ..Access::default() }).is_ok());
    }
}
