//! The public HTTP API, as a careful client uses it: a key on every POST, and patience.

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::{Client, Method, RequestBuilder, StatusCode, header};
use serde_json::Value;
use std::time::Duration;

/// Who the audit says it was; a merchant may state agreed prices.
const ACTOR: &str = "merchant/import";
/// How often a request is repeated while the answer is "not now" or nobody answers.
const PATIENCE: usize = 40;

/// Why the import cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nobody answers, for minutes.
    #[error("{url} does not answer: {why}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What the client says.
        why: String,
    },
    /// The API said no to something that should have been right.
    #[error("{url} answered {status}: {detail}")]
    Refused {
        /// What was asked.
        url: String,
        /// The status.
        status: StatusCode,
        /// The problem's detail.
        detail: String,
    },
}

/// Daybook at a URL.
pub struct Api {
    client: Client,
    url: String,
}

impl Api {
    /// Asks nothing yet.
    pub fn new(url: &str) -> Result<Self, reqwest::Error> {
        // Which of rustls' providers is meant must be said once in a process; a second saying changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned() })
    }

    /// Posts under an idempotency key, until there is an answer.
    pub async fn post(&self, path: &str, key: &str, body: Value) -> Result<Value, ApiError> {
        let request =
            |url: &str| self.client.request(Method::POST, url).header("Idempotency-Key", key).header("Daybook-Actor", ACTOR).json(&body);
        self.ask(path, request).await
    }

    /// Gets, until there is an answer; none where there is no such thing (yet).
    pub async fn get(&self, path: &str) -> Result<Option<Value>, ApiError> {
        match self.ask(path, |url| self.client.get(url)).await {
            Ok(found) => Ok(Some(found)),
            Err(ApiError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, path: &str, request: impl Fn(&str) -> RequestBuilder) -> Result<Value, ApiError> {
        let url = format!("{}{path}", self.url);
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_secs(5))
            .with_jitter()
            .with_max_times(PATIENCE)
            .build();
        loop {
            let (pause, error) = match request(&url).send().await {
                Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    let asked = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
                    (
                        asked.map(Duration::from_secs),
                        ApiError::Refused { url: url.clone(), status: response.status(), detail: "not now".into() },
                    )
                }
                Ok(response) if response.status().is_success() => match response.json().await {
                    Ok(value) => return Ok(value),
                    Err(error) => (None, ApiError::Unreachable { url: url.clone(), why: error.to_string() }),
                },
                Ok(response) => {
                    let status = response.status();
                    let problem: Value = response.json().await.unwrap_or_default();
                    return Err(ApiError::Refused { url, status, detail: problem["detail"].as_str().unwrap_or_default().to_owned() });
                }
                Err(error) => (None, ApiError::Unreachable { url: url.clone(), why: error.to_string() }),
            };
            match pauses.next() {
                Some(own) => tokio::time::sleep(pause.unwrap_or(own).min(Duration::from_secs(10))).await,
                None => return Err(error),
            }
        }
    }
}
