//! A client of the public HTTP API: it sends a key with every POST, and repeats requests for a while.

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::{
    Client, RequestBuilder, Response, StatusCode, Url,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;
use std::{error::Error, time::Duration};
use tokio::sync::Semaphore;

/// The actor that the audit shows where nobody is asked for a token. A merchant may state agreed prices.
pub const ACTOR: &str = "merchant/import";
const ACTOR_HEADER: HeaderName = HeaderName::from_static("daybook-actor");
/// How often a request is repeated while the answer is "not now" or unknown, or there is none: for minutes, enough for a restart.
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
    /// The detail, where the shop refused what the request asks for: that is about this request, so others may go on.
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::Refused { status: StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY, detail, .. } => {
                Some(detail)
            }
            Self::Refused { .. } | Self::Address { .. } | Self::Unusable { .. } => None,
        }
    }

    /// True where the shop refused the request with one of these codes.
    pub fn is_one_of(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Refused { code, .. } if codes.contains(&code.as_str()))
    }
}

/// What a POST made or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The id of the aggregate.
    pub id: String,
    /// True where an earlier request under the same key did it.
    pub replayed: bool,
}

/// An answer, and whether it is that to an earlier request.
struct Answer {
    body: Value,
    replayed: bool,
}

/// The result of one attempt.
enum Attempt {
    Done(Answer),
    /// Ask again, after this pause where the answer asked for one.
    Again(Option<Duration>, ApiError),
    Failed(ApiError),
}

/// A client of Daybook at a URL.
pub struct Api {
    client: Client,
    url: String,
    /// A place for each request that may be under way.
    places: Semaphore,
}

impl Api {
    /// Sends nothing yet, and later on at most so many requests at once.
    pub fn new(url: &str, concurrency: usize) -> Result<Self, ApiError> {
        let wrong = |why: String| ApiError::Address { url: url.to_owned(), why };
        let parsed = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(wrong("it must begin with http:// or https://".into()));
        }
        // rustls needs one crypto provider chosen in a process. Where one is chosen already, this call fails and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let headers = HeaderMap::from_iter([(ACTOR_HEADER, HeaderValue::from_static(ACTOR))]);
        let client =
            Client::builder().default_headers(headers).timeout(Duration::from_secs(30)).build().map_err(|error| wrong(words(&error)))?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned(), places: Semaphore::new(concurrency) })
    }

    /// Waits some seconds for the API to answer.
    pub async fn greet(&self) -> Result<(), ApiError> {
        match self.ask("/health/ready", FIRST_PATIENCE, |url| self.client.get(url)).await {
            Ok(_) | Err(ApiError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Posts under an idempotency key until there is an answer.
    pub async fn post(&self, path: &str, key: &str, body: Value) -> Result<Made, ApiError> {
        let request = |url: &str| self.client.post(url).header("Idempotency-Key", key).json(&body);
        let Answer { body, replayed } = self.ask(path, PATIENCE, request).await?;
        let nameless = || ApiError::Unusable { url: format!("{}{path}", self.url), why: "its answer has no id".into() };
        let id = body["id"].as_str().map(str::to_owned).ok_or_else(nameless)?;
        Ok(Made { id, replayed })
    }

    /// Gets until there is an answer; none where nothing is found (yet).
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Option<Value>, ApiError> {
        match self.ask(path, PATIENCE, |url| self.client.get(url).query(query)).await {
            Ok(found) => Ok(Some(found.body)),
            Err(ApiError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gets what is there by now, whatever the view has seen of it; none where it does not exist.
    pub async fn get_strong(&self, path: &str) -> Result<Option<Value>, ApiError> {
        self.get(path, &[("consistency", "strong")]).await
    }

    /// Gets all items of a list.
    pub async fn list(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<Value>, ApiError> {
        let (mut items, mut after) = (Vec::new(), None::<String>);
        loop {
            let further = after.iter().map(|after| ("after", after.as_str()));
            let query: Vec<_> = query.iter().copied().chain([("limit", "200")]).chain(further).collect();
            let Some(page) = self.get(path, &query).await? else { return Ok(items) };
            items.extend(page["items"].as_array().into_iter().flatten().cloned());
            after = page["next"].as_str().map(str::to_owned);
            if after.is_none() {
                return Ok(items);
            }
        }
    }

    async fn ask(&self, path: &str, patience: usize, request: impl Fn(&str) -> RequestBuilder) -> Result<Answer, ApiError> {
        let url = format!("{}{path}", self.url);
        let mut pauses = pauses(patience);
        loop {
            // Held for one attempt only: who waits to ask again keeps nobody else from asking.
            let place = self.places.acquire().await;
            let attempt = attempt(&url, request(&url)).await;
            drop(place);
            match attempt {
                Attempt::Done(answer) => return Ok(answer),
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
        Ok(response) if is_again(response.status()) => {
            let why = format!("it keeps answering {}, so it is not done or nobody knows", response.status());
            Attempt::Again(retry_after(&response), unusable(why))
        }
        Ok(response) if response.status().is_success() => {
            let replayed = response.headers().get("idempotency-replayed").is_some_and(|value| value == "true");
            match response.json().await {
                Ok(body) => Attempt::Done(Answer { body, replayed }),
                Err(error) if error.is_decode() => Attempt::Failed(unusable(format!("its answer is not JSON: {}", words(&error)))),
                Err(error) => Attempt::Again(None, unusable(words(&error))),
            }
        }
        Ok(response) => Attempt::Failed(refused(url, response).await),
        Err(error) if error.is_builder() => Attempt::Failed(unusable(words(&error))),
        Err(error) => Attempt::Again(None, unusable(words(&error))),
    }
}

/// 503, 429 and 408 say that nothing was done; with 504 and 502 nobody knows. Either way the same request with the same key is right.
fn is_again(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::GATEWAY_TIMEOUT
            | StatusCode::BAD_GATEWAY
    )
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
