//! Calls the payment gateway, and records its answers.

use super::gateway::{Answer, HttpGateway};
use consumers::{Effect, Fault, NotNow, Outcome, Perform};
use domain::{
    Money, PaymentId,
    payment::{Payment, PaymentCommand},
};
use event_sourcing::AnyCommand;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// The kind of the effect that holds the money of a payment.
pub const AUTHORISE: &str = "authorise-payment";
/// The kind of the effect that takes the held money.
pub const CAPTURE: &str = "capture-payment";
/// The kind of the effect that lifts the hold, or prevents a later one.
pub const VOID: &str = "void-payment";
/// The kind of the effect that gives money back.
pub const REFUND: &str = "refund-payment";

/// The payload of an [`AUTHORISE`] effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorise {
    /// The amount to hold.
    pub amount: Money,
    /// The payment method: `card`.
    pub method: String,
}

/// The payload of a [`REFUND`] effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Names the refund at the gateway.
    pub refund_id: String,
    /// The amount to give back.
    pub amount: Money,
}

/// Performs the effects of payments at the gateway.
pub struct Payments {
    /// The gateway.
    pub gateway: Arc<HttpGateway>,
}

fn record(effect: &Effect, command: &PaymentCommand) -> Option<AnyCommand> {
    Some(AnyCommand::to::<Payment>(effect.target, command))
}

fn payload<T: DeserializeOwned>(effect: &Effect) -> Result<T, Outcome> {
    let unreadable = |error: serde_json::Error| Outcome::NotNow(NotNow::new(Fault::Effect, format!("its payload cannot be read: {error}")));
    serde_json::from_value(effect.payload.clone()).map_err(unreadable)
}

/// The outcome of a capture, void or refund. Only a request to hold money may be declined for good: held or taken money must be taken or
/// given back in the end.
fn done(effect: &Effect, answer: Answer, command: Option<&PaymentCommand>) -> Outcome {
    match answer {
        Answer::Done(_) => Outcome::Done(command.and_then(|command| record(effect, command))),
        Answer::Declined(reason) => Outcome::NotNow(NotNow::new(Fault::Effect, format!("the payment gateway refuses it: {reason}"))),
        Answer::Failed(not_now) => Outcome::NotNow(not_now),
    }
}

impl Payments {
    async fn authorise(&self, effect: &Effect) -> Result<Outcome, Outcome> {
        let Authorise { amount, method } = payload(effect)?;
        Ok(match self.gateway.authorise(PaymentId(effect.target), &amount, &method).await {
            Answer::Done(answer) => {
                let reference = answer["reference"].as_str().unwrap_or("unspecified").to_owned();
                Outcome::Done(record(effect, &PaymentCommand::RecordAuthorisation { reference }))
            }
            Answer::Declined(reason) => Outcome::Refused(record(effect, &PaymentCommand::RecordDecline { reason })),
            Answer::Failed(not_now) => Outcome::NotNow(not_now),
        })
    }

    async fn refund(&self, effect: &Effect) -> Result<Outcome, Outcome> {
        let Refund { refund_id, amount } = payload(effect)?;
        let answer = self.gateway.refund(PaymentId(effect.target), &refund_id, &amount).await;
        // An effect without a question is of an earlier build, which had booked the refund already.
        let record = effect.question.is_some().then_some(PaymentCommand::RecordRefund { refund_id });
        Ok(done(effect, answer, record.as_ref()))
    }
}

#[async_trait::async_trait]
impl Perform for Payments {
    async fn perform(&self, effect: &Effect) -> Outcome {
        let payment = PaymentId(effect.target);
        let outcome = match &*effect.kind {
            AUTHORISE => self.authorise(effect).await,
            CAPTURE => Ok(done(effect, self.gateway.capture(payment).await, Some(&PaymentCommand::RecordCapture))),
            VOID => Ok(done(effect, self.gateway.void(payment).await, None)),
            REFUND => self.refund(effect).await,
            other => Ok(Outcome::NotNow(NotNow::new(Fault::Effect, format!("the gateway does no {other}")))),
        };
        outcome.unwrap_or_else(|outcome| outcome)
    }

    fn give_up(&self, effect: &Effect, reason: &str) -> Option<AnyCommand> {
        let reason = reason.to_owned();
        match &*effect.kind {
            CAPTURE => record(effect, &PaymentCommand::RecordCaptureFailure { reason }),
            REFUND if effect.question.is_some() => {
                let refund: Refund = payload(effect).ok()?;
                record(effect, &PaymentCommand::RecordRefundFailure { refund_id: refund.refund_id, reason })
            }
            _ => None,
        }
    }
}

/// Why a payment waits where no gateway is named, and what to do about it.
pub const NO_GATEWAY: &str = "no payment gateway is configured: set DAYBOOK_GATEWAY_URL, such as https://gateway.example.com, or \
                              DAYBOOK_GATEWAY=simulated to start one that moves no money";

/// Performs nothing: no gateway is named. That uses up none of an effect's attempts.
pub struct NoGateway;

#[async_trait::async_trait]
impl Perform for NoGateway {
    async fn perform(&self, _: &Effect) -> Outcome {
        Outcome::NotNow(NotNow::new(Fault::Ours, NO_GATEWAY))
    }
}
