//! A client of the public HTTP API: it sends a key with every POST, and repeats requests for a while.

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, header};
use serde_json::Value;
use std::{error::Error, time::Duration};

/// The actor that the audit shows. A merchant may state agreed prices.
pub const ACTOR: &str = "merchant/import";
/// How often a request is repeated while the answer is "not now" or there is none: for minutes, enough for a restart.
const PATIENCE: usize = 40;
/// How often the first request is repeated: for seconds, since nobody wants to wait minutes to learn of a wrong address.
const FIRST_PATIENCE: usize = 6;
/// The longest `Retry-After` that is obeyed.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The most jitter that is added to a `Retry-After`.
const MOST_JITTER: Duration = Duration::from_secs(1);

/// Why a request to the API failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The address cannot be that of an API.
    #[error("{url} is no address of an HTTP API: {why}")]
    Address {
        /// The address that was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answers, or every answer is "not now", or the answer cannot be understood.
    #[error("no use of {url}: {why}")]
    Unusable {
        /// The URL of the request.
        url: String,
        /// What is wrong, by the client or by the answer.
        why: String,
    },
    /// The API refused the request.
    #[error("{url} answered {status}: {detail}")]
    Refused {
        /// The URL of the request.
        url: String,
        /// The status.
        status: StatusCode,
        /// The problem's stable name: `idempotency-key-reused`.
        code: String,
        /// The problem's detail.
        detail: String,
    },
}

impl ApiError {
    /// The detail, where a business rule refused the request (422): that is about this request, so others may go on.
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::Refused { status: StatusCode::UNPROCESSABLE_ENTITY, detail, .. } => Some(detail),
            Self::Refused { .. } | Self::Address { .. } | Self::Unusable { .. } => None,
        }
    }

    /// True where the key was used before, for another request.
    pub fn is_key_reused(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "idempotency-key-reused")
    }
}

/// The result of one attempt.
enum Attempt {
    Done(Value),
    /// Ask again, after this pause where the answer asked for one.
    Again(Option<Duration>, ApiError),
    Failed(ApiError),
}

/// A client of Daybook at a URL.
pub struct Api {
    client: Client,
    url: String,
}

impl Api {
    /// Sends nothing yet.
    pub fn new(url: &str) -> Result<Self, ApiError> {
        let wrong = |why: String| ApiError::Address { url: url.to_owned(), why };
        let parsed = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(wrong("it must begin with http:// or https://".into()));
        }
        // rustls needs one crypto provider chosen in a process. Where one is chosen already, this call fails and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(Duration::from_secs(30)).build().map_err(|error| wrong(words(&error)))?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned() })
    }

    /// Waits some seconds for the API to answer.
    pub async fn greet(&self) -> Result<(), ApiError> {
        match self.ask("/health/ready", FIRST_PATIENCE, |url| self.client.get(url)).await {
            Ok(_) | Err(ApiError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Posts under an idempotency key until there is an answer: the id of the aggregate that was made or changed.
    pub async fn post(&self, path: &str, key: &str, body: Value) -> Result<String, ApiError> {
        let request = |url: &str| self.client.post(url).header("Idempotency-Key", key).header("Daybook-Actor", ACTOR).json(&body);
        let made = self.ask(path, PATIENCE, request).await?;
        let nameless = || ApiError::Unusable { url: format!("{}{path}", self.url), why: "its answer has no id".into() };
        made["id"].as_str().map(str::to_owned).ok_or_else(nameless)
    }

    /// Gets until there is an answer; none where nothing is found (yet).
    pub async fn get(&self, path: &str) -> Result<Option<Value>, ApiError> {
        match self.ask(path, PATIENCE, |url| self.client.get(url)).await {
            Ok(found) => Ok(Some(found)),
            Err(ApiError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, path: &str, patience: usize, request: impl Fn(&str) -> RequestBuilder) -> Result<Value, ApiError> {
        let url = format!("{}{path}", self.url);
        let mut pauses = pauses(patience);
        loop {
            match attempt(&url, request(&url)).await {
                Attempt::Done(value) => return Ok(value),
                Attempt::Failed(error) => return Err(error),
                Attempt::Again(asked, error) => match pauses.next() {
                    // The server may have asked all clients to come back at the same moment: the jitter of our own pause spreads them.
                    Some(own) => tokio::time::sleep(asked.map_or(own, |asked| asked.min(LONGEST_PAUSE) + own.min(MOST_JITTER))).await,
                    None => return Err(error),
                },
            }
        }
    }
}

fn pauses(times: usize) -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(5))
        .with_jitter()
        .with_max_times(times)
        .build()
}

async fn attempt(url: &str, request: RequestBuilder) -> Attempt {
    let unusable = |why: String| ApiError::Unusable { url: url.to_owned(), why };
    match request.send().await {
        Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => {
            Attempt::Again(retry_after(&response), unusable("it keeps answering 503, not now".into()))
        }
        Ok(response) if response.status().is_success() => match response.json().await {
            Ok(value) => Attempt::Done(value),
            Err(error) if error.is_decode() => Attempt::Failed(unusable(format!("its answer is not JSON: {}", words(&error)))),
            Err(error) => Attempt::Again(None, unusable(words(&error))),
        },
        Ok(response) => Attempt::Failed(refused(url, response).await),
        Err(error) if error.is_builder() => Attempt::Failed(unusable(words(&error))),
        Err(error) => Attempt::Again(None, unusable(words(&error))),
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn refused(url: &str, response: Response) -> ApiError {
    let status = response.status();
    let problem: Value = response.json().await.unwrap_or_default();
    let text = |name: &str| problem[name].as_str().unwrap_or_default();
    let code = text("type").rsplit(':').next().unwrap_or_default().to_owned();
    ApiError::Refused { url: url.to_owned(), status, code, detail: text("detail").to_owned() }
}

/// An error with its causes: reqwest keeps "connection refused" in the third.
fn words(error: &dyn Error) -> String {
    let (mut words, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
