//! The gateway over HTTP: a time limit, retries with jitter, a circuit breaker, a bulkhead.

use super::{Gateway, GatewayError};
use backon::{ExponentialBuilder, Retryable};
use domain::{Money, PaymentId};
use failsafe::{Config, StateMachine, backoff::Exponential, failure_policy::ConsecutiveFailures, futures::CircuitBreaker};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How the gateway is treated.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Where it is: `http://127.0.0.1:9300`.
    pub url: String,
    /// The longest that one call may take.
    pub timeout: Duration,
    /// How often a call is repeated before the caller hears of it.
    pub retries: usize,
    /// The most calls at once; further ones wait.
    pub concurrency: usize,
    /// After how many failures in a row it is left alone.
    pub failures: u32,
    /// How long it is left alone at first, from 1 s, and at most.
    pub leave_alone: (Duration, Duration),
}

impl GatewayConfig {
    /// The defaults for a gateway at `url`.
    pub fn new(url: &str) -> Self {
        let leave_alone = (Duration::from_secs(1), Duration::from_secs(10));
        Self {
            url: url.trim_end_matches('/').to_owned(),
            timeout: Duration::from_secs(2),
            retries: 3,
            concurrency: 32,
            failures: 8,
            leave_alone,
        }
    }
}

type Breaker = StateMachine<ConsecutiveFailures<Exponential>, ()>;

/// A gateway at a URL.
pub struct HttpGateway {
    client: Client,
    config: GatewayConfig,
    breaker: Breaker,
    bulkhead: Semaphore,
}

impl HttpGateway {
    /// Connects when it is needed.
    pub fn new(config: GatewayConfig) -> Result<Self, GatewayError> {
        // Which of rustls' providers is meant must be said once in a process; a second saying changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(config.timeout).build().map_err(|error| GatewayError::Failed(error.to_string()))?;
        let (first, longest) = (config.leave_alone.0.max(Duration::from_secs(1)), config.leave_alone.1);
        let policy = failsafe::failure_policy::consecutive_failures(config.failures, failsafe::backoff::exponential(first, longest));
        let breaker = Config::new().failure_policy(policy).build();
        let bulkhead = Semaphore::new(config.concurrency);
        Ok(Self { client, config, breaker, bulkhead })
    }

    /// Posts until there is an answer that means something: done (2xx) or declined (402). Anything else is a failure.
    async fn post(&self, path: &str, body: Value) -> Result<(StatusCode, Value), GatewayError> {
        let _place = self.bulkhead.acquire().await.map_err(|error| GatewayError::Failed(error.to_string()))?;
        let pauses =
            ExponentialBuilder::default().with_min_delay(Duration::from_millis(20)).with_jitter().with_max_times(self.config.retries);
        let attempt = || async {
            self.breaker.call(self.post_once(path, &body)).await.map_err(|error| match error {
                failsafe::Error::Inner(error) => error,
                failsafe::Error::Rejected => GatewayError::LeftAlone,
            })
        };
        attempt.retry(pauses).when(|error| *error != GatewayError::LeftAlone).await
    }

    async fn post_once(&self, path: &str, body: &Value) -> Result<(StatusCode, Value), GatewayError> {
        let failed = |error: reqwest::Error| GatewayError::Failed(error.without_url().to_string());
        let response = self.client.post(format!("{}{path}", self.config.url)).json(body).send().await.map_err(failed)?;
        let status = response.status();
        if status.is_success() || status == StatusCode::PAYMENT_REQUIRED {
            return Ok((status, response.json().await.map_err(failed)?));
        }
        Err(GatewayError::Failed(format!("it answered {status}")))
    }
}

fn text(answer: &Value, field: &str) -> String {
    answer[field].as_str().unwrap_or("unspecified").to_owned()
}

#[async_trait::async_trait]
impl Gateway for HttpGateway {
    async fn authorise(&self, payment: PaymentId, amount: &Money, method: &str) -> Result<Result<String, String>, GatewayError> {
        let body = json!({"amount": amount, "method": method});
        let (status, answer) = self.post(&format!("/payments/{payment}/authorisation"), body).await?;
        Ok(if status == StatusCode::PAYMENT_REQUIRED { Err(text(&answer, "reason")) } else { Ok(text(&answer, "reference")) })
    }

    async fn capture(&self, payment: PaymentId) -> Result<(), GatewayError> {
        done(self.post(&format!("/payments/{payment}/capture"), json!({})).await?)
    }

    async fn void(&self, payment: PaymentId) -> Result<(), GatewayError> {
        done(self.post(&format!("/payments/{payment}/void"), json!({})).await?)
    }

    async fn refund(&self, payment: PaymentId, refund: &str, amount: &Money) -> Result<(), GatewayError> {
        done(self.post(&format!("/payments/{payment}/refunds/{refund}"), json!({"amount": amount})).await?)
    }
}

fn done((status, answer): (StatusCode, Value)) -> Result<(), GatewayError> {
    if status == StatusCode::PAYMENT_REQUIRED { Err(GatewayError::Failed(text(&answer, "reason"))) } else { Ok(()) }
}
