//! The payment gateway: someone else's system, reached over HTTP and a network that fails.
//!
//! Each call is idempotent by the payment's id (and the refund's), whatever the result of earlier calls.

use consumers::{Fault, NotNow};
use domain::{Money, PaymentId};
use reqwest::{Client, StatusCode, Url};
use serde_json::{Value, json};
use std::time::Duration;

/// How long the gateway may take to accept a connection, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// How long a whole answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(600);
/// After how long without a byte the kernel asks whether the other end of a connection is still there.
const ALIVE: Duration = Duration::from_secs(15);

/// The gateway's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done (2xx).
    Done(Value),
    /// It declines (402), for this reason.
    Declined(String),
    /// There is no outcome.
    Failed(NotNow),
}

/// The gateway of the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The address is malformed.
    #[error("DAYBOOK_GATEWAY_URL must be the address of a payment gateway, such as http://127.0.0.1:9300: {0}")]
    Url(String),
    /// The HTTP client cannot be made.
    #[error("the payment gateway's client cannot be made: {0}")]
    Client(String),
}

/// A gateway at a URL.
pub struct HttpGateway {
    client: Client,
    url: String,
    token: Option<String>,
}

impl HttpGateway {
    /// A gateway at `http://127.0.0.1:9300`, say. The first call connects to it; its destination limits how long an attempt may take.
    ///
    /// # Errors
    /// The address is malformed.
    pub fn new(url: &str) -> Result<Self, GatewayError> {
        Self::answering_within(url, ANSWER_WITHIN)
    }

    /// The same, of which a whole answer, its body included, may take this long. The destination's limit is shorter as a rule.
    ///
    /// # Errors
    /// The address is malformed.
    pub fn answering_within(url: &str, within: Duration) -> Result<Self, GatewayError> {
        let parsed = Url::parse(url).map_err(|error| GatewayError::Url(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(GatewayError::Url(format!("it begins with {}:", parsed.scheme())));
        }
        // rustls needs one crypto provider chosen in a process. Where one is chosen already, this call fails and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().connect_timeout(CONNECT_WITHIN).timeout(within).tcp_keepalive(ALIVE).build();
        let client = client.map_err(|error| GatewayError::Client(error.to_string()))?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned(), token: None })
    }

    /// The same, which lets callers in by this bearer token.
    #[must_use]
    pub fn with_token(self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self }
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        let request = self.client.post(format!("{}{path}", self.url)).json(&body);
        let request = self.token.iter().fold(request, |request, token| request.bearer_auth(token));
        match request.send().await {
            Ok(response) => read(response).await,
            Err(error) => {
                // Where nobody listens, the next payment would get the same answer.
                let fault = if error.is_connect() { Fault::Destination } else { Fault::Unclear };
                Answer::Failed(NotNow::new(fault, format!("the payment gateway does not answer: {}", error.without_url())))
            }
        }
    }

    /// Holds the money.
    pub async fn authorise(&self, payment: PaymentId, amount: &Money, method: &str) -> Answer {
        self.post(&format!("/payments/{payment}/authorisation"), json!({"amount": amount, "method": method})).await
    }

    /// Takes what is held.
    pub async fn capture(&self, payment: PaymentId) -> Answer {
        self.post(&format!("/payments/{payment}/capture"), json!({})).await
    }

    /// Lifts the hold, or prevents a later one.
    pub async fn void(&self, payment: PaymentId) -> Answer {
        self.post(&format!("/payments/{payment}/void"), json!({})).await
    }

    /// Gives money back.
    pub async fn refund(&self, payment: PaymentId, refund: &str, amount: &Money) -> Answer {
        self.post(&format!("/payments/{payment}/refunds/{refund}"), json!({"amount": amount})).await
    }
}

async fn read(response: reqwest::Response) -> Answer {
    let status = response.status();
    let body = response.json::<Value>().await;
    match (status, body) {
        (StatusCode::PAYMENT_REQUIRED, body) => {
            let reason = body.ok().and_then(|body| body["reason"].as_str().map(str::to_owned));
            Answer::Declined(reason.unwrap_or_else(|| "unspecified".to_owned()))
        }
        (status, Ok(body)) if status.is_success() => Answer::Done(body),
        (status, Err(_)) if status.is_success() => {
            Answer::Failed(NotNow::new(Fault::Unclear, format!("the payment gateway answered {status} with something that is no JSON")))
        }
        (status, _) => Answer::Failed(NotNow::new(at_fault(status), format!("the payment gateway answered {status}"))),
    }
}

/// Where the fault lies. When a gateway does not let us in, asks us to slow down or is away, the next payment would get the same answer.
/// Any other refusal (4xx) is about this payment.
fn at_fault(status: StatusCode) -> Fault {
    match status {
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Fault::Destination,
        status if status.is_client_error() => Fault::Effect,
        _ => Fault::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_payment_would_hear_is_no_fault_of_this_one() {
        let fault = |code| at_fault(StatusCode::from_u16(code).unwrap());
        assert!([401, 403, 407, 429, 502, 503, 504].map(fault).iter().all(|fault| *fault == Fault::Destination));
        assert!([400, 402, 404, 409, 422].map(fault).iter().all(|fault| *fault == Fault::Effect));
        assert!([302, 500, 501].map(fault).iter().all(|fault| *fault == Fault::Unclear));
    }
}
