//! An issuer's keys by OpenID Connect Discovery: its metadata name the place of its keys.

use super::{FetchKeys, KeySet, Unfetched};
use crate::{Issuer, issuer::secret_url};
use reqwest::{Client, Response, redirect::Policy};
use serde::Deserialize;
use std::{error::Error, time::Duration};

/// The longest answer that is read, in bytes.
const BODY_BOUND: usize = 1024 * 1024;

/// The longest time for each of the two requests, the connection among it.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The most redirections that are followed, all of them to the same scheme, host and port.
const REDIRECTS: usize = 3;

/// Reads keys over HTTP.
#[derive(Debug, Clone)]
pub struct HttpKeys {
    client: Client,
    issuer: String,
    discovery: String,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl HttpKeys {
    /// Reads the issuer's keys by a client that is made of `builder`, which brings what is to be trusted; time-outs and redirections are set here.
    pub fn new(issuer: &Issuer, builder: reqwest::ClientBuilder) -> Result<Self, reqwest::Error> {
        // rustls needs one crypto provider chosen in a process. Where one is chosen already, this call fails and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = builder.timeout(ANSWER_WITHIN).redirect(within_origin()).build()?;
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

    async fn get(&self, url: &str) -> Result<Vec<u8>, Unfetched> {
        let unreachable = |reason: String| Unfetched::Unreachable { url: url.to_owned(), reason };
        let response =
            self.client.get(url).header("accept", "application/json").send().await.map_err(|error| unreachable(causes(&error)))?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(unreachable(format!("status {}", response.status())));
        }
        bounded_body(response).await.map_err(|error| unreachable(causes(&error)))?.ok_or(Unfetched::Unreadable("it is longer than 1 MiB"))
    }
}

impl FetchKeys for HttpKeys {
    async fn fetch(&self) -> Result<KeySet, Unfetched> {
        let metadata = self.metadata().await?;
        KeySet::parse(&self.get(&metadata.jwks_uri).await?)
    }
}

/// The body, or nothing where it is too long; no more than that is ever read.
async fn bounded_body(mut response: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > BODY_BOUND {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// Follows redirections within an origin only: the keys must come from whom the setting or the issuer's metadata name.
fn within_origin() -> Policy {
    Policy::custom(|attempt| {
        let stays = attempt.previous().iter().all(|passed| passed.origin() == attempt.url().origin());
        if stays && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
    })
}

/// An error with what caused it: reqwest's own text says only that sending failed.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
