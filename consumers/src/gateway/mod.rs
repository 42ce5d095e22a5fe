//! The payment gateway: someone else's system, reached over a network that fails.

mod http;

pub use http::{GatewayConfig, HttpGateway};

use domain::{Money, PaymentId};

/// The gateway did not do what was asked, as far as anybody knows. Asking again with the same key is safe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// No answer, or one that makes no sense.
    #[error("the payment gateway failed: {0}")]
    Failed(String),
    /// It has failed so often that it is left alone for a while.
    #[error("the payment gateway is left alone after its failures")]
    LeftAlone,
}

/// Moves money. Each call is idempotent by the payment's id (and the refund's), whatever became of earlier ones.
#[async_trait::async_trait]
pub trait Gateway: Send + Sync + 'static {
    /// Holds the money. `Ok(Ok(reference))` when it is held, `Ok(Err(reason))` when it was declined.
    async fn authorise(&self, payment: PaymentId, amount: &Money, method: &str) -> Result<Result<String, String>, GatewayError>;
    /// Takes what is held.
    async fn capture(&self, payment: PaymentId) -> Result<(), GatewayError>;
    /// Lifts the hold, or keeps one from being made later.
    async fn void(&self, payment: PaymentId) -> Result<(), GatewayError>;
    /// Gives money back.
    async fn refund(&self, payment: PaymentId, refund: &str, amount: &Money) -> Result<(), GatewayError>;
}
