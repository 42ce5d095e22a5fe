//! The payment of an order: requested, authorised, captured, refunded; or declined; or voided.
//!
//! The card network is behind a gateway; these events record the gateway's answers. Nothing is booked before it is done: a refund is
//! requested first, and settled when the gateway has given the money back.

#![expect(missing_docs, reason = "the fields of a fact say what they are, and their types say the units")]

mod command;
mod event;
mod questions;
mod refunds;
mod refusal;
#[cfg(test)]
mod tests;

pub use command::PaymentCommand;
pub use event::{
    PaymentAuthorised, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentEvent, PaymentRefundFailed, PaymentRefundRequested,
    PaymentRefundSettled, PaymentRefunded, PaymentRequested, PaymentVoided,
};
pub use refunds::{Refunds, VOID_REFUND};
pub use refusal::PaymentRefusal;

use crate::{Aggregate, Money, OrderId};
use serde::{Deserialize, Serialize};

/// The events that a command makes, or why it was refused.
type Decision = Result<Vec<PaymentEvent>, PaymentRefusal>;

/// A payment. It keeps its request, so that a second request for the same is recognised as a repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payment {
    /// Nobody has asked for it.
    #[default]
    NotRequested,
    /// It waits for the gateway.
    Requested(PaymentRequested),
    /// The gateway holds the money.
    Authorised(PaymentRequested),
    /// The gateway holds the money and could not take it so far.
    CaptureFailed(PaymentRequested),
    /// The money was taken, and some of it perhaps given back.
    Captured(PaymentRequested, Refunds),
    /// The gateway declined.
    Declined(PaymentRequested),
    /// No money will be taken.
    Voided(PaymentRequested),
}

impl Payment {
    /// The request that began it.
    pub fn request(&self) -> Option<&PaymentRequested> {
        match self {
            Self::NotRequested => None,
            Self::Requested(request)
            | Self::Authorised(request)
            | Self::CaptureFailed(request)
            | Self::Captured(request, _)
            | Self::Declined(request)
            | Self::Voided(request) => Some(request),
        }
    }

    /// The refunds, requested and settled, once money was taken.
    pub fn refunds(&self) -> Option<&Refunds> {
        self.captured().map(|(_, refunds)| refunds)
    }

    /// `requested`, `authorised`, `capture-failed`, `captured`, `declined` or `voided`; none before the payment was requested.
    pub fn status(&self) -> Option<&'static str> {
        match self {
            Self::NotRequested => None,
            Self::Requested(_) => Some("requested"),
            Self::Authorised(_) => Some("authorised"),
            Self::CaptureFailed(_) => Some("capture-failed"),
            Self::Captured(..) => Some("captured"),
            Self::Declined(_) => Some("declined"),
            Self::Voided(_) => Some("voided"),
        }
    }
}

impl Aggregate for Payment {
    const NAME: &'static str = "payment";
    const FOLD: u64 = crate::SOURCES;
    type Command = PaymentCommand;
    type Event = PaymentEvent;
    type Error = PaymentRefusal;

    fn handle(&self, command: PaymentCommand) -> Decision {
        match command {
            PaymentCommand::Request { order_id, user_id, amount, method } => {
                self.ask(PaymentRequested { order_id, user_id, amount, method })
            }
            PaymentCommand::RecordAuthorisation { reference } => {
                self.answer(|order_id| PaymentEvent::Authorised(PaymentAuthorised { order_id, reference }))
            }
            PaymentCommand::RecordDecline { reason } => {
                self.answer(|order_id| PaymentEvent::Declined(PaymentDeclined { order_id, reason }))
            }
            PaymentCommand::RecordCapture => self.capture(),
            PaymentCommand::RecordCaptureFailure { reason } => self.fail_capture(reason),
            PaymentCommand::Void { reason } => self.void(reason),
            PaymentCommand::Refund { refund_id, amount } => self.refund(refund_id, amount),
            PaymentCommand::RecordRefund { refund_id } => self.settle_refund(refund_id),
            PaymentCommand::RecordRefundFailure { refund_id, reason } => self.fail_refund(refund_id, reason),
            PaymentCommand::MayAuthorise => self.may_authorise(),
            PaymentCommand::MayCapture => self.may_capture(),
            PaymentCommand::MayRefund { refund_id } => self.may_refund(refund_id),
        }
    }

    fn apply(&mut self, event: &PaymentEvent) {
        match event {
            PaymentEvent::Requested(request) => *self = Self::Requested(request.clone()),
            PaymentEvent::Authorised(_) => self.turn(Self::Authorised),
            PaymentEvent::Declined(_) => self.turn(Self::Declined),
            PaymentEvent::CaptureFailed(_) => self.turn(Self::CaptureFailed),
            PaymentEvent::Captured(_) => self.turn(|request| Self::Captured(request, Refunds::default())),
            PaymentEvent::Voided(_) => self.turn(Self::Voided),
            PaymentEvent::RefundRequested(event) => self.turn_refunds(|refunds| refunds.reserve(&event.refund_id, &event.amount)),
            PaymentEvent::RefundSettled(event) => {
                self.turn_refunds(|refunds| refunds.settle(&event.refund_id, &event.amount, &event.refunded));
            }
            PaymentEvent::RefundFailed(event) => self.turn_refunds(|refunds| refunds.fail(&event.refund_id, &event.amount)),
            PaymentEvent::Refunded(event) => {
                self.turn_refunds(|refunds| refunds.settle(&event.refund_id, &event.amount, &event.refunded));
            }
        }
    }
}

