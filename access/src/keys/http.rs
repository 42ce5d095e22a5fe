//! An issuer's keys by OpenID Connect Discovery: its metadata name the place of its keys.

use super::{FetchKeys, KeySet, Unfetched};
use crate::{Issuer, issuer::secret_url};
use axum::{
    body::{Body, Bytes, to_bytes},
    http::{Request, StatusCode, header::ACCEPT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde::Deserialize;
use std::{error::Error, sync::Arc, time::Duration};
use tokio::time::timeout;

/// The longest answer that is read, in bytes.
const BODY_BOUND: usize = 1024 * 1024;

/// The longest time for each of the two requests, the connection among it.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Reads keys over HTTPS, or HTTP on loopback. It follows no redirection: keys come from whom the setting and the issuer's metadata name.
#[derive(Debug, Clone)]
pub struct HttpKeys {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    issuer: String,
    discovery: String,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl HttpKeys {
    /// Reads the issuer's keys from servers whose certificates these authorities vouch for; [`system_authorities`] are the usual ones.
    pub fn new(issuer: &Issuer, authorities: RootCertStore) -> Result<Self, rustls::Error> {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions()?;
        let tls = tls.with_root_certificates(authorities).with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        // Nobody asks again for minutes: a connection that is kept would be closed by then.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, issuer: issuer.url().to_owned(), discovery: issuer.discovery_url() })
    }

    async fn metadata(&self) -> Result<Metadata, Unfetched> {
        let body = self.get(&self.discovery).await?;
        let metadata: Metadata = serde_json::from_slice(&body)
            .map_err(|_| Unfetched::Unreadable("its metadata are not a JSON object with `issuer` and `jwks_uri`"))?;
        if metadata.issuer != self.issuer {
            return Err(Unfetched::OtherIssuer { told: metadata.issuer.chars().take(300).collect(), expected: self.issuer.clone() });
        }
        secret_url(&metadata.jwks_uri)
            .map_err(|_| Unfetched::Unreadable("its `jwks_uri` must begin with https:// or stand on this machine"))?;
        Ok(metadata)
    }

    async fn get(&self, url: &str) -> Result<Bytes, Unfetched> {
        let answer = timeout(ANSWER_WITHIN, self.answer(url)).await.unwrap_or_else(|_| Err("no answer within 5 seconds".to_owned()));
        answer.map_err(|reason| Unfetched::Unreachable { url: url.to_owned(), reason })
    }

    /// The body of an answer with status 200, or what came instead.
    async fn answer(&self, url: &str) -> Result<Bytes, String> {
        let request = Request::get(url).header(ACCEPT, "application/json").body(Body::empty()).map_err(|error| causes(&error))?;
        let response = self.client.request(request).await.map_err(|error| causes(&error))?;
        if response.status() != StatusCode::OK {
            return Err(format!("status {}", response.status()));
        }
        to_bytes(Body::new(response.into_body()), BODY_BOUND).await.map_err(|error| causes(&error))
    }
}

impl FetchKeys for HttpKeys {
    async fn fetch(&self) -> Result<KeySet, Unfetched> {
        let metadata = self.metadata().await?;
        KeySet::parse(&self.get(&metadata.jwks_uri).await?)
    }
}

/// The certificate authorities that this machine trusts; none where it has none, which is enough for loopback.
pub fn system_authorities() -> RootCertStore {
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    authorities
}

/// An error with what caused it: the outermost says only that sending failed.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