impl Payment {
    fn ask(&self, request: PaymentRequested) -> Decision {
        let amount = request.amount.amount;
        match self.request() {
            None if !(0..=Money::MAX).contains(&amount) => Err(PaymentRefusal::InvalidAmount { amount }),
            None => Ok(vec![PaymentEvent::Requested(request)]),
            Some(known) if *known == request => Ok(vec![]),
            Some(_) => Err(PaymentRefusal::AlreadyRequested),
        }
    }

    /// The gateway's first answer stands. An answer after a void changes nothing: the hold is lifted anyway.
    fn answer(&self, event: impl FnOnce(OrderId) -> PaymentEvent) -> Decision {
        match self {
            Self::NotRequested => Err(PaymentRefusal::Unknown),
            Self::Requested(request) => Ok(vec![event(request.order_id)]),
            Self::Authorised(_) | Self::CaptureFailed(_) | Self::Captured(..) | Self::Declined(_) | Self::Voided(_) => Ok(vec![]),
        }
    }

    fn capture(&self) -> Decision {
        match self {
            Self::NotRequested => Err(PaymentRefusal::Unknown),
            Self::Requested(_) => Err(PaymentRefusal::NotAuthorised),
            Self::Authorised(PaymentRequested { order_id, amount, .. })
            | Self::CaptureFailed(PaymentRequested { order_id, amount, .. }) => {
                Ok(vec![PaymentEvent::Captured(PaymentCaptured { order_id: *order_id, amount: amount.clone() })])
            }
            Self::Captured(..) => Ok(vec![]),
            Self::Declined(_) => Err(PaymentRefusal::Declined),
            Self::Voided(_) => Err(PaymentRefusal::Voided),
        }
    }

    /// A failure after a void makes no event, since no money was to be taken any more.
    fn fail_capture(&self, reason: String) -> Decision {
        match self {
            Self::NotRequested => Err(PaymentRefusal::Unknown),
            Self::Requested(_) => Err(PaymentRefusal::NotAuthorised),
            Self::Authorised(request) => {
                let PaymentRequested { order_id, user_id, amount, method: _ } = request.clone();
                Ok(vec![PaymentEvent::CaptureFailed(PaymentCaptureFailed { order_id, user_id, amount, reason })])
            }
            Self::CaptureFailed(_) | Self::Captured(..) | Self::Voided(_) => Ok(vec![]),
            Self::Declined(_) => Err(PaymentRefusal::Declined),
        }
    }

    fn void(&self, reason: String) -> Decision {
        match self {
            Self::NotRequested => Err(PaymentRefusal::Unknown),
            Self::Requested(request) | Self::Authorised(request) | Self::CaptureFailed(request) => {
                let amount = Some(request.amount.clone());
                Ok(vec![PaymentEvent::Voided(PaymentVoided { order_id: request.order_id, reason, amount })])
            }
            Self::Captured(request, refunds) => refunds.request_rest(request),
            Self::Declined(_) | Self::Voided(_) => Ok(vec![]),
        }
    }

    fn refund(&self, refund_id: String, amount: Money) -> Decision {
        match (self.captured(), self.status()) {
            (Some((request, refunds)), _) => refunds.request(request, refund_id, amount),
            (None, Some(status)) => Err(PaymentRefusal::NotCaptured { status }),
            (None, None) => Err(PaymentRefusal::Unknown),
        }
    }

    fn settle_refund(&self, refund_id: String) -> Decision {
        let (request, refunds) = self.captured_for(&refund_id)?;
        refunds.record_settled(request, refund_id)
    }

    fn fail_refund(&self, refund_id: String, reason: String) -> Decision {
        let (request, refunds) = self.captured_for(&refund_id)?;
        refunds.record_failed(request, refund_id, reason)
    }

    fn captured(&self) -> Option<(&PaymentRequested, &Refunds)> {
        match self {
            Self::Captured(request, refunds) => Some((request, refunds)),
            Self::NotRequested
            | Self::Requested(_)
            | Self::Authorised(_)
            | Self::CaptureFailed(_)
            | Self::Declined(_)
            | Self::Voided(_) => None,
        }
    }

    /// The captured payment that a refund belongs to: before money was taken, no refund has any name.
    fn captured_for(&self, refund_id: &str) -> Result<(&PaymentRequested, &Refunds), PaymentRefusal> {
        match self.request() {
            None => Err(PaymentRefusal::Unknown),
            Some(_) => self.captured().ok_or_else(|| PaymentRefusal::UnknownRefund { refund_id: refund_id.to_owned() }),
        }
    }

    fn turn(&mut self, into: impl FnOnce(PaymentRequested) -> Self) {
        if let Some(request) = self.request().cloned() {
            *self = into(request);
        }
    }

    fn turn_refunds(&mut self, change: impl FnOnce(&mut Refunds)) {
        if let Self::Captured(_, refunds) = self {
            change(refunds);
        }
    }
}
